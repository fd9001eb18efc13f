"""Merkle trees over SHA-256 as in RFC 9162 section 2.1: roots, inclusion proofs, consistency proofs.

A proof is a list of 32-byte node hashes, lowest level first. The tree of size zero has a root, but there are no
consistency proofs from it: it is consistent with every tree, so such a proof would establish nothing.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence

from millmark.ledger.errors import ProofError

HASH_BYTES = 32
MAX_TREE_SIZE = 2**64 - 1
"""Tree sizes are serialised as unsigned 64-bit integers."""

_sha256 = hashlib.sha256
EMPTY_ROOT = _sha256(b"").digest()
"""Root of the tree of size zero (RFC 9162 section 2.1.1)."""


def leaf_hash(data: bytes) -> bytes:
    """Return SHA-256(0x00 || data)."""
    return _sha256(b"\x00" + data).digest()


def hash_leaves(data: Iterable[bytes]) -> list[bytes]:
    """As `leaf_hash`, of many leaves: a call for each would take longer than hashing a short one."""
    return [_sha256(b"\x00" + one).digest() for one in data]


def hash_pairs(nodes: Sequence[bytes]) -> list[bytes]:
    """As `node_hash`, of the first two nodes, the next two and so on; a last one without a sibling is left out.
    Inlined: the calls would take a third of the time to build a tree."""
    rest = iter(nodes)
    return [_sha256(b"\x01" + left + right).digest() for left, right in zip(rest, rest, strict=False)]


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return SHA-256(0x01 || left || right)."""
    return _sha256(b"\x01" + left + right).digest()


class Tree:
    """An append-only tree in memory, with roots and proofs for its current size and every earlier one.

    Level k contains the hashes of the complete subtrees of 2^k leaves, left to right: about 2N hashes for N leaves.
    None of them ever changes, so earlier sizes need no state of their own.
    """

    __slots__ = ("_edges", "_levels")

    def __init__(self, leaf_hashes: Iterable[bytes] = ()) -> None:
        self._levels: list[list[bytes]] = [[]]
        self._edges: tuple[int, dict[int, bytes]] = (0, {})
        """Size of the tree of the latest proof, and roots from a leaf to the last one, which many proofs share."""
        self.extend(leaf_hashes)

    @property
    def size(self) -> int:
        """Number of leaves."""
        return len(self._levels[0])

    def append(self, leaf: bytes) -> int:
        """Add a leaf hash and return its index. Raises ProofError if it does not have 32 bytes."""
        self.extend((leaf,))
        return self.size - 1

    def extend(self, leaf_hashes: Iterable[bytes]) -> None:
        """Add leaf hashes in order. Raises ProofError, and adds none, if one of them does not have 32 bytes."""
        added = list(leaf_hashes)
        if set(map(type, added)) != {bytes} or set(map(len, added)) != {HASH_BYTES}:  # seen at once: they are many
            for leaf in added:
                _check_hash("leaf hash", leaf)
        self._levels[0] += added
        for number, below in enumerate(self._levels):
            if len(below) < 2:
                return
            if number + 1 == len(self._levels):
                self._levels.append([])
            level = self._levels[number + 1]
            start = 2 * len(level)
            level += hash_pairs(below[start:])  # an odd last one has no parent yet

    def root(self, size: int | None = None) -> bytes:
        """Return the root of the first `size` leaves, by default all. Raises ProofError if there are fewer."""
        size = self._known_size(size)
        return self._range_root(0, size) if size else EMPTY_ROOT

    def inclusion_proof(self, index: int, size: int | None = None) -> list[bytes]:
        """Return the inclusion proof of leaf `index` in the first `size` leaves (RFC 9162 section 2.1.3.1). Raises
        ProofError unless 0 <= index < size <= the tree's size."""
        size = self._known_size(size)
        _check_below("index", index, size)
        # The tree consists of complete subtrees, one for each bit of its size, the largest at the left. The leaf's own
        # one is of the highest bit in which index and size differ.
        levels, height = self._levels, (index ^ size).bit_length() - 1
        proof = [levels[level][(index >> level) ^ 1] for level in range(height)]
        right = ((index >> height) + 1) << height
        if right < size:
            proof.append(self._edge_root(right, size))
        for level in range(height + 1, size.bit_length()):
            if size >> level & 1:
                proof.append(levels[level][(size >> level) - 1])
        return proof

    def consistency_proof(self, first: int, second: int | None = None) -> list[bytes]:
        """Return the consistency proof from size `first` to size `second` (RFC 9162 section 2.1.4.1). Raises ProofError
        unless 0 < first <= second <= the tree's size."""
        second = self._known_size(second)
        _check_size("first size", first)
        if not 0 < first <= second:
            raise ProofError(f"there is no consistency proof from size {first} to size {second}")
        if first == second:
            return []
        shift = (first & -first).bit_length() - 1
        # The last complete subtree of the first tree is needed unless it is the whole tree: the verifier has its root.
        known = [] if first == 1 << shift else [self._range_root(first - (1 << shift), first)]
        path = [span for span in _siblings(first - 1, second) if span[0] >= first or span[1] <= first - (1 << shift)]
        return known + [self._range_root(low, high) for low, high in reversed(path)]

    def multiproof(self, indices: Iterable[int]) -> list[bytes]:
        """Return the roots of the largest subtrees that contain none of the leaves `indices`, left to right. From them
        and the leaves, `root_from_multiproof` computes the root. Raises ProofError if an index is not in the tree."""
        shown = sorted(set(indices))
        for index in shown:
            _check_below("index", index, self.size)
        return [self._range_root(low, high) for low, high in _hidden_ranges(shown, 0, self.size)]

    def _known_size(self, size: int | None) -> int:
        if size is None:
            return self.size
        _check_size("size", size)
        if size > self.size:
            raise ProofError(f"size {size} is larger than the tree's size {self.size}")
        return size

    def _edge_root(self, low: int, size: int) -> bytes:
        """As `_range_root` up to the last leaf, remembered: unlike the hashes in the levels, it has to be computed."""
        edges = self._edges
        if edges[0] != size:
            edges = self._edges = (size, {})
        roots = edges[1]
        if low not in roots:
            roots[low] = self._range_root(low, size)
        return roots[low]

    def _range_root(self, low: int, high: int) -> bytes:
        """Root of leaves low..high-1, where `low` is a multiple of the largest power of two up to high - low."""
        peaks = []
        while low < high:
            level = (high - low).bit_length() - 1
            peaks.append(self._levels[level][low >> level])
            low += 1 << level
        root = peaks.pop()
        while peaks:
            root = node_hash(peaks.pop(), root)
        return root


def verify_inclusion(leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Verify that `leaf_hash` is leaf `index` of the tree of `size` leaves with `root` (RFC 9162 section 2.1.3.2).
    Raises ProofError. Not established: which data has this leaf hash, or that anybody committed to the root."""
    _check_hash("leaf hash", leaf_hash)
    _check_hash("root", root)
    _check_size("size", size)
    _check_below("index", index, size)
    path = list(_siblings(index, size))[::-1]
    # Index and size determine the exact number of hashes, so nothing can be hidden in a longer proof.
    _check_proof(proof, len(path))
    running = leaf_hash
    for (low, _), sibling in zip(path, proof, strict=True):
        running = node_hash(sibling, running) if low < index else node_hash(running, sibling)
    if running != root:
        raise ProofError(f"leaf {index} is not in the tree of size {size} with root 0x{root.hex()}")


def verify_consistency(
    first_size: int, second_size: int, proof: Sequence[bytes], first_root: bytes, second_root: bytes
) -> None:
    """Verify that the second tree extends the first (RFC 9162 section 2.1.4.2).

    For equal sizes the roots must be equal and the proof empty. Raises ProofError, also for a first size of zero unless
    both trees are empty: every tree extends the empty one.
    """
    _check_size("first size", first_size)
    _check_size("second size", second_size)
    _check_hash("first root", first_root)
    _check_hash("second root", second_root)
    if first_size == second_size:
        _check_proof(proof, 0)
        if first_root != second_root or (first_size == 0 and first_root != EMPTY_ROOT):
            raise ProofError(f"there are two different roots for size {first_size}")
        return
    if not 0 < first_size < second_size:
        raise ProofError(f"there is no consistency proof from size {first_size} to size {second_size}")
    shift = (first_size & -first_size).bit_length() - 1
    start = first_size - (1 << shift)
    path = [span for span in _siblings(first_size - 1, second_size) if span[0] >= first_size or span[1] <= start]
    path.reverse()
    _check_proof(proof, len(path) + (start != 0))
    rest = iter(proof)
    # Both roots are computed from the same nodes; the second tree has more of them on the right.
    first = second = next(rest) if start else first_root
    for (low, _), sibling in zip(path, rest, strict=True):
        if low < first_size:
            first = node_hash(sibling, first)
            second = node_hash(sibling, second)
        else:
            second = node_hash(second, sibling)
    if first != first_root or second != second_root:
        raise ProofError(f"the tree of size {second_size} does not extend the one of size {first_size}")


def root_from_multiproof(size: int, leaves: Mapping[int, bytes], proof: Sequence[bytes]) -> bytes:
    """Compute the root from a multiproof: the hashes of leaves, each under its index, and the roots of subtrees.

    Every element of the proof is used exactly once, else ProofError is raised. The time is proportional to the number
    of leaves times the logarithm of `size`, not to `size`, which an attacker may choose.
    """
    _check_size("size", size)
    shown = sorted(leaves)
    for index in shown:
        _check_below("index", index, size)
        _check_hash("leaf hash", leaves[index])
    if not shown:
        raise ProofError("a proof must have at least one leaf")
    hidden = list(_hidden_ranges(shown, 0, size))
    _check_proof(proof, len(hidden))
    known = dict(zip(hidden, proof, strict=True))
    known.update({(index, index + 1): leaf for index, leaf in leaves.items()})
    return _fold(known, 0, size)


def _fold(known: Mapping[tuple[int, int], bytes], low: int, high: int) -> bytes:
    # Recursion is at most 64 levels deep, since sizes are below 2^64.
    if (found := known.get((low, high))) is not None:
        return found
    middle = low + _split(high - low)
    return node_hash(_fold(known, low, middle), _fold(known, middle, high))


def _hidden_ranges(shown: Sequence[int], low: int, high: int) -> Iterator[tuple[int, int]]:
    """Leaf ranges of the largest subtrees of low..high-1 that contain no index of the sorted `shown`, left to right."""
    position = bisect_left(shown, low)
    if position == len(shown) or shown[position] >= high:
        if low < high:
            yield low, high
    elif high - low > 1:
        middle = low + _split(high - low)
        yield from _hidden_ranges(shown, low, middle)
        yield from _hidden_ranges(shown, middle, high)


def _siblings(index: int, size: int) -> Iterator[tuple[int, int]]:
    """Leaf ranges of the siblings on the path to leaf `index`, from the root down."""
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            yield middle, high
            high = middle
        else:
            yield low, middle
            low = middle


def _split(width: int) -> int:
    """The largest power of two below `width` (RFC 9162 section 2.1.1)."""
    return 1 << ((width - 1).bit_length() - 1)


def _check_hash(name: str, value: object) -> None:
    # Without the length check, an attacker could shift bytes between the two halves of a node and keep its hash.
    if not isinstance(value, bytes) or len(value) != HASH_BYTES:
        raise ProofError(f"{name} does not have {HASH_BYTES} bytes")


def _check_size(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_TREE_SIZE:  # bool is an int, too
        raise ProofError(f"{name} is not an integer from 0 to 2^64 - 1")


def _check_below(name: str, value: object, size: int) -> None:
    _check_size(name, value)
    if value >= size:  # type: ignore[operator]  # an int, by the line above
        raise ProofError(f"{name} {value} is not in a tree of size {size}")


def _check_proof(proof: object, expected: int) -> None:
    if not isinstance(proof, (list, tuple)):
        raise ProofError("a proof must be a list of hashes")
    if len(proof) != expected:
        raise ProofError(f"the proof has {len(proof)} hashes instead of {expected}")
    for number, element in enumerate(proof):
        _check_hash(f"proof element {number}", element)
