"""The right edge of a growing Merkle tree (RFC 9162 section 2.1): its root in memory that does not grow with it."""

from __future__ import annotations

from ledger.merkle import EMPTY_ROOT, node_hash

__all__ = ["Peaks"]


class Peaks:
    """Roots of the complete subtrees that the leaves so far fall into, the largest first."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []

    def append(self, leaf: bytes) -> None:
        """Adds a leaf hash, 32 bytes."""
        size, node = self.size, leaf
        while size & 1:
            node = node_hash(self._peaks.pop(), node)
            size >>= 1
        self._peaks.append(node)
        self.size += 1

    def root(self) -> bytes:
        if not self._peaks:
            return EMPTY_ROOT
        *left, root = self._peaks
        for peak in reversed(left):
            root = node_hash(peak, root)
        return root
