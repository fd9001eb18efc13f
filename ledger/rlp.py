"""RLP, the encoding of tries and headers (Ethereum yellow paper, appendix B), in its canonical form only.

Supports what proofs need: byte strings and lists of them. Decoding refuses every encoding but the canonical one, so an
item has exactly one encoding, and no byte of it can change unnoticed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from millmark.ledger.errors import ProofError

RlpItem: TypeAlias = "bytes | Sequence[RlpItem]"
"""Decoding returns `bytes` and `list`; encoding also accepts tuples."""

_SHORT = 55
"""Longest payload whose length is encoded in the first byte."""
_BYTES = tuple(bytes([value]) for value in range(256))


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
    """Return the integer that an item encodes.

    Raises ProofError if the item is a list, is longer than `most_bytes` bytes, or has a leading zero.
    """
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
        return _BYTES[base + length]
    size = encode_integer(length)
    return _BYTES[base + _SHORT + len(size)] + size


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
