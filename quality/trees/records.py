"""The tree ensemble as dataclasses that enforce the rules of the format, including the bounds of all sums.

A forest converts a window of `width` sensor values to int32 by its scales, derives further columns as differences and
products, and compares columns with *cuts*. Every tree adds the value of one leaf to one logit. The specification is
section 3.3 of `quality/FORMAT.md`; this module enforces its rules for a forest, `shape` those for a single tree, and
`format` reads and writes the bytes. Needs neither numpy, torch nor LightGBM.
"""

from __future__ import annotations

import enum
from array import array
from dataclasses import dataclass, field
from itertools import pairwise
from typing import ClassVar

from millmark.quality.decision import LOGIT_LIMIT, Decision
from millmark.quality.errors import ModelError
from millmark.quality.header import Header, require_scales
from millmark.quality.inputs import MAX_WIDTH, Scale, require_range
from millmark.quality.trees.shape import MAX_CUTS, Links, leaf_value, link_trees

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
    """A derived column: `first - second` or `first * second`, computed from input words.

    Raises ModelError unless first < second; a product may also be a square (first = second). The order makes the form
    of a product unique, and a difference of opposite sign needs only other cuts.
    """

    operation: Operation
    first: int
    """Number of an input column, from 0."""
    second: int
    """Number of an input column, from 0."""

    def __post_init__(self) -> None:
        least = self.first + (self.operation is Operation.DIFFERENCE)
        if not 0 <= self.first < MAX_WIDTH or not least <= self.second < MAX_WIDTH:
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
    decision: Decision
    scales: tuple[Scale, ...]
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
            raise ModelError("trees are not ordered by output")
        if not outputs:
            raise ModelError("model has no tree")
        # Outputs ascend: checking the first and the last is enough.
        require_range("output of a tree", outputs[0], 0, self.decision.outputs - 1)
        require_range("output of a tree", outputs[-1], 0, self.decision.outputs - 1)
        for output in set(outputs):
            require_range(f"number of trees of output {output}", outputs.count(output), 1, MAX_TREES)


def _verify_scales(width: int, scales: tuple[Scale, ...]) -> None:
    require_scales(width, scales)
    # One form per model: a shared scale is stated once.
    if len(scales) > 1 and len(set(scales)) == 1:
        raise ModelError("all columns have the same scale", hint="state it once")


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
