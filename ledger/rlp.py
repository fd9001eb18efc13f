"""RLP, the encoding of tries and headers (Ethereum yellow paper, appendix B), in its one canonical form.

Only what a proof needs: byte strings and lists of them. A text that another reader could take for the same item is
refused, so an item has one encoding, and no byte of an encoding is without meaning.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from ledger.errors import ProofError

__all__ = ["RlpItem", "decode_integer", "decode_rlp", "encode_integer", "encode_rlp"]

RlpItem: TypeAlias = "bytes | Sequence[RlpItem]"
"""Decoding gives `bytes` and `list`; encoding also takes tuples."""

_SHORT = 55
"""Longest payload whose length is in the first byte."""


def encode_rlp(item: RlpItem) -> bytes:
    """The canonical encoding of an item."""
    if isinstance(item, bytes):
        return item if len(item) == 1 and item[0] < 0x80 else _prefix(len(item), 0x80) + item
    payload = b"".join(encode_rlp(part) for part in item)
    return _prefix(len(payload), 0xC0) + payload


def encode_integer(value: int) -> bytes:
    """An integer as RLP carries it: big-endian without leading zeros; zero is empty."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def decode_integer(item: RlpItem, most_bytes: int) -> int:
    """The integer of at most `most_bytes` bytes that an item stands for. Raises ProofError for a list, a longer one, or
    one with a leading zero."""
    if not isinstance(item, bytes) or len(item) > most_bytes or item[:1] == b"\0":
        raise ProofError(f"an RLP item is no integer of at most {most_bytes} bytes")
    return int.from_bytes(item, "big")


def decode_rlp(data: bytes, *, max_depth: int) -> RlpItem:
    """Parse one item that fills `data`, lists at most `max_depth` deep. The caller bounds the length of `data`.

    Raises ProofError for what is truncated, has bytes left over, nests deeper, or is not in canonical form.
    """
    if not isinstance(data, bytes):
        raise ProofError("RLP is parsed from bytes")
    item, end = _item(data, 0, len(data), max_depth)
    if end != len(data):
        raise ProofError(f"RLP has {len(data) - end} bytes too many")
    return item


def _prefix(length: int, base: int) -> bytes:
    if length <= _SHORT:
        return bytes([base + length])
    size = encode_integer(length)
    return bytes([base + _SHORT + len(size)]) + size


def _item(data: bytes, position: int, limit: int, depth: int) -> tuple[RlpItem, int]:
    """The item at `position`, which must end by `limit`, and where it ends."""
    if position >= limit:
        raise ProofError("RLP ends too early")
    first = data[position]
    if first < 0x80:
        return data[position : position + 1], position + 1
    start, end = _payload(data, position, limit, 0x80 if first < 0xC0 else 0xC0)
    if first < 0xC0:
        text = data[start:end]
        if len(text) == 1 and text[0] < 0x80:
            raise ProofError("RLP encodes a byte in two where one does")
        return text, end
    if not depth:
        raise ProofError("RLP nests too deeply")
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
        if len(digits) < size or digits[0] == 0 or length <= _SHORT:
            raise ProofError("RLP has a length that is cut off or not in its shortest form")
    if length > limit - start:
        raise ProofError("RLP ends too early")
    return start, start + length
