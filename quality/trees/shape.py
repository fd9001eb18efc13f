"""Turns a tree's pre-order words into nodes for the evaluators, and enforces the rules for a single tree.

A word below 2^15 is a split by the cut of that number; any other word is a leaf.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from millmark.quality.errors import ModelError

MAX_CUTS = 2**15
"""Cut numbers are below this; words at or above it are leaves."""
MAX_LEAF = 2**14 - 1
"""Largest magnitude of a leaf's value."""
MAX_DEPTH = 32
"""Largest number of splits between a root and a leaf; bounds the work per row."""
_LEAF_ZERO = MAX_CUTS + 2**14


def leaf_value(word: int) -> int:
    """Value of a leaf's word."""
    return word - _LEAF_ZERO


def leaf_word(value: int) -> int:
    """Word of a leaf with that value, at most 2^14 - 1 in magnitude."""
    return value + _LEAF_ZERO


@dataclass(frozen=True, slots=True)
class Links:
    """All trees of a forest as flat int32 arrays, with one element per node (two in `children`)."""

    cuts: array[int]
    """Number of the split's cut; 0 for a leaf."""
    columns: array[int]
    """Column of the split's cut; 0 for a leaf."""
    children: array[int]
    """Left and right child of each node. A leaf is its own child, so that all trees can be walked for equally many
    steps."""
    values: array[int]
    """Value of a leaf; 0 for a split."""
    roots: array[int]
    """First node of each tree."""
    depth: int
    """Largest number of splits between a root and a leaf."""


def link_trees(trees: Sequence[Sequence[int]], columns: Sequence[int]) -> Links:
    """Links of trees; `columns` has the column of each cut, ascending.

    Raises ModelError if the words of a tree do not encode exactly one tree, if a tree is a single leaf or too deep, if
    a split is superfluous (already decided above it, or with two equal subtrees), or if a cut is unused.
    """
    parts = {name: array("i") for name in ("cuts", "columns", "children", "values", "roots")}
    depth = 0
    for number, nodes in enumerate(trees):
        rights = _find_rights(number, nodes)
        depth = max(depth, _verify_paths(number, nodes, rights, columns))
        start = len(parts["cuts"])
        parts["roots"].append(start)
        for at, (word, right) in enumerate(zip(nodes, rights, strict=True), start):
            split = word < MAX_CUTS
            parts["cuts"].append(word if split else 0)
            parts["columns"].append(columns[word] if split else 0)
            parts["children"].extend((at + 1, start + right) if split else (at, at))
            parts["values"].append(0 if split else leaf_value(word))
    unused = set(range(len(columns))).difference(word for nodes in trees for word in nodes)
    if unused:
        raise ModelError(f"cut {min(unused)} is used by no split", hint="remove it")
    return Links(**parts, depth=depth)


def _find_rights(number: int, nodes: Sequence[int]) -> list[int]:
    """Right child of each split, 0 for a leaf; the left child is the node after the split. Raises ModelError.

    Works backwards with a stack of subtree sizes, not recursively: untrusted words could nest thousands deep, since the
    depth is only checked afterwards.
    """
    rights = [0] * len(nodes)
    sizes: list[int] = []
    for at in range(len(nodes) - 1, -1, -1):
        if nodes[at] >= MAX_CUTS:
            sizes.append(1)
            continue
        if len(sizes) < 2:
            raise ModelError(f"tree {number} ends early")
        left, right = sizes.pop(), sizes.pop()
        rights[at] = at + 1 + left
        if left == right and nodes[at + 1 : rights[at]] == nodes[rights[at] : rights[at] + right]:
            raise ModelError(
                f"tree {number} has a split whose two sides are equal", hint="replace the split by one of them"
            )
        sizes.append(1 + left + right)
    if len(sizes) != 1:
        raise ModelError(f"the words of tree {number} encode {len(sizes)} trees")
    if len(nodes) == 1:
        raise ModelError(f"tree {number} is a single leaf", hint="add its value to the base")
    return rights


def _verify_paths(number: int, nodes: Sequence[int], rights: Sequence[int], columns: Sequence[int]) -> int:
    """Raise ModelError unless every split can still go both ways; return the depth.

    Cut numbers of a column ascend with the cuts, so the splits above a node leave an open interval of cut numbers for
    each column.
    """
    # The bounds of a node are dropped once its children have theirs, so that only one path's worth is kept.
    bounds: list[dict[int, tuple[int, int]]] = [{}] * len(nodes)
    depths = [0] * len(nodes)
    for at, (word, right) in enumerate(zip(nodes, rights, strict=True)):
        known, bounds[at] = bounds[at], {}
        if word >= MAX_CUTS:
            if abs(leaf_value(word)) > MAX_LEAF:
                raise ModelError(
                    f"tree {number} has a leaf of {leaf_value(word)}", hint=f"at most {MAX_LEAF} in magnitude"
                )
            continue
        if word >= len(columns):
            raise ModelError(f"tree {number} splits by cut {word} of {len(columns)}")
        low, high = known.get(columns[word], (-1, MAX_CUTS))
        if not low < word < high:
            raise ModelError(
                f"tree {number} has a split that is decided above it",
                hint="replace it by the subtree that is always taken",
            )
        bounds[at + 1] = known | {columns[word]: (low, word)}
        bounds[right] = known | {columns[word]: (word, high)}
        depths[at + 1] = depths[right] = depths[at] + 1
        if depths[right] > MAX_DEPTH:
            raise ModelError(f"tree {number} is deeper than {MAX_DEPTH} splits")
    return max(depths)
