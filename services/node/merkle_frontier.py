"""The right edge of a growing Merkle tree (RFC 9162 section 2.1): its root in memory that does not grow with it."""

from __future__ import annotations

from collections.abc import Sequence

from ledger.merkle import EMPTY_ROOT, node_hash

__all__ = ["MerkleFrontier"]


_HASH_BYTES = 32


class MerkleFrontier:
    """Roots of the complete subtrees that the leaves so far fall into, the largest first."""

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        """Raises ValueError for peaks that are not those of `size` leaves."""
        if size < 0 or len(peaks) != size.bit_count() or any(len(peak) != _HASH_BYTES for peak in peaks):
            raise ValueError(f"{len(peaks)} peaks are not those of {size} leaves")
        self.size = size
        self._peaks = list(peaks)

    @property
    def peaks(self) -> tuple[bytes, ...]:
        return tuple(self._peaks)

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Adds leaf hashes, 32 bytes each: level by level, the peak that is there joins what comes, and what is left
        over becomes the peak."""
        size, nodes, left = self.size, list(leaves), []
        while nodes:
            if size & 1:
                nodes.insert(0, self._peaks.pop())
            if len(nodes) & 1:
                left.append(nodes.pop())
            nodes = list(map(node_hash, nodes[::2], nodes[1::2]))
            size >>= 1
        self._peaks += reversed(left)
        self.size += len(leaves)

    def root(self) -> bytes:
        if not self._peaks:
            return EMPTY_ROOT
        *left, root = self._peaks
        for peak in reversed(left):
            root = node_hash(peak, root)
        return root
