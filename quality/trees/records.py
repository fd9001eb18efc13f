"""The tree ensemble as records: what a forest may be, and how large its sums can grow.

A forest takes one window of `width` sensor values, turns them into int32 by its scales, derives further columns by
difference and product, and compares columns with *cuts*. Every tree adds one leaf to one logit. The section "Trees" of
`quality/FORMAT.md` is the specification; this module holds its rules, `shape` those of a single tree, `format` the
bytes. Nothing here needs numpy, torch or the library that trains.
"""

from __future__ import annotations

import enum
from array import array
from dataclasses import dataclass, field
from itertools import pairwise
from typing import ClassVar

from quality.decision import LOGIT_LIMIT, Decision
from quality.errors import ModelError
from quality.header import Header, require_scales
from quality.inputs import MAX_WIDTH, Scale, require_range
from quality.trees.shape import MAX_CUTS, Links, leaf_value, link_trees

__all__ = ["MAX_INPUT", "Derived", "Forest", "Operation", "Tree", "worst_sums"]

MAX_INPUT = 2**31 - 1
"""Largest magnitude of a scaled sensor value; int32 without -2^31."""
MAX_DERIVED = 255
MAX_TREES = 2**16 - 1
"""Largest number of trees of one output."""


class Operation(enum.IntEnum):
    """How a derived column follows from two columns of the input."""

    DIFFERENCE = 1
    PRODUCT = 2


@dataclass(frozen=True, slots=True, order=True)
class Derived:
    """One derived column: `first - second` or `first * second`, of scaled values.

    Raises ModelError unless first < second; a product may also be a square, first = second.
    """

    operation: Operation
    first: int
    """A column of the input, from 0."""
    second: int

    def __post_init__(self) -> None:
        least = self.first + (self.operation is Operation.DIFFERENCE)
        if not 0 <= self.first < MAX_WIDTH or not least <= self.second < MAX_WIDTH:
            raise ModelError(
                f"derived column takes columns {self.first} and {self.second}", hint="the lower goes first"
            )

    @property
    def span(self) -> tuple[int, int]:
        """Smallest and largest value; neither leaves int64."""
        if self.operation is Operation.DIFFERENCE:
            return -2 * MAX_INPUT, 2 * MAX_INPUT
        return 0 if self.first == self.second else -(MAX_INPUT**2), MAX_INPUT**2


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree, and the output that it adds to."""

    output: int
    nodes: tuple[int, ...]
    """One u16 a node in pre-order: a split is the number of its cut, below 2^15; what follows is its left subtree, then
    its right one. A leaf is 2^15 + 2^14 + its value, which is -(2^14 - 1)..2^14 - 1."""


@dataclass(frozen=True, slots=True)
class Forest:
    """One tree ensemble. Construction checks that it is in canonical form and that no sum can overflow.

    Canonical: columns and cuts in ascending order, every derived column and every cut used, no split whose outcome its
    ancestors' cuts on the same column decide, none whose two subtrees are equal, no tree that is a single leaf. Raises
    ModelError. Not established: that the forest is any good, nor that every leaf can be reached: derived columns
    depend on the others.
    """

    family: ClassVar[str] = "trees"
    word_size: ClassVar[int] = 4
    word_limit: ClassVar[int] = MAX_INPUT

    width: int
    """Sensor values in one window."""
    decimals: int
    """A sensor value enters as an integer in units of 10^-decimals of the sensor's unit (6: millionths)."""
    decision: Decision
    scales: tuple[Scale, ...]
    """To int32; one when all columns have the same, else one a column."""
    derived: tuple[Derived, ...]
    """Ascending; the first is column `width`."""
    cuts: tuple[tuple[int, ...], ...]
    """Per column, derived ones last: ascending, each from the column's smallest value to its largest less 1. A value
    passes a cut, and goes right, when it is larger. Cuts are numbered through, from the first column's first."""
    bases: tuple[int, ...]
    """What each logit starts from."""
    trees: tuple[Tree, ...]
    """In order of their outputs."""
    links: Links = field(init=False, repr=False, compare=False)
    """The trees made ready to walk."""

    def __post_init__(self) -> None:
        Header(self.decimals, self.decision, self.width, self.scales)
        _verify_scales(self.width, self.scales)
        _verify_derived(self.width, self.derived)
        self._verify_cuts()
        self._verify_outputs()
        columns = array("i", [column for column, cuts in enumerate(self.cuts) for _ in cuts])
        object.__setattr__(self, "links", link_trees([tree.nodes for tree in self.trees], columns))
        for output, bound in enumerate(worst_sums(self)):
            if bound >= LOGIT_LIMIT:
                raise ModelError(f"logit {output} can reach {bound}, the limit is {LOGIT_LIMIT - 1}")

    def _verify_cuts(self) -> None:
        if len(self.cuts) != self.width + len(self.derived):
            raise ModelError(f"model has cuts for {len(self.cuts)} of {self.width + len(self.derived)} columns")
        require_range("number of cuts", sum(map(len, self.cuts)), 1, MAX_CUTS)
        spans = [(-MAX_INPUT, MAX_INPUT)] * self.width + [column.span for column in self.derived]
        for column, (cuts, (low, high)) in enumerate(zip(self.cuts, spans, strict=True)):
            if any(left >= right for left, right in pairwise(cuts)):
                raise ModelError(f"cuts of column {column} do not ascend")
            if cuts:
                require_range(f"cut of column {column}", cuts[0], low, high - 1)
                require_range(f"cut of column {column}", cuts[-1], low, high - 1)
            elif column >= self.width:
                raise ModelError(f"derived column {column} has no cut", hint="leave the column out")

    def _verify_outputs(self) -> None:
        if len(self.bases) != self.decision.outputs:
            raise ModelError(f"model has {len(self.bases)} bases for {self.decision.outputs} outputs")
        for base in self.bases:
            require_range("base", base, 1 - LOGIT_LIMIT, LOGIT_LIMIT - 1)
        outputs = [tree.output for tree in self.trees]
        if outputs != sorted(outputs):
            raise ModelError("trees are not in the order of their outputs")
        if not outputs:
            raise ModelError("model has no tree")
        require_range("output of a tree", outputs[0], 0, self.decision.outputs - 1)
        require_range("output of a tree", outputs[-1], 0, self.decision.outputs - 1)
        for output in set(outputs):
            require_range(f"number of trees of output {output}", outputs.count(output), 1, MAX_TREES)


def _verify_scales(width: int, scales: tuple[Scale, ...]) -> None:
    require_scales(width, scales)
    if len(scales) > 1 and len(set(scales)) == 1:
        raise ModelError("all columns have the same scale", hint="give it once")


def _verify_derived(width: int, derived: tuple[Derived, ...]) -> None:
    require_range("number of derived columns", len(derived), 0, MAX_DERIVED)
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
