"""The shape of trees: pre-order words to nodes that an evaluator can walk, and the rules that words must follow.

A word below 2^15 is a split by the cut of that number; a word from there on is a leaf.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from quality.errors import ModelError

__all__ = ["MAX_CUTS", "MAX_DEPTH", "MAX_LEAF", "Links", "leaf_value", "leaf_word", "link_trees"]

MAX_CUTS = 2**15
"""Cuts are numbered below this; words from this on are leaves."""
MAX_LEAF = 2**14 - 1
"""Largest magnitude of a leaf's value."""
MAX_DEPTH = 32
"""Most splits between a root and a leaf; bounds the work on one row."""
_LEAF_ZERO = MAX_CUTS + 2**14


def leaf_value(word: int) -> int:
    """Value of a leaf's word."""
    return word - _LEAF_ZERO


def leaf_word(value: int) -> int:
    """Word of a leaf of that value, which is at most 2^14 - 1 in magnitude."""
    return value + _LEAF_ZERO


@dataclass(frozen=True, slots=True)
class Links:
    """All trees of a forest as flat arrays of int32, one element a node (children: two)."""

    cuts: array[int]
    """Number of the split's cut; 0 for a leaf."""
    columns: array[int]
    """Column of the split's cut; 0 for a leaf."""
    children: array[int]
    """Left and right child of each node; a leaf is its own, so that walking on stays there."""
    values: array[int]
    """Value of a leaf; 0 for a split."""
    roots: array[int]
    """First node of each tree."""
    depth: int
    """Most splits between a root and a leaf."""


def link_trees(trees: Sequence[Sequence[int]], columns: Sequence[int]) -> Links:
    """Links of trees whose cuts belong to these columns (one a cut, ascending).

    Raises ModelError when the words are not exactly one tree each, when a tree is a single leaf or too deep, when a
    split is not needed (its outcome is decided above it, or both its subtrees are equal), or when a cut is not used.
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
        raise ModelError(f"cut {min(unused)} is used by no split", hint="leave it out")
    return Links(**parts, depth=depth)


def _find_rights(number: int, nodes: Sequence[int]) -> list[int]:
    """Right child of each split, 0 for a leaf; the left child is the node that follows the split."""
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
            raise ModelError(f"tree {number} has a split whose two sides are equal", hint="put one side in its place")
        sizes.append(1 + left + right)
    if len(sizes) != 1:
        raise ModelError(f"tree {number} is {len(sizes)} trees")
    if len(nodes) == 1:
        raise ModelError(f"tree {number} is a single leaf", hint="add its value to the base")
    return rights


def _verify_paths(number: int, nodes: Sequence[int], rights: Sequence[int], columns: Sequence[int]) -> int:
    """Raise ModelError unless every split can still go both ways; return the depth.

    Cuts of a column are numbered in ascending order, so what the splits above say of a column is an open interval of
    cut numbers.
    """
    # What is known at a node is dropped as soon as it is left, so that no more than one path's worth is kept.
    bounds: list[dict[int, tuple[int, int]]] = [{}] * len(nodes)
    depths = [0] * len(nodes)
    for at, (word, right) in enumerate(zip(nodes, rights, strict=True)):
        known, bounds[at] = bounds[at], {}
        if word >= MAX_CUTS:
            if abs(leaf_value(word)) > MAX_LEAF:
                raise ModelError(
                    f"tree {number} has a leaf of {leaf_value(word)}", hint=f"at most {MAX_LEAF} either way"
                )
            continue
        if word >= len(columns):
            raise ModelError(f"tree {number} splits by cut {word} of {len(columns)}")
        low, high = known.get(columns[word], (-1, MAX_CUTS))
        if not low < word < high:
            raise ModelError(
                f"tree {number} has a split that is decided above it", hint="put the side taken in its place"
            )
        bounds[at + 1] = known | {columns[word]: (low, word)}
        bounds[right] = known | {columns[word]: (word, high)}
        depths[at + 1] = depths[right] = depths[at] + 1
        if depths[right] > MAX_DEPTH:
            raise ModelError(f"tree {number} is deeper than {MAX_DEPTH} splits")
    return max(depths)
