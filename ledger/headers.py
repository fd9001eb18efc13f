"""Block headers: parsed from the bytes whose Keccak-256 is the block's hash, for every fork in use.

The bytes are the RLP list of the header's fields (yellow paper, section 4.4.3; EIP-1559, EIP-4895, EIP-4844, EIP-4788,
EIP-7685). Engines with seals in `extraData` (Besu and GoQuorum QBFT) do not hash the seals. For them, the bytes are
the header as it is hashed, with round 0 and an empty list of committed seals (`build_qbft_preimage`). Not established:
who produced or sealed a block.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from millmark.ledger.canonical import keccak256
from millmark.ledger.errors import ProofError

# RLP, the encoding of tries and headers (Ethereum yellow paper, appendix B), in its canonical form only.
#
# Supports what proofs need: byte strings and lists of them. Decoding refuses every encoding but the canonical one, so
# an item has exactly one encoding, and no byte of it can change unnoticed.

RlpItem: TypeAlias = "bytes | Sequence[RlpItem]"
"""Decoding returns `bytes` and `list`; encoding also accepts tuples."""

_SHORT = 55
"""Longest payload whose length is encoded in the first byte."""
_SINGLE = tuple(bytes([value]) for value in range(256))


def encode_rlp(item: RlpItem) -> bytes:
    """Return the canonical encoding of an item."""
    if not isinstance(item, bytes):
        return encode_list(map(encode_rlp, item))
    return item if len(item) == 1 and item[0] < 0x80 else _prefix(len(item), 0x80) + item


def encode_list(encoded: Iterable[bytes]) -> bytes:
    """Return the encoding of a list of items that are encoded already."""
    payload = b"".join(encoded)
    return _prefix(len(payload), 0xC0) + payload


def encode_integer(value: int) -> bytes:
    """Return the byte string for an integer that is not negative: big-endian without leading zeros; empty for zero."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def decode_integer(item: RlpItem, most_bytes: int) -> int:
    """Return the integer that an item encodes. Raises ProofError if the item is a list, is longer than `most_bytes`
    bytes, or has a leading zero."""
    if not isinstance(item, bytes) or len(item) > most_bytes or item[:1] == b"\0":
        raise ProofError(f"an RLP item is not an integer of at most {most_bytes} bytes")
    return int.from_bytes(item, "big")


def decode_rlp(data: bytes, *, max_depth: int) -> RlpItem:
    """Decode the single item that `data` consists of. The caller must bound the length of `data`.

    Raises ProofError if it is truncated, bytes follow it, lists are nested more than `max_depth` levels deep, or it is
    not in canonical form.
    """
    if not isinstance(data, bytes):
        raise ProofError("RLP must be passed as bytes")
    item, end = _item(data, 0, len(data), max_depth)
    if end != len(data):
        raise ProofError(f"the RLP has {len(data) - end} bytes too many")
    return item


def _prefix(length: int, base: int) -> bytes:
    if length <= _SHORT:
        return _SINGLE[base + length]
    size = encode_integer(length)
    return _SINGLE[base + _SHORT + len(size)] + size


def _item(data: bytes, position: int, limit: int, depth: int) -> tuple[RlpItem, int]:
    """Decode the item at `position`, which must end at `limit` or before. Returns the item and where it ends."""
    if position >= limit:
        raise ProofError("the RLP ends too early")
    first = data[position]
    if first < 0x80:
        return data[position : position + 1], position + 1
    start, end = _payload(data, position, limit, 0x80 if first < 0xC0 else 0xC0)
    if first < 0xC0:
        text = data[start:end]
        if len(text) == 1 and text[0] < 0x80:
            raise ProofError("the RLP encodes a byte in two bytes where one suffices")
        return text, end
    if not depth:  # bounds the recursion
        raise ProofError("the RLP is nested too deeply")
    items = []
    while start < end:
        item, start = _item(data, start, end, depth - 1)
        items.append(item)
    return items, end


def _payload(data: bytes, position: int, limit: int, base: int) -> tuple[int, int]:
    """Where the payload of the item at `position` starts and ends."""
    length, start = data[position] - base, position + 1
    if length > _SHORT:
        size = length - _SHORT
        digits = data[start : min(start + size, limit)]
        length, start = int.from_bytes(digits, "big"), start + size
        # A length with leading zeros, or one that fits in the first byte, would be a second encoding of the same item.
        if len(digits) < size or digits[0] == 0 or length <= _SHORT:
            raise ProofError("an RLP length is cut off or not in its shortest form")
    if length > limit - start:
        raise ProofError("the RLP ends too early")
    return start, start + length


MAX_HEADER_BYTES = 16_384
"""`extraData` has at most 32 bytes on public networks; with QBFT it also lists the validators, 21 bytes each."""

_UINT64, _UINT256 = 8, 32
_ANY = -1
_INTEGER, _BYTES = True, False

FIELDS = (
    ("parentHash", _BYTES, 32),
    ("sha3Uncles", _BYTES, 32),
    ("miner", _BYTES, 20),
    ("stateRoot", _BYTES, 32),
    ("transactionsRoot", _BYTES, 32),
    ("receiptsRoot", _BYTES, 32),
    ("logsBloom", _BYTES, 256),
    ("difficulty", _INTEGER, _UINT256),
    ("number", _INTEGER, _UINT64),
    ("gasLimit", _INTEGER, _UINT64),
    ("gasUsed", _INTEGER, _UINT64),
    ("timestamp", _INTEGER, _UINT64),
    ("extraData", _BYTES, _ANY),
    ("mixHash", _BYTES, 32),
    ("nonce", _BYTES, 8),
    ("baseFeePerGas", _INTEGER, _UINT256),
    ("withdrawalsRoot", _BYTES, 32),
    ("blobGasUsed", _INTEGER, _UINT64),
    ("excessBlobGas", _INTEGER, _UINT64),
    ("parentBeaconBlockRoot", _BYTES, 32),
    ("requestsHash", _BYTES, 32),
)
"""(name in JSON-RPC, whether it is an integer, bytes: exact for a byte string, the maximum for an integer)."""

_COUNTS = (15, 16, 17, 20, 21)
"""Number of fields in a header: before London, London, Shanghai, Cancun, Prague."""
_PLACES = {name: place for place, (name, _, _) in enumerate(FIELDS)}
_QBFT_ITEMS = 5


@dataclass(frozen=True, slots=True)
class BlockHeader:
    """The fields of a block header that proofs need. All hashes and roots have 32 bytes."""

    hash: bytes
    """Keccak-256 of the encoded header."""
    number: int
    parent_hash: bytes
    state_root: bytes
    receipts_root: bytes
    timestamp: int
    """Seconds since 1970."""
    extra_data: bytes


def parse_header(data: bytes) -> BlockHeader:
    """Parse an encoded header. Raises ProofError when the bytes are too long or not canonical RLP, when the number of
    fields is not that of a known fork, or when a field has a wrong size."""
    _check_size(data)
    items = decode_rlp(data, max_depth=1)
    _check_items(items)
    fields: list[bytes] = [item for item in items if isinstance(item, bytes)]
    return BlockHeader(
        hash=keccak256(data),
        number=_number(fields, "number"),
        parent_hash=fields[_PLACES["parentHash"]],
        state_root=fields[_PLACES["stateRoot"]],
        receipts_root=fields[_PLACES["receiptsRoot"]],
        timestamp=_number(fields, "timestamp"),
        extra_data=fields[_PLACES["extraData"]],
    )


def _check_size(data: bytes) -> None:
    if not isinstance(data, bytes) or len(data) > MAX_HEADER_BYTES:
        raise ProofError(f"a block header has more than {MAX_HEADER_BYTES} bytes")


def _check_items(items: RlpItem) -> None:
    if isinstance(items, bytes) or len(items) not in _COUNTS:
        raise ProofError("the number of fields in a block header is not that of any known fork")
    for (name, is_integer, size), item in zip(FIELDS, items, strict=False):  # earlier forks have fewer fields
        _check_field(name, is_integer, size, item)


def encode_header(fields: Sequence[bytes]) -> bytes:
    """Encode a header's fields, given in the order of `FIELDS`, integers without leading zeros. Raises ProofError when
    `parse_header` would refuse the result."""
    data = encode_rlp(list(fields))
    _check_size(data)
    # Decoding the result would find the same fields again.
    _check_items(fields)
    for name in ("number", "timestamp"):
        _number(fields, name)
    return data


def replace_extra(data: bytes, extra_data: bytes) -> bytes:
    """Return an encoded header with another `extraData`. Raises ProofError when `parse_header` would refuse either."""
    parse_header(data)
    items = decode_rlp(data, max_depth=1)
    fields = [bytes(item) for item in items if isinstance(item, bytes)]
    fields[_PLACES["extraData"]] = extra_data
    return encode_header(fields)


def build_qbft_preimage(data: bytes) -> bytes:
    """Return the bytes whose Keccak-256 is a QBFT block's hash, from the header as the chain stores it.

    `extraData` is the list (vanity, validators, vote, round, committed seals). The hash covers it with round 0 and no
    seals (QBFT specification, "Block hashing"; Besu, GoQuorum). Raises ProofError when `extraData` is not such a list.
    """
    header = parse_header(data)
    extra = decode_rlp(header.extra_data, max_depth=2)
    if isinstance(extra, bytes) or len(extra) != _QBFT_ITEMS:
        raise ProofError("the block header's extraData is not that of a QBFT chain")
    return replace_extra(data, encode_rlp([*extra[:3], b"", []]))  # the integer 0 is the empty string in RLP


def hashed_header(data: bytes, block_hash: bytes) -> bytes | None:
    """Return the bytes whose Keccak-256 is the block's hash: the header as the chain stores it or, on QBFT chains,
    without its seals; None if neither has that hash. Only the right form can have it, whatever the engine.

    Raises ProofError when `data` is not a header.
    """
    if keccak256(data) == block_hash:
        parse_header(data)
        return data
    try:
        preimage = build_qbft_preimage(data)
    except ProofError:
        return None
    return preimage if keccak256(preimage) == block_hash else None


def _check_field(name: str, is_integer: bool, size: int, item: RlpItem) -> None:
    if is_integer:
        decode_integer(item, size)
    elif not isinstance(item, bytes) or (size != _ANY and len(item) != size):
        raise ProofError(f"the block header's {name} is not {'bytes' if size == _ANY else f'{size} bytes'}")


def _number(fields: Sequence[bytes], name: str) -> int:
    number = int.from_bytes(fields[_PLACES[name]], "big")
    if number >> 63:  # a uint64 in the header, but a signed column in databases
        raise ProofError(f"the block header's {name} is not below 2^63")
    return number
