"""Parses the transactions of a block, and shows that they are all of them: their trie has the header's root.

Only a transaction that is known this way, with its signature, proves who used a nonce. A node's word about one
transaction could be that of a node behind the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from millmark.ledger.canonical import keccak256
from millmark.ledger.errors import ChainError, ChainUnreachableError, MethodMissingError, ProofError, SigningError
from millmark.ledger.events import Header
from millmark.ledger.headers import RlpItem, decode_integer, decode_rlp, encode_integer, encode_list, encode_rlp
from millmark.ledger.signatures import Signature, recover_address

# Parses the values in a node's answers.
#
# All functions but `parse_answer` raise ValueError, TypeError, KeyError or AttributeError for anything else.

T = TypeVar("T")
HINT = "check that the node is in sync; try again"
_NUMBER = re.compile(r"0x[0-9a-fA-F]+")


@dataclass(frozen=True, slots=True)
class RawLog:
    """A log as a node returns it."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes
    block_number: int
    block_hash: bytes
    transaction_hash: bytes
    log_index: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """The receipt of a mined transaction."""

    transaction_hash: bytes
    succeeded: bool
    block_number: int
    block_hash: bytes
    gas_used: int
    contract_address: bytes | None
    """Address of the contract that it created, if any."""
    logs: tuple[RawLog, ...]


def parse_answer(method: str, answer: Any, parse: Callable[[Any], T]) -> T:
    """Parse the answer to a method. Raises ChainUnreachableError if it does not parse: then it counts as none."""
    try:
        return parse(answer)
    except (TypeError, ValueError, KeyError, AttributeError, ProofError) as error:
        raise ChainUnreachableError(f"the node's answer to {method} cannot be used", hint=HINT) from error


def parse_number(value: Any, bits: int = 63) -> int:
    """Parse an integer; by default one that fits in a database column: a block number, time, nonce or amount of gas."""
    if not _NUMBER.fullmatch(value) or (number := int(value, 16)) >> bits:
        raise ValueError(f"not an integer below 2^{bits}")
    return number


def parse_amount(value: Any) -> int:
    return parse_number(value, 256)


def parse_bytes(value: Any) -> bytes:
    if value[:2] != "0x":
        raise ValueError("not 0x and pairs of hexadecimal digits")
    parsed = bytes.fromhex(value[2:])
    if 2 * len(parsed) + 2 != len(value):  # fromhex skips whitespace
        raise ValueError("not 0x and pairs of hexadecimal digits")
    return parsed


def parse_sized(value: Any, size: int) -> bytes:
    parsed = parse_bytes(value)
    if len(parsed) != size:
        raise ValueError(f"{len(parsed)} bytes instead of {size}")
    return parsed


def _log(raw: Any, seen: dict[Any, bytes]) -> RawLog:
    """`seen`: what was parsed of the same receipt. Its logs name the same block, contract and kind again and again."""

    def parse(value: Any, size: int) -> bytes:
        found = seen.get(value)
        if found is None or len(found) != size:
            found = seen[value] = parse_sized(value, size)
        return found

    return RawLog(
        address=parse(raw["address"], 20),
        topics=tuple([parse(topic, 32) for topic in raw["topics"]]),
        data=parse_bytes(raw["data"]),
        block_number=parse_number(raw["blockNumber"]),
        block_hash=parse(raw["blockHash"], 32),
        transaction_hash=parse(raw["transactionHash"], 32),
        log_index=parse_number(raw["logIndex"]),
    )


def parse_receipt(raw: Any) -> Receipt:
    created = raw.get("contractAddress")
    transaction_hash = parse_sized(raw["transactionHash"], 32)
    seen: dict[Any, bytes] = {}
    logs = tuple(_log(entry, seen) for entry in raw["logs"])
    # The receipts root does not cover transaction hashes, so at least they must be consistent.
    if any(log.transaction_hash != transaction_hash for log in logs):
        raise ValueError("a log belongs to another transaction")
    return Receipt(
        transaction_hash=transaction_hash,
        succeeded=parse_number(raw["status"]) == 1,
        block_number=parse_number(raw["blockNumber"]),
        block_hash=parse_sized(raw["blockHash"], 32),
        gas_used=parse_number(raw["gasUsed"]),
        contract_address=parse_sized(created, 20) if created else None,
        logs=logs,
    )


# Computes the receipts root of a block, to show that none of its receipts is missing, added or changed.
#
# Receipts are encoded as in EIP-2718 and the yellow paper (section 4.3.1). The root is that of the Merkle Patricia trie
# (appendix D) from the RLP of each receipt's index to its encoding. It covers no hashes of blocks or transactions.

EMPTY_ROOT = keccak256(b"\x80")
"""Root of a block without transactions."""
_HASH_BYTES = 32
_LEAF, _EXTENSION = 2, 0


_ADDRESS, _WORD = b"\x94", b"\xa0"
"""RLP's prefixes of 20 and of 32 bytes."""


def encode_receipt(
    kind: int,
    succeeded: bool,
    cumulative_gas: int,
    logs_bloom: bytes,
    logs: Sequence[tuple[bytes, Sequence[bytes], bytes]],
) -> bytes:
    """Encode a receipt. `kind` is the transaction's type (EIP-2718), a log is (address of 20 bytes, topics of 32 bytes,
    data)."""
    # Piece by piece, because most of what a follower encodes is logs: as one nested item they take half as long again.
    start = map(encode_rlp, (encode_integer(int(succeeded)), encode_integer(cumulative_gas), logs_bloom))
    body = encode_list([*start, encode_list(_encode_log(*log) for log in logs)])
    return body if kind == 0 else bytes([kind]) + body


def _encode_log(address: bytes, topics: Sequence[bytes], data: bytes) -> bytes:
    # The prefixes of addresses and words are written out: a follower encodes them more often than all else.
    words = _WORD.join((b"", *topics))
    return encode_list((_ADDRESS, address, encode_list((words,)), encode_rlp(data)))


def build_root(values: Sequence[bytes]) -> bytes:
    """Return the root of the trie that maps the RLP of each index to its value. No value may be empty."""
    if not values:
        return EMPTY_ROOT
    entries = [(encode_rlp(encode_integer(place)).hex(), value) for place, value in enumerate(values)]
    return keccak256(encode_rlp(_build(sorted(entries), 0)))


def _build(entries: Sequence[tuple[str, bytes]], depth: int) -> RlpItem:
    """Return the node for entries, sorted by path, whose paths agree up to `depth` nibbles. No path is a prefix of
    another, since no RLP encoding is. So no branch has a value."""
    path, value = entries[0]
    if len(entries) == 1:
        return [_pack(path[depth:], _LEAF), value]
    shared = _shared(path, entries[-1][0])
    if shared > depth:
        return [_pack(path[depth:shared], _EXTENSION), _refer(_build(entries, shared))]
    children: list[RlpItem] = []
    for nibble in "0123456789abcdef":
        under = [entry for entry in entries if entry[0][depth] == nibble]
        children.append(_refer(_build(under, depth + 1)) if under else b"")
    return [*children, b""]


def _shared(first: str, last: str) -> int:
    """Number of nibbles in the common prefix of two paths, and hence of all paths sorted between them."""
    return next(place for place, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1])


def _refer(node: RlpItem) -> RlpItem:
    """Return a parent's reference to a node: the node's hash, or the node itself if that is shorter."""
    encoded = encode_rlp(node)
    return node if len(encoded) < _HASH_BYTES else keccak256(encoded)


def _pack(nibbles: str, kind: int) -> bytes:
    """Hex-prefix encoding (yellow paper, appendix C)."""
    odd = len(nibbles) % 2
    return bytes.fromhex(f"{kind + odd:x}" + ("" if odd else "0") + nibbles)


_LEGACY_V = 27
_CHAIN_V = 35
"""Lowest `v` of a signature that covers the chain's id (EIP-155)."""


@dataclass(frozen=True, slots=True)
class BlockTransaction:
    """A transaction in a block."""

    hash: bytes
    nonce: int
    to: bytes
    """Address; empty if it created a contract."""
    data: bytes
    digest: bytes
    """What the sender signed, 32 bytes."""
    signature: tuple[int, int, int]
    """r, s and the parity of y."""

    @property
    def sender(self) -> bytes | None:
        """The address whose key signed it; None if no key can have, or the signature is in a form no longer valid."""
        try:
            return recover_address(self.digest, Signature(*self.signature))
        except SigningError:
            return None


def parse_transactions(raw: Sequence[Any], root: bytes) -> tuple[BlockTransaction, ...]:
    """Parse a block's transactions from JSON. Raises ValueError, or another error of parsing, unless they are exactly
    those under `root`, the transactions root of the header."""
    parsed = [_parse(entry) for entry in raw]
    if build_root([encoded for encoded, _ in parsed]) != root:
        raise ValueError("the transactions do not match the block's transactions root")
    return tuple(transaction for _, transaction in parsed)


def _parse(raw: Mapping[str, Any]) -> tuple[bytes, BlockTransaction]:
    """Return a transaction's encoding, as it is in the trie, and its content."""
    kind = _integer(raw.get("type", "0x0"))
    unsigned: list[RlpItem] = [_FIELDS[name](raw.get(name)) for name in _KINDS[kind]]
    r, s = _integer(raw["r"]), _integer(raw["s"])
    last = _integer(raw["v"] if kind == 0 else raw.get("yParity", raw.get("v")))
    encoded = encode_rlp([*unsigned, encode_integer(last), encode_integer(r), encode_integer(s)])
    if kind == 0:
        signed, parity = _signed_legacy(unsigned, last)
    else:
        prefix = bytes([kind])
        encoded, signed, parity = prefix + encoded, prefix + encode_rlp(unsigned), last
    return encoded, BlockTransaction(
        keccak256(encoded),
        _integer(raw["nonce"]),
        _bytes(raw.get("to")),
        _bytes(raw["input"]),
        keccak256(signed),
        (r, s, parity),
    )


def _signed_legacy(unsigned: Sequence[RlpItem], v: int) -> tuple[bytes, int]:
    """What was signed, and the parity of y (EIP-155)."""
    if v < _CHAIN_V:
        return encode_rlp([*unsigned]), v - _LEGACY_V
    chain_id, parity = divmod(v - _CHAIN_V, 2)
    return encode_rlp([*unsigned, encode_integer(chain_id), b"", b""]), parity


def _integer(value: Any) -> int:
    return int(value, 16)


def _bytes(value: Any) -> bytes:
    return b"" if value is None else bytes.fromhex(value.removeprefix("0x"))


def _number(value: Any) -> RlpItem:
    return encode_integer(_integer(value))


def _access(value: Any) -> RlpItem:
    return [[_bytes(entry["address"]), [_bytes(key) for key in entry["storageKeys"]]] for entry in value]


def _authorizations(value: Any) -> RlpItem:
    return [
        [
            _number(entry["chainId"]),
            _bytes(entry["address"]),
            *(_number(entry[name]) for name in ("nonce", "yParity", "r", "s")),
        ]
        for entry in value
    ]


_FIELDS: Mapping[str, Callable[[Any], RlpItem]] = {
    **dict.fromkeys(
        (
            "chainId",
            "nonce",
            "gasPrice",
            "maxPriorityFeePerGas",
            "maxFeePerGas",
            "gas",
            "value",
            "maxFeePerBlobGas",
        ),
        _number,
    ),
    "to": _bytes,
    "input": _bytes,
    "accessList": _access,
    "blobVersionedHashes": lambda value: [_bytes(entry) for entry in value],
    "authorizationList": _authorizations,
}
_DYNAMIC = ("chainId", "nonce", "maxPriorityFeePerGas", "maxFeePerGas", "gas", "to", "value", "input", "accessList")
_KINDS: Mapping[int, Sequence[str]] = {
    0: ("nonce", "gasPrice", "gas", "to", "value", "input"),
    1: ("chainId", "nonce", "gasPrice", "gas", "to", "value", "input", "accessList"),
    2: _DYNAMIC,
    3: (*_DYNAMIC, "maxFeePerBlobGas", "blobVersionedHashes"),
    4: (*_DYNAMIC, "authorizationList"),
}
"""Signed fields of each type of transaction, in order: yellow paper, EIP-2930, EIP-1559, EIP-4844, EIP-7702."""


# Fetches all receipts of a block, by whichever call the node has. The receipts root is checked, whatever the call.
#
# `eth_getBlockReceipts` takes one request, and engines from 2024 on have it; `debug_getRawReceipts` takes two, and
# Geth's descendants have it where the debug API is switched on; `eth_getTransactionReceipt` takes one for each
# transaction, and every node has it. The last two know no order, so the block's transactions are asked for as well.

_RECEIPT_DEPTH = 4
"""Lists within a receipt: receipt, logs, log, topics."""
_LEGACY = 0xC0
"""An encoding that begins with at least this is a list, so that no type precedes it (EIP-2718)."""
_UINT64 = 8


class Ask(Protocol):
    """Sends a request, as `millmark.ledger.chain.node.Node` does."""

    def __call__(self, method: str, params: list[Any], parse: Callable[[Any], T]) -> T: ...


class AskAll(Protocol):
    """Sends several requests at once, as `millmark.ledger.chain.node.Node` does."""

    def __call__(self, questions: Sequence[tuple[str, list[Any], Callable[[Any], T]]]) -> list[T | ChainError]: ...


class BlockReceipts:
    """Asks one node. Remembers the call that it has, until it lacks it or does not answer: then it may be another one,
    or a newer version."""

    def __init__(self, ask: Ask, ask_all: AskAll, transactions: Callable[[Header], Sequence[BlockTransaction]]) -> None:
        """`transactions`: those of a block, all of them and no others. Raises ChainError."""
        self._ask = ask
        self._ask_all = ask_all
        self._transactions = transactions
        self._calls = (self._by_block, self._by_encoding, self._by_transaction)
        self._call: Callable[[Header], tuple[Receipt, ...]] | None = None
        """The call that the node had last; None if that is not known."""

    def fetch(self, header: Header) -> tuple[Receipt, ...]:
        """All receipts of one block. Raises ChainUnreachableError if any could be missing or changed, ChainError if the
        node has no call for them. `contract_address` of a receipt is None if the call does not tell it."""
        if header.receipts_root == EMPTY_ROOT:
            return ()
        remembered, self._call = self._call, None  # forgotten if this fails
        calls = self._calls if remembered is None else (remembered, *self._calls)
        for call in calls:
            try:
                found = call(header)
            except MethodMissingError as error:
                missing = error
            else:
                self._call = call
                return found
        raise missing

    def fetch_each(self, headers: Sequence[Header]) -> Iterator[tuple[Receipt, ...] | ChainError]:
        """Like `fetch` for each block, all asked for at once if the node is known to have a call that takes one request
        for a block. In place of an answer that failed stands its error."""
        asked = [header for header in headers if header.receipts_root != EMPTY_ROOT]
        answers: Iterator[tuple[Receipt, ...] | ChainError] | None = None
        if self._call == self._by_block and len(asked) > 1:
            answers = iter(self._ask_all([_block_question(header) for header in asked]))
        for header in headers:
            answer = next(answers) if answers is not None and header.receipts_root != EMPTY_ROOT else None
            # Another node may answer behind the same address, which lacks the call: then each is asked for in turn.
            yield self._fetch_or_error(header) if answer is None or isinstance(answer, MethodMissingError) else answer

    def _fetch_or_error(self, header: Header) -> tuple[Receipt, ...] | ChainError:
        try:
            return self.fetch(header)
        except ChainError as error:
            return error

    def _by_block(self, header: Header) -> tuple[Receipt, ...]:
        return self._ask(*_block_question(header))

    def _by_encoding(self, header: Header) -> tuple[Receipt, ...]:
        method = "debug_getRawReceipts"
        encoded = self._ask(method, [_hex(header.hash)], lambda raw: _verified_encodings(raw, header))
        hashes = [one.hash for one in self._transactions(header)]
        return parse_answer(method, encoded, lambda encoded: _decode(encoded, hashes, header))

    def _by_transaction(self, header: Header) -> tuple[Receipt, ...]:
        method, hashes = "eth_getTransactionReceipt", [one.hash for one in self._transactions(header)]
        raw = [self._ask(method, [_hex(one)], lambda answer: answer) for one in hashes]
        found = parse_answer(method, raw, lambda raw: _verified(raw, header))
        if [one.transaction_hash for one in found] != hashes:
            raise ChainUnreachableError(f"the receipts of block {header.number} are of other transactions", hint=HINT)
        return found


def _block_question(header: Header) -> tuple[str, list[Any], Callable[[Any], tuple[Receipt, ...]]]:
    return "eth_getBlockReceipts", [_hex(header.hash)], lambda raw: _verified(raw, header)


def _verified(raw: Any, header: Header) -> tuple[Receipt, ...]:
    """Parse the receipts of a block in JSON form. Raises ValueError if any could be missing or changed."""
    receipts = [parse_receipt(entry) for entry in raw]
    encoded = [
        encode_receipt(
            parse_number(entry.get("type", "0x0")),
            receipt.succeeded,
            parse_number(entry["cumulativeGasUsed"]),
            parse_sized(entry["logsBloom"], 256),
            [(log.address, log.topics, log.data) for log in receipt.logs],
        )
        for entry, receipt in zip(raw, receipts, strict=True)
    ]
    logs = [log for receipt in receipts for log in receipt.logs]
    places = [(log.log_index, log.block_hash, log.block_number) for log in logs]
    # The root covers neither the logs' numbering nor the block's hash and number.
    expected = [(place, header.hash, header.number) for place in range(len(logs))]
    is_of_block = all((one.block_hash, one.block_number) == (header.hash, header.number) for one in receipts)
    if build_root(encoded) != header.receipts_root or places != expected or not is_of_block:
        raise ValueError("the receipts do not match the block's receipts root")
    return tuple(receipts)


def _verified_encodings(raw: Any, header: Header) -> list[bytes]:
    encoded = [parse_bytes(entry) for entry in raw]
    if b"" in encoded or build_root(encoded) != header.receipts_root:
        raise ValueError("the receipts do not match the block's receipts root")
    return encoded


def _decode(encoded: Sequence[bytes], hashes: Sequence[bytes], header: Header) -> tuple[Receipt, ...]:
    """Decode the receipts of a block (EIP-2718), whose root was verified. Raises ProofError, ValueError."""
    receipts: list[Receipt] = []
    before, place = 0, 0
    for data, transaction_hash in zip(encoded, hashes, strict=True):
        receipt: Any = decode_rlp(data[data[0] < _LEGACY :], max_depth=_RECEIPT_DEPTH)
        status, cumulative, _, shown = receipt
        used = decode_integer(cumulative, _UINT64)
        logs = [
            RawLog(bytes(address), tuple(topics), bytes(content), header.number, header.hash, transaction_hash, at)
            for at, (address, topics, content) in enumerate(shown, place)
        ]
        receipts.append(
            Receipt(
                transaction_hash=transaction_hash,
                succeeded=status == b"\1",
                block_number=header.number,
                block_hash=header.hash,
                gas_used=used - before,
                contract_address=None,
                logs=tuple(logs),
            )
        )
        before, place = used, place + len(logs)
    return tuple(receipts)


def _hex(value: bytes) -> str:
    return "0x" + value.hex()
