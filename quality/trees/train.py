"""Trains a forest: derives columns, compares recipes by cross-validation, boosts, exports. Imports LightGBM.

Everything is chosen on the given rows, by cross-validation among them. Not established: that training is reproducible
on another machine, although it is seeded and runs in one thread. What is published is the model's bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from millmark.quality.evaluate.scaling import apply_scales
from millmark.quality.fitting import Problem, Progress, silent, undecided
from millmark.quality.inputs import Scale
from millmark.quality.splits import split_folds
from millmark.quality.trees.arrays import derive_columns
from millmark.quality.trees.boosting import Boosted, Examples, Growth, Tried, boost, cross_validate, most_rounds
from millmark.quality.trees.export import export
from millmark.quality.trees.records import MAX_INPUT, Derived, Forest, Operation

_SHIFT_STEP = 8
"""Shifts are multiples of this, so that columns with the same unit mostly share a scale."""
_HEADROOM = 4
"""Values up to this many times the largest one in training are not clamped."""


def fit_scales(fixed: NDArray[np.int64]) -> tuple[Scale, ...]:
    """Scales for fixed-point values (n, width): one if all columns can share it, else one per column.

    Zero maps to zero, so that the product of two columns is a product of two physical quantities. The shift is the
    smallest multiple of 8 that leaves headroom. With such coarse steps, columns with the same unit mostly share a
    scale; only then is their difference meaningful.
    """
    scales = []
    for largest in np.abs(fixed).max(axis=0).tolist():
        shift = 0
        while largest * _HEADROOM >> shift > MAX_INPUT:
            shift += _SHIFT_STEP
        scales.append(Scale(zero=0, multiplier=1, shift=shift))
    return (scales[0],) if len(set(scales)) == 1 else tuple(scales)


def propose_derived(columns: Sequence[int], scales: Sequence[Scale]) -> tuple[Derived, ...]:
    """All differences of two of these columns that share a scale, then all products of two; ascending."""
    pairs = list(combinations(sorted(columns), 2))
    alike = [pair for pair in pairs if len(scales) == 1 or scales[pair[0]] == scales[pair[1]]]
    return tuple(Derived(Operation.DIFFERENCE, *pair) for pair in alike) + tuple(
        Derived(Operation.PRODUCT, *pair) for pair in pairs
    )


def derive_floats(fixed: NDArray[np.int64], scales: Sequence[Scale], derived: Sequence[Derived]) -> NDArray[np.float64]:
    """Columns (n, width + derived) of fixed-point values (n, width), in the integer columns' units but unrounded."""
    zero, factor = np.array([(scale.zero, scale.multiplier / 2**scale.shift) for scale in scales], dtype=np.float64).T
    columns = (fixed - zero) * factor
    extra = [
        columns[:, column.first] - columns[:, column.second]
        if column.operation is Operation.DIFFERENCE
        else columns[:, column.first] * columns[:, column.second]
        for column in derived
    ]
    return np.column_stack([columns, *extra])


_FOLDS = 5
_MAX_PAIRED = 12
"""Columns that are paired with one another; in a wider table, those with the largest gain."""
_MAX_DERIVED = 8
"""Derived columns of a model, at most."""
_LOOK_ROUNDS, _LOOK = 30, Growth(15)
"""Rounds and growth of the short boosting runs that rank columns."""
_ROWS_A_LEAF = 200
"""Larger trees are tried only with this many rows per leaf."""
_FEW_ROWS = 1000
"""Random cuts are tried on at most this many rows."""

Build: TypeAlias = Callable[[Sequence[Derived]], Examples]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Hyperparameters to compare by cross-validation."""

    name: str
    growth: Growth
    derives: bool
    """Whether trees may also compare differences and products of columns."""


_RECIPES = (
    Recipe("small trees", Growth(7), derives=False),
    Recipe("small trees, random cuts", Growth(7, random=True), derives=False),
    Recipe("small trees, derived columns", Growth(7), derives=True),
    Recipe("larger trees, derived columns", Growth(15), derives=True),
)


@dataclass(frozen=True, slots=True)
class FittedForest:
    """See `millmark.quality.fitting.Fitted`. The float model consists of the trees before rounding, on unrounded
    columns."""

    model: Forest
    recipe: str
    logit_step: float
    held_out: NDArray[np.int64]
    """All rows: each was scored by the trees of a fold that held it out."""
    held_out_logits: NDArray[np.int64]
    boosted: Boosted
    """The float trees."""
    derived: tuple[Derived, ...]
    """Derived columns that the float trees read."""

    def float_logits(self, fixed: NDArray[np.int64]) -> NDArray[np.float64]:
        """Logits (n, outputs) of the float trees, on unrounded columns of fixed-point windows (n, width)."""
        return self.boosted.logits(derive_floats(fixed, self.model.scales, self.derived))


def fit(problem: Problem, *, seed: int, progress: Progress = silent) -> FittedForest:
    """Fit the forest whose recipe is best in cross-validation on the problem's rows.

    Raises InputError if the columns say nothing about the classes, and ExportError if the forest does not fit the
    integer format. Not established: that the losses of recipes with derived columns hold on new rows; they are slightly
    too low, since these columns are chosen on all rows.
    """
    folds = tuple(split_folds(problem.classes, _FOLDS, seed))
    scales = fit_scales(problem.fixed)
    inputs = apply_scales(scales, problem.fixed, MAX_INPUT).astype(np.int32)
    weights = problem.row_weights

    def build(derived: Sequence[Derived]) -> Examples:
        columns = derive_columns(inputs, derived).astype(np.float64)
        return Examples(columns, problem.classes, problem.outputs, weights)

    derived = _choose_derived(build, scales, seed)
    shown = {False: build(()), True: build(derived)}
    tried = []
    for recipe in _choose_recipes(len(inputs), derived):
        tell = _tell(progress, recipe, problem.outputs)
        tried.append((recipe, cross_validate(shown[recipe.derives], folds, recipe.growth, seed, tell)))
    recipe, found = _choose_best(tried)
    boosted = boost(shown[recipe.derives], found.rounds, recipe.growth, seed)
    used = derived if recipe.derives else ()
    exported = export(
        boosted.trees(),
        decimals=problem.decimals,
        decision=undecided(problem.outputs),
        width=inputs.shape[1],
        scales=scales,
        derived=used,
    )
    return FittedForest(
        model=exported.forest,
        recipe=f"{recipe.name}, {found.rounds} rounds",
        logit_step=exported.logit_step,
        held_out=np.arange(len(inputs)),
        held_out_logits=np.rint(found.held_out / exported.logit_step).astype(np.int64),
        boosted=boosted,
        derived=used,
    )


def _choose_derived(build: Build, scales: Sequence[Scale], seed: int) -> tuple[Derived, ...]:
    """The derived columns with the largest gains in a short boosting run, ascending; those without gain are dropped."""
    plain = build(())
    gains = boost(plain, _LOOK_ROUNDS, _LOOK, seed).gains()
    paired = np.argsort(-gains, kind="stable")[:_MAX_PAIRED]
    proposed = propose_derived(paired.tolist(), scales)
    if not proposed:
        return ()
    gains = boost(build(proposed), _LOOK_ROUNDS, _LOOK, seed).gains()[plain.columns.shape[1] :]
    best = np.argsort(-gains, kind="stable")[:_MAX_DERIVED]
    return tuple(sorted(proposed[index] for index in best if gains[index] > 0))


def _choose_recipes(rows: int, derived: Sequence[Derived]) -> list[Recipe]:
    """The recipes worth trying on this many rows, simplest first."""
    leaves = max(_RECIPES[0].growth.leaves, rows // _ROWS_A_LEAF)
    fitting = (recipe for recipe in _RECIPES if recipe.growth.leaves <= leaves and (derived or not recipe.derives))
    return [recipe for recipe in fitting if rows <= _FEW_ROWS or not recipe.growth.random]


def _choose_best(tried: Sequence[tuple[Recipe, Tried]]) -> tuple[Recipe, Tried]:
    """The first, hence simplest, recipe whose loss is within the slack of the best one."""
    best = min((result for _, result in tried), key=lambda result: result.loss)
    return next(pair for pair in tried if pair[1].loss <= best.loss + best.slack)


def _tell(progress: Progress, recipe: Recipe, outputs: int) -> Callable[[int, float], None]:
    planned = most_rounds(outputs, recipe.growth.leaves)
    return lambda done, loss: progress(recipe.name, done, planned, {"loss/validation": loss})
