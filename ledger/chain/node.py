"""A node's answers as typed values. They are untrusted input: one that does not parse counts as no answer."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from millmark.ledger.chain.blocks import (
    HINT,
    BlockReceipts,
    BlockTransaction,
    RawLog,
    Receipt,
    parse_amount,
    parse_answer,
    parse_bytes,
    parse_number,
    parse_receipt,
    parse_sized,
    parse_transactions,
)
from millmark.ledger.chain.codec import decode_revert
from millmark.ledger.chain.transport import RpcError, Transport, request_each
from millmark.ledger.errors import (
    ChainError,
    ChainUnreachableError,
    ContractRefusedError,
    FeeTooLowError,
    FundsError,
    MethodMissingError,
    NodeBehindError,
    SealsError,
)
from millmark.ledger.events import Header
from millmark.ledger.headers import FIELDS, encode_header, encode_integer, hashed_header
from millmark.ledger.seals import parse_extra

__all__ = ["Head", "Node", "ProofAnswer", "Receipt", "Reception", "fee_too_low"]


# How a node answers a transaction that is sent to it.


class Reception(enum.Enum):
    """How a node answers a transaction."""

    TAKEN = "taken"
    """It has the transaction, or the nonce is used, possibly by this transaction. The receipt tells."""
    UNDERPRICED = "underpriced"
    """The fees are too low, or too low to replace another transaction with the nonce."""
    BELOW_MINIMUM = "below minimum"
    """The fees are below what the node takes from anybody: nothing but a change of its settings or the fees helps."""
    GAPPED = "gapped"
    """Transactions with lower nonces are missing."""
    FULL = "full"
    """The node keeps no more pending transactions, of this sender or at all, or none so far ahead."""
    OVERSIZED = "oversized"
    """Its gas limit is above that of a block: no block can have it, until the validators raise that limit."""


_RECEPTIONS = {
    Reception.BELOW_MINIMUM: ("below configured minimum", "minimum needed"),
    Reception.UNDERPRICED: (
        "underpriced",
        "fee too low",
        "gas price too low",
        "gas price below",
        "less than block base fee",
    ),
    Reception.FULL: (
        "too distant",
        "pool is full",
        "pool is overflowed",
        "pool limit exceeded",
        "account limit exceeded",
        "exceeds the sender limit",
        "future transaction tries to replace pending",
    ),
    Reception.GAPPED: ("nonce too high", "nonce too far", "exceeds next nonce", "nonce gap"),
    Reception.OVERSIZED: ("exceeds block gas limit", "greater than the block's gas limit"),
    Reception.TAKEN: (
        "already known",
        "alreadyknown",
        "known transaction",
        "already imported",
        "transaction already exists",
        "nonce too low",
        "oldnonce",
    ),
}
"""Messages of Geth, Besu, Nethermind, Erigon, anvil and eth-tester, in lower case; the first match counts."""
_FUNDS = ("insufficient funds", "upfront cost exceeds", "enough balance")
_SYNCING = ("pool not enabled",)
"""What Besu says, which takes transactions once it is in sync."""


def fee_too_low(max_fee_wei: int) -> FeeTooLowError:
    """The error for a node that takes no transaction at this price per gas (`Reception.BELOW_MINIMUM`)."""
    if max_fee_wei == 0:
        return FeeTooLowError(
            "the chain's base fee is 0, but this node takes no transaction for nothing",
            hint="start it without a minimum price: Besu with --min-gas-price=0; what is to be sent waits",
        )
    return FeeTooLowError(
        f"this node takes no transaction that offers {max_fee_wei} wei per gas or less",
        hint="lower the node's minimum price: Besu's --min-gas-price; what is to be sent waits",
    )


def read_refusal(error: RpcError) -> Reception:
    """Read why a node did not take a transaction. Raises FundsError if its key cannot pay for it, NodeBehindError if
    the node is not in sync yet, ChainError if it refuses it for good."""
    # By the text: engines use the same JSON-RPC code for all of these refusals.
    message = error.message.lower()
    for reception, words in _RECEPTIONS.items():
        if any(known in message for known in words) and "unknown transaction" not in message:
            return reception
    refusal = f"the node refuses the transaction: {error.message}"
    if any(known in message for known in _FUNDS):
        raise FundsError(refusal, hint="fund the key: `millmark keys fund`; the records wait, and nothing was lost")
    if any(known in message for known in _SYNCING):
        raise NodeBehindError(refusal, hint="wait until the node is in sync, and check that it has peers")
    raise ChainError(refusal)


T = TypeVar("T")
_Question = tuple[str, list[Any], Callable[[Any], T]]
"""Method, parameters, and what parses the answer."""


_OUT_OF_GAS = ("out of gas", "outofgas", "gas required exceeds")
_INDEXING = "indexing is in progress"
"""What geth says for some seconds after its start: it will answer the same question later."""
_NO_STATE = ("missing trie node", "header not found", "unknown block", "historical state", "world state unavailable")
"""What nodes say that do not have a block, or no longer its state."""
_MISSING = (-32601, -32604)
"""Codes for a method that the node does not have (JSON-RPC), or whose API is switched off (Besu)."""
_ALLOWANCE_WEI = 100 * 10**18


@dataclass(frozen=True, slots=True)
class Head:
    """The latest block, as the node tells of it. Not established: that the hash is that of its fields."""

    number: int
    hash: bytes
    gas_limit: int


@dataclass(frozen=True, slots=True)
class ProofAnswer:
    """Trie nodes as returned by a node. Not established: that they prove anything."""

    account: tuple[bytes, ...]
    storage: tuple[tuple[bytes, ...], ...]
    """Nodes for each requested slot, in the same order."""


class Node:
    """The JSON-RPC methods that the library uses. All of them raise ChainError, or a kind of it, if the node fails."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._receipts = BlockReceipts(self._ask, self._ask_all, self._transactions_of)

    def chain_id(self) -> int:
        return self._ask("eth_chainId", [], parse_number)

    def block_number(self) -> int:
        return self._ask("eth_blockNumber", [], parse_number)

    def head(self) -> Head:
        """The latest block."""
        return self._ask("eth_getBlockByNumber", ["latest", False], _head)

    def header(self, number: int | None = None) -> Header:
        """Header of block `number`, or of the latest block. Raises ChainUnreachableError when the node does not have
        it, or the block's hash is not that of its fields."""
        return self._ask("eth_getBlockByNumber", ["latest" if number is None else hex(number), False], _header)

    def find_header(self, number: int) -> Header | None:
        """Like `header`; None if the node has no block of that number."""
        return self._ask(*_header_question(number))

    def find_headers(self, numbers: Sequence[int]) -> list[Header | ChainError | None]:
        """Like `find_header` for each number. In place of an answer that failed stands its error."""
        return self._ask_all([_header_question(number) for number in numbers])

    def headers(self, numbers: Sequence[int]) -> Iterator[Header]:
        """Like `header` for each number, all asked for at once. Raises in the place of an answer that failed."""
        questions = [("eth_getBlockByNumber", [hex(number), False], _header) for number in numbers]
        return map(_unfailed, self._ask_all(questions))

    def look(self, address: bytes, number: int) -> tuple[Header | None, Head, int]:
        """Header of block `number`, or None, the latest block, and the number of nonces that the address used. The node
        looks at the latest block twice, so that the second answer may be of a later one."""
        questions: list[_Question[Any]] = [
            _header_question(number),
            ("eth_getBlockByNumber", ["latest", False], _head),
            ("eth_getTransactionCount", [_hex(address), "latest"], parse_number),
        ]
        created, head, count = (_unfailed(answer) for answer in self._ask_all(questions))
        return created, head, count

    def transactions(self, number: int) -> tuple[Header, tuple[BlockTransaction, ...]]:
        """Header and transactions of block `number`, all of them and no others. Raises ChainUnreachableError if they do
        not match the block's hash."""
        return self._ask("eth_getBlockByNumber", [hex(number), True], _transactions)

    def _transactions_of(self, header: Header) -> tuple[BlockTransaction, ...]:
        found, transactions = self._ask("eth_getBlockByHash", [_hex(header.hash), True], _transactions)
        if found.hash != header.hash:
            raise ChainUnreachableError("the node returned another block than the requested one", hint=HINT)
        return transactions

    def receipts(self, header: Header) -> tuple[Receipt, ...]:
        """All receipts of one block (`BlockReceipts.fetch`)."""
        return self._receipts.fetch(header)

    def peer_count(self) -> int | None:
        """Number of nodes that this one is connected to; None if it does not tell."""
        return self._ask_if_known("net_peerCount", parse_number)

    def syncing(self) -> tuple[int, int] | None:
        """(block, highest known block) while the node is catching up with others; None if it is not, or does not
        tell."""
        return self._ask_if_known("eth_syncing", _syncing)

    def signer_count(self) -> int | None:
        """Number of Clique's signers at the latest block; None if the node does not tell."""
        return self._ask_if_known("clique_getSigners", _count)

    def base_fee_wei(self) -> int | None:
        """Base fee of the latest block, in wei per gas; 0 on a network without fees, None before the London fork: then
        there are legacy transactions only."""
        return self._ask("eth_getBlockByNumber", ["latest", False], _base_fee)

    def gas_price_wei(self) -> int:
        """Price per gas of a legacy transaction that the node expects to be mined, in wei."""
        return self._ask("eth_gasPrice", [], parse_amount)

    def gas_limit(self) -> int:
        """Gas limit of the latest block."""
        return self._ask("eth_getBlockByNumber", ["latest", False], lambda raw: parse_number(raw["gasLimit"]))

    def gas_used(self, number: int) -> int:
        """Gas that the transactions of a block used."""
        return self._ask("eth_getBlockByNumber", [hex(number), False], lambda raw: parse_number(raw["gasUsed"]))

    def logs(self, header: Header, addresses: Sequence[bytes]) -> tuple[RawLog, ...]:
        """Logs of these contracts in one block, all of them. Raises ChainUnreachableError if any could be missing."""
        # From the receipts, whose root is in the header: `eth_getLogs` could leave out logs unnoticed.
        return _logs_of(self.receipts(header), addresses)

    def logs_of_each(self, headers: Sequence[Header], addresses: Sequence[bytes]) -> Iterator[tuple[RawLog, ...]]:
        """Like `logs` for each block, all asked for at once. Raises in the place of an answer that failed."""
        for answer in self._receipts.fetch_each(headers):
            yield _logs_of(_unfailed(answer), addresses)

    def code(self, address: bytes) -> bytes:
        return self._ask("eth_getCode", [_hex(address), "latest"], parse_bytes)

    def balance_wei(self, address: bytes) -> int:
        return self._ask("eth_getBalance", [_hex(address), "latest"], parse_amount)

    def transaction_count(self, address: bytes, number: int | None = None) -> int:
        """Number of nonces used up to block `number`, or the latest: the next nonce if no transaction is pending."""
        block = "latest" if number is None else hex(number)
        return self._ask("eth_getTransactionCount", [_hex(address), block], parse_number)

    def call(
        self,
        to: bytes,
        data: bytes,
        sender: bytes | None = None,
        gas_limit: int | None = None,
        number: int | None = None,
    ) -> bytes:
        """Execute a call after block `number`, or the latest, and return its output. Raises ContractRefusedError with
        the contract's own error."""
        call = _transaction(to, data, sender)
        if gas_limit is not None:
            call["gas"] = hex(gas_limit)
        return self._ask("eth_call", [call, "latest" if number is None else hex(number)], parse_bytes)

    def estimate_gas(self, to: bytes | None, data: bytes, sender: bytes) -> int:
        """Estimate the gas of a transaction. Raises ContractRefusedError when it reverts."""
        return self._ask("eth_estimateGas", [_transaction(to, data, sender)], parse_number)

    def send(self, raw: bytes) -> Reception:
        """Send a signed transaction. Not established: that it will be mined, whatever the node answers.

        Raises FundsError when the key cannot pay for it, ChainError when the node refuses it for good, and
        ChainUnreachableError when it is unknown whether the node received it.
        """
        try:
            self._transport.request("eth_sendRawTransaction", [_hex(raw)])
        except RpcError as error:
            return read_refusal(error)
        return Reception.TAKEN

    def send_all(self, raws: Sequence[bytes]) -> list[Reception | ChainError]:
        """Like `send` for each, in order. In place of an answer that failed stands its error."""
        results = request_each(self._transport, [("eth_sendRawTransaction", [_hex(raw)]) for raw in raws])
        return [_received(result) for result in results]

    def receipt(self, transaction_hash: bytes) -> Receipt | None:
        """Receipt of a transaction; None while it is not in a block."""
        return self._ask(*_receipt_question(transaction_hash))

    def find_receipts(self, hashes: Sequence[bytes]) -> list[Receipt | ChainError | None]:
        """Like `receipt` for each hash. In place of an answer that failed stands its error."""
        return self._ask_all([_receipt_question(one) for one in hashes])

    def try_calls(self, calls: Sequence[tuple[bytes, bytes, bytes, int]]) -> list[bytes | ChainError]:
        """Like `call` for each recipient, calldata, sender and gas limit, after the latest block. In place of an answer
        that failed stands its error."""
        return self._ask_all(
            [
                ("eth_call", [{**_transaction(to, data, sender), "gas": hex(gas)}, "latest"], parse_bytes)
                for to, data, sender, gas in calls
            ]
        )

    def header_fields(self, number: int) -> tuple[bytes, tuple[bytes, ...]]:
        """The block's hash according to the node, and its header's fields in the order of millmark.ledger.headers."""
        return self._ask("eth_getBlockByNumber", [hex(number), False], _header_fields)

    def proof(self, address: bytes, slots: Sequence[bytes], number: int) -> ProofAnswer:
        """The node's proof of an account and of slots in it (EIP-1186), after block `number`."""
        names = [_hex(slot) for slot in slots]
        answer = self._ask("eth_getProof", [_hex(address), names, hex(number)], _proof)
        if not answer.storage:
            # Besu, of an account that does not exist. Whether that is so, the proof of the account shows.
            return ProofAnswer(answer.account, ((),) * len(slots))
        if len(answer.storage) != len(slots):
            raise ChainUnreachableError("the node returned proofs of slots other than those requested", hint=HINT)
        return answer

    def fund(self, address: bytes, amount_wei: int = _ALLOWANCE_WEI) -> None:
        """Set a balance, by default more than any key spends on gas. Only development engines support this."""
        self._ask("anvil_setBalance", [_hex(address), hex(amount_wei)], lambda _: None)

    def wait(self, seconds: int) -> None:
        """Mine a block that comes so much later. Only development engines support this."""
        self._ask("evm_increaseTime", [seconds], lambda _: None)
        self._ask("evm_mine", [], lambda _: None)  # calls are made at the latest block's time

    def _ask_if_known(self, method: str, parse: Callable[[Any], T]) -> T | None:
        try:
            return self._ask(method, [], parse)
        except ChainUnreachableError:
            raise
        except ChainError:
            return None  # not every engine serves every method

    def _ask(self, method: str, params: list[Any], parse: Callable[[Any], T]) -> T:
        try:
            answer = self._transport.request(method, params)
        except RpcError as error:
            raise _refusal(method, error) from error
        return parse_answer(method, answer, parse)

    def _ask_all(self, questions: Sequence[_Question[T]]) -> list[T | ChainError]:
        """Ask several questions at once. Raises ChainUnreachableError if there is no answer to any of them."""
        results = request_each(self._transport, [(method, params) for method, params, _ in questions])
        answers: list[T | ChainError] = []
        for (method, _, parse), result in zip(questions, results, strict=True):
            if isinstance(result, ChainUnreachableError):
                answers.append(result)
            elif isinstance(result, RpcError):
                answers.append(_refusal(method, result))
            else:
                try:
                    answers.append(parse_answer(method, result, parse))
                except ChainUnreachableError as error:
                    answers.append(error)
        return answers


def _unfailed(answer: T | ChainError) -> T:
    if isinstance(answer, ChainError):
        raise answer
    return answer


def _logs_of(receipts: Sequence[Receipt], addresses: Sequence[bytes]) -> tuple[RawLog, ...]:
    return tuple(log for receipt in receipts for log in receipt.logs if log.address in addresses)


def _header_question(number: int) -> _Question[Header | None]:
    return "eth_getBlockByNumber", [hex(number), False], lambda raw: None if raw is None else _header(raw)


def _head(raw: Any) -> Head:
    return Head(parse_number(raw["number"]), parse_sized(raw["hash"], 32), parse_number(raw["gasLimit"]))


def _receipt_question(transaction_hash: bytes) -> _Question[Receipt | None]:
    def parse(raw: Any) -> Receipt | None:
        receipt = None if raw is None else parse_receipt(raw)
        if receipt is not None and receipt.transaction_hash != transaction_hash:
            raise ChainUnreachableError("the node returned the receipt of another transaction", hint=HINT)
        return receipt

    return "eth_getTransactionReceipt", [_hex(transaction_hash)], parse


def _received(result: Any) -> Reception | ChainError:
    """What a node's answer to a transaction means, or the error that it is."""
    if isinstance(result, ChainUnreachableError):
        return result
    if not isinstance(result, RpcError):
        return Reception.TAKEN
    try:
        return read_refusal(result)
    except ChainError as error:
        return error


def _count(raw: Any) -> int:
    """Number of different addresses in a list of at least one."""
    found = {parse_sized(each, 20) for each in raw}
    if not found or len(found) != len(raw):
        raise ValueError("no signer, or one twice")
    return len(found)


def _base_fee(raw: Any) -> int | None:
    base_fee = raw.get("baseFeePerGas")
    return None if base_fee is None else parse_amount(base_fee)


def _refusal(method: str, error: RpcError) -> ChainError:
    """Convert a node's error. Running out of gas counts as a revert, although engines report it in their own words."""
    message = error.message.lower()
    if error.data or "revert" in message:
        refused: ContractRefusedError = decode_revert(error.data or b"")
        return refused
    if any(words in message for words in _OUT_OF_GAS):
        return ContractRefusedError("OutOfGas", {}, hint="send less in one transaction")
    if _INDEXING in message:
        return ChainUnreachableError(f"the node refuses {method}: {error.message}", hint="it started a moment ago")
    if any(words in message for words in _NO_STATE):
        return ChainUnreachableError(
            f"the node refuses {method}: {error.message}", hint="use a node that is in sync and has the block's state"
        )
    if error.code in _MISSING:
        return MethodMissingError(
            f"the node refuses {method}: {error.message}", hint="switch on the APIs eth and net at the node"
        )
    return ChainError(f"the node refuses {method}: {error.message}")


def _hex(value: bytes) -> str:
    return "0x" + value.hex()


def _transaction(to: bytes | None, data: bytes, sender: bytes | None) -> dict[str, str]:
    """Return a call's JSON form, with the calldata both as `data` and as `input`: engines differ in which they read."""
    call = {"data": _hex(data), "input": _hex(data)}
    if to is not None:
        call["to"] = _hex(to)
    if sender is not None:
        call["from"] = _hex(sender)
    return call


def _header(raw: Any) -> Header:
    number, parent_hash = parse_number(raw["number"]), parse_sized(raw["parentHash"], 32)
    found, fields = _header_fields(raw)
    encoded = encode_header(fields)
    if hashed_header(encoded, found) is None:
        raise ValueError("the block's hash does not match its header")
    return Header(
        number=number,
        hash=found,
        parent_hash=parent_hash,
        timestamp=parse_number(raw["timestamp"]),
        logs_bloom=parse_sized(raw["logsBloom"], 256),
        receipts_root=parse_sized(raw["receiptsRoot"], 32),
        round=_round(parse_bytes(raw["extraData"])),
    )


def _round(extra: bytes) -> int | None:
    try:
        return parse_extra(extra).round
    except SealsError:
        return None  # another engine


def _transactions(raw: Any) -> tuple[Header, tuple[BlockTransaction, ...]]:
    # The header's hash covers the root, and the root the transactions.
    return _header(raw), parse_transactions(raw["transactions"], parse_sized(raw["transactionsRoot"], 32))


def _syncing(raw: Any) -> tuple[int, int] | None:
    return None if raw is False else (parse_number(raw["currentBlock"]), parse_number(raw["highestBlock"]))


def _header_fields(raw: Any) -> tuple[bytes, tuple[bytes, ...]]:
    """Return the hash and the encoded fields of a header; fields of forks after the block's are missing or null."""
    present = [field for field in FIELDS if raw.get(field[0]) is not None]
    fields = (
        encode_integer(parse_amount(raw[name])) if is_integer else parse_bytes(raw[name])
        for name, is_integer, _ in present
    )
    return parse_sized(raw["hash"], 32), tuple(fields)


def _proof(raw: Any) -> ProofAnswer:
    return ProofAnswer(_nodes(raw["accountProof"]), tuple(_nodes(entry["proof"]) for entry in raw["storageProof"]))


def _nodes(raw: Any) -> tuple[bytes, ...]:
    """Parse the nodes of a proof, without nodes that are embedded in their parents, and without an empty root. Engines
    differ in whether they include these."""
    nodes = [parse_bytes(node) for node in raw]
    return tuple(node for place, node in enumerate(nodes) if len(node) >= 32 or (place == 0 and node != b"\x80"))
