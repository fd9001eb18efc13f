"""Computes the root of a growing Merkle tree (RFC 9162 section 2.1) in logarithmic memory."""

from __future__ import annotations

from collections.abc import Sequence

from millmark.ledger.merkle import EMPTY_ROOT, hash_pairs, node_hash

_HASH_BYTES = 32


class MerkleFrontier:
    """The peaks of the tree: roots of the complete subtrees into which its leaves divide, largest first."""

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        """Raises ValueError if the number of peaks or their length cannot be that of `size` leaves. Does not establish
        that the peaks are right."""
        if size < 0 or len(peaks) != size.bit_count() or any(len(peak) != _HASH_BYTES for peak in peaks):
            raise ValueError(f"a tree of {size} leaves cannot have these {len(peaks)} peaks")
        self.size = size
        self._peaks = list(peaks)

    @property
    def peaks(self) -> tuple[bytes, ...]:
        return tuple(self._peaks)

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Adds leaf hashes, 32 bytes each."""
        # Level by level instead of leaf by leaf. If a level has a peak, it is the left sibling of the first new node;
        # a last node without a sibling becomes the level's new peak.
        size, nodes, left = self.size, list(leaves), []
        while nodes:
            if size & 1:
                nodes.insert(0, self._peaks.pop())
            if len(nodes) & 1:
                left.append(nodes.pop())
            nodes = hash_pairs(nodes)
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
