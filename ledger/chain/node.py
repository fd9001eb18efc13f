"""A node's answers as typed values. They are untrusted input: one that does not parse counts as no answer."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ledger.chain.blocks import BlockTransaction, parse_transactions
from ledger.chain.codec import RawLog, decode_revert
from ledger.chain.receipts import build_root, encode_receipt
from ledger.chain.transport import RpcError, Transport
from ledger.errors import ChainError, ChainUnreachableError, ContractRefusedError, ProofError
from ledger.events import Header
from ledger.headers import FIELDS, encode_header, hashed_header
from ledger.rlp import encode_integer

__all__ = ["Node", "ProofAnswer", "Receipt", "Reception"]

T = TypeVar("T")


class Reception(enum.Enum):
    """How a node answers a transaction."""

    TAKEN = "taken"
    """It has the transaction, or the nonce is used, possibly by this transaction. The receipt tells."""
    UNDERPRICED = "underpriced"
    """The fees are too low, or too low to replace another transaction with the nonce."""
    GAPPED = "gapped"
    """Transactions with lower nonces are missing."""


_RECEPTIONS = {
    Reception.UNDERPRICED: ("underpriced", "fee too low", "gas price too low", "fee cap less than block base fee"),
    Reception.GAPPED: ("nonce too high", "nonce too far", "exceeds next nonce", "nonce gap", "too distant"),
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
_OUT_OF_GAS = ("out of gas", "outofgas", "gas required exceeds")
_NUMBER = re.compile(r"0x[0-9a-fA-F]+")
_BYTES = re.compile(r"0x(?:[0-9a-fA-F]{2})*")
_ALLOWANCE_WEI = 100 * 10**18
_HINT = "check that the node is in sync; try again"


@dataclass(frozen=True, slots=True)
class Receipt:
    """The receipt of a mined transaction."""

    transaction_hash: bytes
    succeeded: bool
    block_number: int
    block_hash: bytes
    gas_used: int
    contract_address: bytes | None
    logs: tuple[RawLog, ...]


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

    def chain_id(self) -> int:
        return self._ask("eth_chainId", [], _number)

    def block_number(self) -> int:
        return self._ask("eth_blockNumber", [], _number)

    def header(self, number: int | None = None) -> Header:
        """Header of block `number`, or of the latest block.

        Raises ChainUnreachableError when the node does not have it, or the block's hash is not that of its fields.
        """
        return self._ask("eth_getBlockByNumber", ["latest" if number is None else hex(number), False], _header)

    def find_header(self, number: int) -> Header | None:
        """Like `header`; None if the node has no block of that number."""
        return self._ask(
            "eth_getBlockByNumber", [hex(number), False], lambda raw: None if raw is None else _header(raw)
        )

    def transactions(self, number: int) -> tuple[Header, tuple[BlockTransaction, ...]]:
        """Header and transactions of block `number`, all of them and no others.

        Raises ChainUnreachableError if they do not match the block's hash.
        """
        return self._ask("eth_getBlockByNumber", [hex(number), True], _transactions)

    def receipts(self, header: Header) -> tuple[Receipt, ...]:
        """All receipts of one block. Raises ChainUnreachableError if any could be missing or changed."""
        return tuple(self._ask("eth_getBlockReceipts", [_hex(header.hash)], lambda raw: _block_receipts(raw, header)))

    def peer_count(self) -> int | None:
        """Number of nodes that this one is connected to; None if it does not tell."""
        return self._ask_if_known("net_peerCount", _number)

    def syncing(self) -> tuple[int, int] | None:
        """(block, highest known block) while the node is catching up with others; None if it is not, or does not
        tell."""
        return self._ask_if_known("eth_syncing", _syncing)

    def base_fee_wei(self) -> int:
        """Base fee of the latest block, in wei per gas; 0 on a network without fees."""
        return self._ask(
            "eth_getBlockByNumber", ["latest", False], lambda raw: _amount(raw.get("baseFeePerGas", "0x0"))
        )

    def gas_limit(self) -> int:
        """Gas limit of the latest block."""
        return self._ask("eth_getBlockByNumber", ["latest", False], lambda raw: _number(raw["gasLimit"]))

    def logs(self, header: Header, addresses: Sequence[bytes]) -> tuple[RawLog, ...]:
        """Logs of these contracts in one block, all of them. Raises ChainUnreachableError if any could be missing."""
        # From the receipts, whose root is in the header: `eth_getLogs` could leave out logs unnoticed.
        return tuple(log for receipt in self.receipts(header) for log in receipt.logs if log.address in addresses)

    def code(self, address: bytes) -> bytes:
        return self._ask("eth_getCode", [_hex(address), "latest"], _bytes)

    def balance_wei(self, address: bytes) -> int:
        return self._ask("eth_getBalance", [_hex(address), "latest"], _amount)

    def transaction_count(self, address: bytes, number: int | None = None) -> int:
        """Number of nonces used up to block `number`, or the latest: the next nonce if no transaction is pending."""
        block = "latest" if number is None else hex(number)
        return self._ask("eth_getTransactionCount", [_hex(address), block], _number)

    def call(
        self,
        to: bytes,
        data: bytes,
        sender: bytes | None = None,
        gas_limit: int | None = None,
        number: int | None = None,
    ) -> bytes:
        """Execute a call after block `number`, or the latest, and return its output.

        Raises ContractRefusedError with the contract's own error.
        """
        call = _transaction(to, data, sender)
        if gas_limit is not None:
            call["gas"] = hex(gas_limit)
        return self._ask("eth_call", [call, "latest" if number is None else hex(number)], _bytes)

    def estimate_gas(self, to: bytes | None, data: bytes, sender: bytes) -> int:
        """Estimate the gas of a transaction. Raises ContractRefusedError when it reverts."""
        return self._ask("eth_estimateGas", [_transaction(to, data, sender)], _number)

    def send(self, raw: bytes) -> Reception:
        """Send a signed transaction. Not established: that it will be mined, whatever the node answers.

        Raises ChainError when the node refuses it permanently, ChainUnreachableError when it is unknown whether the
        node received it.
        """
        try:
            self._transport.request("eth_sendRawTransaction", [_hex(raw)])
        except RpcError as error:
            # By the text: engines use the same JSON-RPC code for all of these refusals.
            message = error.message.lower()
            for reception, words in _RECEPTIONS.items():
                if any(known in message for known in words) and "unknown transaction" not in message:
                    return reception
            raise ChainError(f"the node refuses the transaction: {error.message}") from error
        return Reception.TAKEN

    def receipt(self, transaction_hash: bytes) -> Receipt | None:
        """Receipt of a transaction; None while it is not in a block."""
        receipt = self._ask(
            "eth_getTransactionReceipt",
            [_hex(transaction_hash)],
            lambda raw: None if raw is None else _receipt(raw),
        )
        if receipt is not None and receipt.transaction_hash != transaction_hash:
            raise ChainUnreachableError("the node returned the receipt of another transaction", hint=_HINT)
        return receipt

    def header_fields(self, number: int) -> tuple[bytes, tuple[bytes, ...]]:
        """The block's hash according to the node, and its header's fields in the order of ledger.headers."""
        return self._ask("eth_getBlockByNumber", [hex(number), False], _header_fields)

    def proof(self, address: bytes, slots: Sequence[bytes], number: int) -> ProofAnswer:
        """The node's proof of an account and of slots in it (EIP-1186), after block `number`."""
        names = [_hex(slot) for slot in slots]
        answer = self._ask("eth_getProof", [_hex(address), names, hex(number)], _proof)
        if len(answer.storage) != len(slots):
            raise ChainUnreachableError("the node returned proofs of slots other than those requested", hint=_HINT)
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
        try:
            return parse(answer)
        except (TypeError, ValueError, KeyError, AttributeError, ProofError) as error:
            raise ChainUnreachableError(f"the node's answer to {method} cannot be used", hint=_HINT) from error


def _refusal(method: str, error: RpcError) -> ChainError:
    """Convert a node's error. Running out of gas counts as a revert, although engines report it in their own words."""
    message = error.message.lower()
    if error.data or "revert" in message:
        refused: ContractRefusedError = decode_revert(error.data or b"")
        return refused
    if any(words in message for words in _OUT_OF_GAS):
        return ContractRefusedError("OutOfGas", {}, hint="send less in one transaction")
    return ChainError(f"the node refuses {method}: {error.message}")


def _hex(value: bytes) -> str:
    return "0x" + value.hex()


def _number(value: Any, bits: int = 63) -> int:
    """Parse an integer; by default one that fits in a database column: a block number, time, nonce or amount of gas."""
    if not _NUMBER.fullmatch(value) or (number := int(value, 16)) >> bits:
        raise ValueError(f"not an integer below 2^{bits}")
    return number


def _amount(value: Any) -> int:
    return _number(value, 256)


def _bytes(value: Any) -> bytes:
    if not _BYTES.fullmatch(value):
        raise ValueError("not 0x and pairs of hexadecimal digits")
    return bytes.fromhex(value[2:])


def _sized(value: Any, size: int) -> bytes:
    parsed = _bytes(value)
    if len(parsed) != size:
        raise ValueError(f"{len(parsed)} bytes instead of {size}")
    return parsed


def _transaction(to: bytes | None, data: bytes, sender: bytes | None) -> dict[str, str]:
    """Return a call's JSON form, with the calldata both as `data` and as `input`: engines differ in which they read."""
    call = {"data": _hex(data), "input": _hex(data)}
    if to is not None:
        call["to"] = _hex(to)
    if sender is not None:
        call["from"] = _hex(sender)
    return call


def _header(raw: Any) -> Header:
    number, parent_hash = _number(raw["number"]), _sized(raw["parentHash"], 32)
    found, fields = _header_fields(raw)
    encoded = encode_header(fields)
    if hashed_header(encoded, found) is None:
        raise ValueError("the block's hash does not match its header")
    return Header(
        number=number,
        hash=found,
        parent_hash=parent_hash,
        timestamp=_number(raw["timestamp"]),
        logs_bloom=_sized(raw["logsBloom"], 256),
        receipts_root=_sized(raw["receiptsRoot"], 32),
    )


def _transactions(raw: Any) -> tuple[Header, tuple[BlockTransaction, ...]]:
    # The header's hash covers the root, and the root the transactions.
    return _header(raw), parse_transactions(raw["transactions"], _sized(raw["transactionsRoot"], 32))


def _syncing(raw: Any) -> tuple[int, int] | None:
    return None if raw is False else (_number(raw["currentBlock"]), _number(raw["highestBlock"]))


def _header_fields(raw: Any) -> tuple[bytes, tuple[bytes, ...]]:
    """Return the hash and the encoded fields of a header; fields of forks after the block's are missing or null."""
    present = [field for field in FIELDS if raw.get(field[0]) is not None]
    fields = (
        encode_integer(_amount(raw[name])) if is_integer else _bytes(raw[name]) for name, is_integer, _ in present
    )
    return _sized(raw["hash"], 32), tuple(fields)


def _proof(raw: Any) -> ProofAnswer:
    return ProofAnswer(_nodes(raw["accountProof"]), tuple(_nodes(entry["proof"]) for entry in raw["storageProof"]))


def _nodes(raw: Any) -> tuple[bytes, ...]:
    """Parse the nodes of a proof, without nodes that are embedded in their parents, and without an empty root.

    Engines differ in whether they include these.
    """
    nodes = [_bytes(node) for node in raw]
    return tuple(node for place, node in enumerate(nodes) if len(node) >= 32 or (place == 0 and node != b"\x80"))


def _block_receipts(raw: Any, header: Header) -> list[Receipt]:
    receipts = [_receipt(entry) for entry in raw]
    encoded = [
        encode_receipt(
            _number(entry.get("type", "0x0")),
            receipt.succeeded,
            _number(entry["cumulativeGasUsed"]),
            _sized(entry["logsBloom"], 256),
            [(log.address, log.topics, log.data) for log in receipt.logs],
        )
        for entry, receipt in zip(raw, receipts, strict=True)
    ]
    logs = [log for receipt in receipts for log in receipt.logs]
    places = [(log.log_index, log.block_hash, log.block_number) for log in logs]
    # The root covers neither the logs' numbering nor their block's hash and number.
    expected = [(place, header.hash, header.number) for place in range(len(logs))]
    if build_root(encoded) != header.receipts_root or places != expected:
        raise ValueError("the receipts do not match the block's receipts root")
    return receipts


def _log(raw: Any) -> RawLog:
    return RawLog(
        address=_sized(raw["address"], 20),
        topics=tuple(_sized(topic, 32) for topic in raw["topics"]),
        data=_bytes(raw["data"]),
        block_number=_number(raw["blockNumber"]),
        block_hash=_sized(raw["blockHash"], 32),
        transaction_hash=_sized(raw["transactionHash"], 32),
        log_index=_number(raw["logIndex"]),
    )


def _receipt(raw: Any) -> Receipt:
    created = raw.get("contractAddress")
    transaction_hash = _sized(raw["transactionHash"], 32)
    logs = tuple(_log(entry) for entry in raw["logs"])
    # The receipts root does not cover transaction hashes, so at least they must be consistent.
    if any(log.transaction_hash != transaction_hash for log in logs):
        raise ValueError("a log belongs to another transaction")
    return Receipt(
        transaction_hash=transaction_hash,
        succeeded=_number(raw["status"]) == 1,
        block_number=_number(raw["blockNumber"]),
        block_hash=_sized(raw["blockHash"], 32),
        gas_used=_number(raw["gasUsed"]),
        contract_address=_sized(created, 20) if created else None,
        logs=logs,
    )
