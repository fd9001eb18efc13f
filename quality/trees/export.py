"""Converts trained float trees to an integer forest in canonical form.

Cuts are rounded down, which changes no comparison with an integer. The middle of each tree's leaf values moves into the
base, which makes leaves small and symmetric; they are then rounded to a step that all outputs share.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from millmark.quality.errors import ExportError, InputError, ModelError
from millmark.quality.inference import Decision, Scale
from millmark.quality.trees.records import MAX_INPUT, MAX_LEAF, Derived, Forest, Tree, leaf_word

_MAX_BASE = 2**30
"""Largest magnitude of a base; leaves half of the int32 range to the leaves."""


@dataclass(frozen=True, slots=True)
class Split:
    """A comparison in a float tree: values up to and including `cut` go left."""

    column: int
    cut: float
    left: FloatTree
    right: FloatTree


FloatTree: TypeAlias = "Split | float"
"""A split, or a leaf's value."""
Bounds: TypeAlias = Mapping[int, tuple[int, int]]
"""By column, the values that the splits above allow: larger than the first, at most the second."""


@dataclass(frozen=True, slots=True)
class Exported:
    """An integer forest, and the size of its logit unit."""

    forest: Forest
    logit_step: float
    """Float logit per unit of integer logit."""


def export(
    trees: Sequence[tuple[int, FloatTree]],
    *,
    decimals: int,
    decision: Decision,
    width: int,
    scales: tuple[Scale, ...],
    derived: Sequence[Derived],
) -> Exported:
    """Convert float trees, each with its output, to an integer forest. The trees' columns are the `width` inputs
    followed by `derived`, of which those that no split uses are dropped. Raises InputError if only constants remain,
    and ExportError if the forest does not fit the format."""
    spans = [(-MAX_INPUT, MAX_INPUT)] * width + [column.span for column in derived]
    bounds = {column: (low - 1, high) for column, (low, high) in enumerate(spans)}
    grown = [(output, _prune(tree, bounds)) for output, tree in trees]
    middles = [_middle(tree) for _, tree in grown]
    starts = np.zeros(decision.outputs)
    for (output, _), middle in zip(grown, middles, strict=True):
        starts[output] += middle
    step = _choose_step(grown, middles, starts)
    bases = starts / step
    kept: list[tuple[int, Split]] = []
    for (output, tree), middle in zip(grown, middles, strict=True):
        rounded = _round(tree, middle, step)
        if isinstance(rounded, Split):
            kept.append((output, rounded))
        else:
            # Rounding made all leaves equal, so the tree is a constant.
            bases[output] += rounded
    if not kept:
        raise InputError(
            "training produced a constant model", hint="provide more rows, or columns that depend on the class"
        )
    # sorted() is stable: the trees of an output stay in the order in which they were grown.
    kept.sort(key=lambda pair: pair[0])
    rounded_bases = tuple(int(base) for base in np.rint(bases))
    try:
        forest = _number(kept, rounded_bases, decimals, decision, width, scales, derived)
    except ModelError as error:
        raise ExportError(
            f"the trees do not fit the integer format: {error.cause}", hint="train on fewer rows"
        ) from error
    return Exported(forest, step)


def _choose_step(
    grown: Sequence[tuple[int, FloatTree]], middles: Sequence[float], starts: NDArray[np.float64]
) -> float:
    """The finest step at which every leaf and every base fits."""
    pairs = zip(grown, middles, strict=True)
    largest = max((abs(leaf - middle) for (_, tree), middle in pairs for leaf in _leaves(tree)), default=0.0)
    return max(largest / MAX_LEAF, float(np.abs(starts).max()) / _MAX_BASE) or 1.0


def _prune(tree: FloatTree, bounds: Bounds) -> FloatTree:
    """The tree with integer cuts, without splits whose outcome the bounds already decide."""
    if not isinstance(tree, Split):
        return tree
    # For an integer x, x <= cut exactly if x <= floor(cut).
    cut = int(np.floor(tree.cut))
    low, high = bounds[tree.column]
    if cut >= high:
        return _prune(tree.left, bounds)
    if cut <= low:
        return _prune(tree.right, bounds)
    left = _prune(tree.left, {**bounds, tree.column: (low, cut)})
    right = _prune(tree.right, {**bounds, tree.column: (cut, high)})
    return Split(tree.column, cut, left, right)


def _leaves(tree: FloatTree) -> Iterator[float]:
    if isinstance(tree, Split):
        yield from _leaves(tree.left)
        yield from _leaves(tree.right)
    else:
        yield tree


def _middle(tree: FloatTree) -> float:
    leaves = list(_leaves(tree))
    return (max(leaves) + min(leaves)) / 2


def _round(tree: FloatTree, middle: float, step: float) -> FloatTree:
    """The tree with leaves as whole steps from the middle, without splits whose two sides have become equal."""
    if not isinstance(tree, Split):
        return float(np.rint((tree - middle) / step))
    left, right = _round(tree.left, middle, step), _round(tree.right, middle, step)
    return left if left == right else Split(tree.column, tree.cut, left, right)


def _splits(tree: FloatTree) -> Iterator[Split]:
    if isinstance(tree, Split):
        yield tree
        yield from _splits(tree.left)
        yield from _splits(tree.right)


def _number(
    trees: Sequence[tuple[int, Split]],
    bases: tuple[int, ...],
    decimals: int,
    decision: Decision,
    width: int,
    scales: tuple[Scale, ...],
    derived: Sequence[Derived],
) -> Forest:
    """Forest from rounded trees: collects and numbers the cuts, and drops unused derived columns. Raises ModelError."""
    used = sorted({(split.column, int(split.cut)) for _, tree in trees for split in _splits(tree)})
    kept = sorted({column for column, _ in used if column >= width}, key=lambda column: derived[column - width])
    columns = [*range(width), *kept]
    cuts = tuple(tuple(cut for owner, cut in used if owner == column) for column in columns)
    pairs = [(column, cut) for column, own in zip(columns, cuts, strict=True) for cut in own]
    numbers = {pair: number for number, pair in enumerate(pairs)}
    return Forest(
        width=width,
        decimals=decimals,
        decision=decision,
        scales=scales,
        derived=tuple(derived[column - width] for column in kept),
        cuts=cuts,
        bases=bases,
        trees=tuple(Tree(output, tuple(_words(tree, numbers))) for output, tree in trees),
    )


def _words(tree: FloatTree, numbers: Mapping[tuple[int, int], int]) -> Iterator[int]:
    """Words of a tree, in pre-order."""
    if isinstance(tree, Split):
        yield numbers[tree.column, int(tree.cut)]
        yield from _words(tree.left, numbers)
        yield from _words(tree.right, numbers)
    else:
        yield leaf_word(int(tree))
