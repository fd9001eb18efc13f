"""Whether a block may hold logs of a contract (Ethereum yellow paper, section 4.3.1)."""

from __future__ import annotations

from millmark.ledger.canonical import keccak256


def may_contain(bloom: bytes, value: bytes) -> bool:
    """Whether the block may have a log with `value`, an address or a topic. False is certain, True proves nothing.

    `bloom` is 256 bytes, a number of 2048 bits, most significant first.
    """
    digest = keccak256(value)
    bits = (int.from_bytes(digest[start : start + 2], "big") % 2048 for start in (0, 2, 4))
    return all(bloom[255 - bit // 8] >> bit % 8 & 1 for bit in bits)
