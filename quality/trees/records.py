"""The tree ensemble as dataclasses that enforce the rules of the format, including the bounds of all sums.

A forest converts a window of `width` sensor values to int32 by its scales, derives further columns as differences and
products, and compares columns with *cuts*. Every tree adds the value of one leaf to one logit. The specification is
section 3.3 of `quality/FORMAT.md`; this module enforces its rules for a forest and for a single tree, reads
and writes the bytes, and evaluates a forest in pure Python. Needs neither numpy, torch nor LightGBM.
"""

from __future__ import annotations

import enum
import struct
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import ClassVar

from millmark.quality import inference
from millmark.quality.errors import ModelError

# Turns a tree's pre-order words into nodes for the evaluators, and enforces the rules for a single tree.
# A word below 2^15 is a split by the cut of that number; any other word is a leaf.

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
    """Links of trees; `columns` has the column of each cut, ascending. Raises ModelError if the words of a tree do not
    encode exactly one tree, if a tree is a single leaf or too deep, if a split is superfluous (already decided above
    it, or with two equal subtrees), or if a cut is unused."""
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
    """Right child of each split, 0 for a leaf; the left child is the node after the split. Raises ModelError. Works
    backwards with a stack of subtree sizes, not recursively: untrusted words could nest thousands deep, since the depth
    is only checked afterwards."""
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
    """Raise ModelError unless every split can still go both ways; return the depth. Cut numbers of a column ascend with
    the cuts, so the splits above a node leave an open interval of cut numbers for each column."""
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


MAX_INPUT = 2**31 - 1
"""Largest magnitude of an input word: int32 without -2^31."""
MAX_DERIVED = 255
MAX_TREES = 2**16 - 1
"""Largest number of trees per output."""


class Operation(enum.IntEnum):
    """How a derived column is computed from two columns of the input."""

    DIFFERENCE = 1
    PRODUCT = 2


@dataclass(frozen=True, slots=True, order=True)
class Derived:
    """A derived column: `first - second` or `first * second`, computed from input words. Raises ModelError unless first
    < second; a product may also be a square (first = second). The order makes the form of a product unique, and a
    difference of opposite sign needs only other cuts."""

    operation: Operation
    first: int
    """Number of an input column, from 0."""
    second: int
    """Number of an input column, from 0."""

    def __post_init__(self) -> None:
        least = self.first + (self.operation is Operation.DIFFERENCE)
        if not 0 <= self.first < inference.MAX_WIDTH or not least <= self.second < inference.MAX_WIDTH:
            raise ModelError(
                f"derived column takes columns {self.first} and {self.second}", hint="the lower number goes first"
            )

    @property
    def span(self) -> tuple[int, int]:
        """Smallest and largest value; both fit in int64."""
        if self.operation is Operation.DIFFERENCE:
            return -2 * MAX_INPUT, 2 * MAX_INPUT
        return 0 if self.first == self.second else -(MAX_INPUT**2), MAX_INPUT**2


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree, and the output that it adds to."""

    output: int
    """Number of the logit, from 0."""
    nodes: tuple[int, ...]
    """One u16 per node, in pre-order. A split is the number of its cut (below 2^15), followed by its left subtree and
    then its right one. A leaf is 2^15 + 2^14 + its value, which is in -(2^14 - 1)..2^14 - 1."""


@dataclass(frozen=True, slots=True)
class Forest:
    """A tree ensemble. Construction checks that it is in canonical form and that no sum can overflow.

    In canonical form, derived columns and cuts ascend, every derived column and every cut is used, no split is already
    decided by its ancestors' cuts on the same column, no split has two equal subtrees, and no tree is a single leaf.
    Raises ModelError. Not established: that the forest is accurate, or that every leaf can be reached, since derived
    columns depend on others.
    """

    family: ClassVar[str] = "trees"
    word_size: ClassVar[int] = 4
    word_limit: ClassVar[int] = MAX_INPUT

    width: int
    """Sensor values in one window."""
    decimals: int
    """Sensor values are integers in units of 10^-decimals of the sensor's unit (6: millionths)."""
    decision: inference.Decision
    scales: tuple[inference.Scale, ...]
    """Sensor values to int32: one if all columns share it, else one per column."""
    derived: tuple[Derived, ...]
    """Ascending; the first one is column `width`."""
    cuts: tuple[tuple[int, ...], ...]
    """Cuts of each column, derived columns last: ascending, from the column's smallest value to its largest minus 1. A
    value that is larger than a cut passes it, and goes right. Cuts are numbered consecutively through all columns."""
    bases: tuple[int, ...]
    """Value that each logit starts from."""
    trees: tuple[Tree, ...]
    """Ordered by output."""
    links: Links = field(init=False, repr=False, compare=False)
    """The trees as arrays, for the evaluators."""

    def __post_init__(self) -> None:
        # Built for its checks only.
        inference.Header(self.decimals, self.decision, self.width, self.scales)
        _verify_scales(self.width, self.scales)
        _verify_derived(self.width, self.derived)
        self._verify_cuts()
        self._verify_outputs()
        columns = array("i", [column for column, cuts in enumerate(self.cuts) for _ in cuts])
        object.__setattr__(self, "links", link_trees([tree.nodes for tree in self.trees], columns))
        for output, bound in enumerate(worst_sums(self)):
            if bound >= inference.LOGIT_LIMIT:
                raise ModelError(f"logit {output} can reach {bound}, the limit is {inference.LOGIT_LIMIT - 1}")

    def _verify_cuts(self) -> None:
        if len(self.cuts) != self.width + len(self.derived):
            raise ModelError(f"model has cuts for {len(self.cuts)} of {self.width + len(self.derived)} columns")
        inference.require_range("number of cuts", sum(map(len, self.cuts)), 1, MAX_CUTS)
        spans = [(-MAX_INPUT, MAX_INPUT)] * self.width + [column.span for column in self.derived]
        for column, (cuts, (low, high)) in enumerate(zip(self.cuts, spans, strict=True)):
            if any(left >= right for left, right in pairwise(cuts)):
                raise ModelError(f"cuts of column {column} do not ascend")
            if cuts:
                inference.require_range(f"cut of column {column}", cuts[0], low, high - 1)
                inference.require_range(f"cut of column {column}", cuts[-1], low, high - 1)
            elif column >= self.width:
                raise ModelError(f"derived column {column} has no cut", hint="leave the column out")

    def _verify_outputs(self) -> None:
        if len(self.bases) != self.decision.outputs:
            raise ModelError(f"model has {len(self.bases)} bases for {self.decision.outputs} outputs")
        for base in self.bases:
            inference.require_range("base", base, 1 - inference.LOGIT_LIMIT, inference.LOGIT_LIMIT - 1)
        outputs = [tree.output for tree in self.trees]
        if outputs != sorted(outputs):
            raise ModelError("trees are not ordered by output")
        if not outputs:
            raise ModelError("model has no tree")
        # Outputs ascend: checking the first and the last is enough.
        inference.require_range("output of a tree", outputs[0], 0, self.decision.outputs - 1)
        inference.require_range("output of a tree", outputs[-1], 0, self.decision.outputs - 1)
        for output in set(outputs):
            inference.require_range(f"number of trees of output {output}", outputs.count(output), 1, MAX_TREES)


def _verify_scales(width: int, scales: tuple[inference.Scale, ...]) -> None:
    inference.require_scales(width, scales)
    # One form per model: a shared scale is stated once.
    if len(scales) > 1 and len(set(scales)) == 1:
        raise ModelError("all columns have the same scale", hint="state it once")


def _verify_derived(width: int, derived: tuple[Derived, ...]) -> None:
    inference.require_range("number of derived columns", len(derived), 0, MAX_DERIVED)
    if any(left >= right for left, right in pairwise(derived)):
        raise ModelError("derived columns do not ascend")
    for column in derived:
        if column.second >= width:
            raise ModelError(f"derived column takes column {column.second} of {width}")


def worst_sums(forest: Forest) -> tuple[int, ...]:
    """Largest magnitude that any partial sum of each logit can reach, in any order of addition."""
    sums = [abs(base) for base in forest.bases]
    for tree in forest.trees:
        sums[tree.output] += max(abs(leaf_value(word)) for word in tree.nodes if word >= MAX_CUTS)
    return tuple(sums)


# Canonical bytes of a tree ensemble after the header: section 3.3 of `quality/FORMAT.md`.
# A forest has exactly one byte form, and `parse_body` accepts no other.

MAGIC = b"MMQT"

_COUNT = struct.Struct(">B")  # derived columns
_DERIVED = struct.Struct(">BHH")  # operation, first, second
_CUTS = struct.Struct(">H")  # cuts of a column
_OUTPUT = struct.Struct(">iH")  # base, trees
_NODE = struct.Struct(">H")


def build_body(forest: Forest) -> bytes:
    """Bytes that follow the scales."""
    parts = [_COUNT.pack(len(forest.derived))]
    parts += [_DERIVED.pack(column.operation, column.first, column.second) for column in forest.derived]
    for column, cuts in enumerate(forest.cuts):
        parts.append(_CUTS.pack(len(cuts)) + _cut_layout(forest.width, column, len(cuts)).pack(*cuts))
    for output, base in enumerate(forest.bases):
        trees = [tree for tree in forest.trees if tree.output == output]
        parts.append(_OUTPUT.pack(base, len(trees)))
        parts += [struct.pack(f">{len(tree.nodes)}H", *tree.nodes) for tree in trees]
    return b"".join(parts)


def _cut_layout(width: int, column: int, count: int) -> struct.Struct:
    """Layout of a column's cuts: int32 for an input column, int64 for a derived one."""
    return struct.Struct(f">{count}{'i' if column < width else 'q'}")


def parse_body(header: inference.Header, reader: inference.Reader) -> Forest:
    """Parse a forest from its header and the untrusted bytes that follow. Raises ModelError."""
    (count,) = reader.take(_COUNT)
    derived = tuple(_parse_derived(*reader.take(_DERIVED)) for _ in range(count))
    cuts = tuple(
        reader.take(_cut_layout(header.width, column, reader.take(_CUTS)[0])) for column in range(header.width + count)
    )
    bases: list[int] = []
    trees: list[Tree] = []
    for output in range(header.decision.outputs):
        base, count = reader.take(_OUTPUT)
        bases.append(base)
        trees += [Tree(output, _parse_nodes(reader)) for _ in range(count)]
    return Forest(
        width=header.width,
        decimals=header.decimals,
        decision=header.decision,
        scales=header.scales,
        derived=derived,
        cuts=cuts,
        bases=tuple(bases),
        trees=tuple(trees),
    )


def _parse_derived(operation: int, first: int, second: int) -> Derived:
    if operation not in tuple(Operation):
        raise ModelError(f"operation {operation} is unknown")
    return Derived(Operation(operation), first, second)


def _parse_nodes(reader: inference.Reader) -> tuple[int, ...]:
    """The words of one tree. No length is stored: the tree ends where its last split has both subtrees."""
    nodes: list[int] = []
    wanted = 1
    while wanted:
        (word,) = reader.take(_NODE)
        nodes.append(word)
        wanted += 1 if word < MAX_CUTS else -1
    return tuple(nodes)


def describe(forest: Forest) -> tuple[list[str], list[int]]:
    """Lines for the card, one for the trees and one per derived column, and the largest magnitude of each logit's
    sums."""
    nodes = sum(len(tree.nodes) for tree in forest.trees)
    lines = [f"{len(forest.trees)} trees of {nodes} nodes"]
    lines += [
        f"{derived.operation.name.lower()} of columns {derived.first + 1} and {derived.second + 1}"
        for derived in forest.derived
    ]
    return lines, list(worst_sums(forest))


# The tree ensemble in pure Python: short and without dependencies.


def quantise_row(forest: Forest, window: Sequence[int]) -> tuple[int, ...]:
    """Input (width words) from one window of fixed-point sensor values (width integers in units of 10^-decimals).
    Raises InputError if the window has another width, or a value above 2^53 - 1 in magnitude."""
    return inference.apply_scales(forest.scales, window, width=forest.width, limit=MAX_INPUT)


def infer_row(forest: Forest, words: Sequence[int]) -> tuple[int, ...]:
    """Logits of one input (width words in -(2^31 - 1)..2^31 - 1)."""
    passed = _count_passed(forest, words)
    links = forest.links
    logits = list(forest.bases)
    for tree, root in zip(forest.trees, links.roots, strict=True):
        at, child = -1, root
        # Only a leaf is its own child.
        while child != at:
            at = child
            child = links.children[2 * at + (links.cuts[at] < passed[links.columns[at]])]
        logits[tree.output] += links.values[at]
    return tuple(logits)


def _count_passed(forest: Forest, words: Sequence[int]) -> list[int]:
    """For each column, the number of the first cut that its value does not pass.

    Cut numbers ascend with the cuts of a column, so the value passes exactly the column's cuts with smaller numbers:
    one binary search per column replaces the comparisons of all trees.
    """
    passed: list[int] = []
    first = 0
    for value, cuts in zip([*words, *_derive(forest, words)], forest.cuts, strict=True):
        passed.append(first + bisect_left(cuts, value))
        first += len(cuts)
    return passed


def _derive(forest: Forest, words: Sequence[int]) -> list[int]:
    return [
        words[column.first] - words[column.second]
        if column.operation is Operation.DIFFERENCE
        else words[column.first] * words[column.second]
        for column in forest.derived
    ]
