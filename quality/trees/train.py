"""Trains a forest: derives columns, compares recipes by cross-validation, boosts, exports. Imports LightGBM.

Everything is chosen on the given rows, by cross-validation among them. Not established: that training is reproducible
on another machine, although it is seeded and runs in one thread. What is published is the model's bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from millmark.quality.errors import ExportError, InputError
from millmark.quality.evaluate.scaling import apply_scales
from millmark.quality.fitting import Problem, Progress, silent, split_folds, undecided
from millmark.quality.inference import Scale
from millmark.quality.trees.arrays import derive_columns
from millmark.quality.trees.export import FloatTree, Split, export
from millmark.quality.trees.records import MAX_CUTS, MAX_INPUT, Derived, Forest, Operation

# The only module that uses LightGBM: boosting, cross-validation, and conversion of its trees.

try:
    import lightgbm
    from lightgbm import CVBooster
    from lightgbm.callback import CallbackEnv
except OSError as error:  # Its library needs OpenMP, which minimal systems lack.
    raise InputError(f"LightGBM cannot be loaded: {error}", hint="install the system package libgomp1") from error

_MAX_ROUNDS = 1000
_PATIENCE = 25
"""Rounds without a better loss after which cross-validation stops."""
_MAX_ROWS_IN_LEAF = 10
"""Fewest rows in a leaf; below 200 rows a twentieth of them, since a small table would otherwise grow no trees."""
_ROWS_IN_RANDOM_LEAF = 3
"""Fewest rows in a leaf of trees with random cuts; since these fit the rows less closely, leaves may be smaller."""
_LEAST_GAIN = 1e-4
"""Nats per row that count as an improvement: with easily separated classes, losses keep falling by next to nothing."""

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Examples:
    """The training rows of trees."""

    columns: Floats
    """(n, columns): integers, in float64 because LightGBM reads floats."""
    classes: NDArray[np.int64]
    """(n,), numbered from 0."""
    outputs: int
    """Number of logits: 1 for two classes, else one per class."""
    weights: Floats
    """Weight of each row (n,)."""


@dataclass(frozen=True, slots=True)
class Growth:
    """Hyperparameters of tree growth."""

    leaves: int
    """Largest number of leaves per tree."""
    random: bool = False
    """Whether a split considers only one random cut per column (P. Geurts, D. Ernst, L. Wehenkel, "Extremely randomized
    trees", Machine Learning 63, 2006)."""


@dataclass(frozen=True, slots=True)
class Tried:
    """The result of cross-validating one `Growth`."""

    loss: float
    """Mean over folds of the cross-entropy (nats per row) on held-out rows."""
    spread: float
    """Standard deviation of that cross-entropy over folds."""
    slack: float
    """Losses that are larger by no more than this count as equal: a quarter of the mean's standard error."""
    rounds: int
    """The smallest number of rounds whose loss counts as equal to the best."""
    held_out: Floats
    """Logits (n, k) of every row, from trees that were not trained on it."""


class Boosted:
    """Float trees grown by LightGBM."""

    def __init__(self, booster: lightgbm.Booster, outputs: int) -> None:
        self._booster = booster
        self._outputs = outputs

    def logits(self, columns: Floats) -> Floats:
        """Logits (n, k) of columns (n, columns)."""
        return _predict(self._booster, columns, self._outputs)

    def gains(self) -> Floats:
        """Total reduction in loss by the splits on each column (columns,)."""
        return np.asarray(self._booster.feature_importance("gain"), dtype=np.float64)

    def trees(self) -> list[tuple[int, FloatTree]]:
        """All trees with their outputs, in the order in which they were grown. Raises ExportError."""
        # A round grows one tree per output, in order.
        grown = self._booster.dump_model()["tree_info"]
        return [(number % self._outputs, _read_tree(tree["tree_structure"])) for number, tree in enumerate(grown)]


def most_rounds(outputs: int, leaves: int) -> int:
    """Largest number of rounds: every split could have a cut of its own, and the format limits the number of cuts."""
    return min(_MAX_ROUNDS, MAX_CUTS // (outputs * (leaves - 1)))


def boost(examples: Examples, rounds: int, growth: Growth, seed: int) -> Boosted:
    """Grow trees on all rows."""
    options = _options(examples, growth, seed)
    return Boosted(lightgbm.train(options, _build_dataset(examples), rounds), examples.outputs)


def cross_validate(
    examples: Examples,
    folds: Sequence[tuple[Rows, Rows]],
    growth: Growth,
    seed: int,
    tell: Callable[[int, float], None],
) -> Tried:
    """Grow trees for all folds together, round by round, until the mean loss on held-out rows stops falling. `folds`
    are (training rows, held-out rows). `tell` is called with (rounds done, mean loss) after each round."""

    def told(state: CallbackEnv) -> None:
        for _, _, loss, *_ in state.evaluation_result_list or ():
            tell(state.iteration + 1, float(loss))

    options = _options(examples, growth, seed)
    found = lightgbm.cv(
        options,
        _build_dataset(examples),
        most_rounds(examples.outputs, growth.leaves),
        folds=folds,
        callbacks=[told, lightgbm.early_stopping(_PATIENCE, verbose=False, min_delta=_LEAST_GAIN)],
        return_cvbooster=True,
    )
    losses, spreads = (
        np.array(found[f"valid {options['metric']}-{kind}"], dtype=np.float64) for kind in ("mean", "stdv")
    )
    slack = float(spreads[losses.argmin()]) / len(folds) ** 0.5 / 4
    # As few rounds as are as good: each one adds trees to the model.
    rounds = int(np.flatnonzero(losses <= losses.min() + slack)[0]) + 1
    held_out = np.empty((len(examples.classes), examples.outputs))
    for booster, (_, judged) in zip(cast("CVBooster", found["cvbooster"]).boosters, folds, strict=True):
        held_out[judged] = _predict(booster, examples.columns[judged], examples.outputs, rounds)
    return Tried(float(losses[rounds - 1]), float(spreads[rounds - 1]), slack, rounds, held_out)


def _options(examples: Examples, growth: Growth, seed: int) -> dict[str, object]:
    most = _ROWS_IN_RANDOM_LEAF if growth.random else _MAX_ROWS_IN_LEAF
    two = {"objective": "binary", "metric": "binary_logloss"}
    more = {"objective": "multiclass", "metric": "multi_logloss", "num_class": examples.outputs}
    return (two if examples.outputs == 1 else more) | {
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "deterministic": True,
        "extra_trees": growth.random,
        "feature_fraction_bynode": 0.5,
        # Otherwise LightGBM picks the faster layout by timing, which may differ between runs.
        "force_row_wise": True,
        "lambda_l2": 1.0,
        "learning_rate": 0.1,
        # Products of columns need fine bins: few rows lie near a physical limit.
        "max_bin": 1023,
        "min_data_in_leaf": min(most, max(2, len(examples.classes) // 20)),
        "num_leaves": growth.leaves,
        # Several threads add gradients in an order that varies with their number.
        "num_threads": 1,
        "seed": seed,
        "verbosity": -1,
    }


def _build_dataset(examples: Examples) -> lightgbm.Dataset:
    return lightgbm.Dataset(examples.columns, examples.classes, weight=examples.weights, params={"verbosity": -1})


def _predict(booster: lightgbm.Booster, columns: Floats, outputs: int, rounds: int | None = None) -> Floats:
    raw = booster.predict(columns, num_iteration=rounds, raw_score=True)
    return np.asarray(raw, dtype=np.float64).reshape(len(columns), outputs)


def _read_tree(node: dict[str, object]) -> FloatTree:
    """Convert LightGBM's description of a node. Raises ExportError for a comparison that the format cannot express."""
    if "split_feature" not in node:
        return float(str(node["leaf_value"]))
    if node["decision_type"] != "<=" or node["missing_type"] != "None":
        raise ExportError(f"a tree splits by {node['decision_type']} with missing values as {node['missing_type']}")
    left, right = node["left_child"], node["right_child"]
    assert isinstance(left, dict) and isinstance(right, dict)  # noqa: S101, PT018  its documented form
    return Split(int(str(node["split_feature"])), float(str(node["threshold"])), _read_tree(left), _read_tree(right))


_SHIFT_STEP = 8
"""Shifts are multiples of this, so that columns with the same unit mostly share a scale."""
_HEADROOM = 4
"""Values up to this many times the largest one in training are not clamped."""


def fit_scales(fixed: NDArray[np.int64]) -> tuple[Scale, ...]:
    """Scales for fixed-point values (n, width): one if all columns can share it, else one per column. Zero maps to
    zero, so that the product of two columns is a product of two physical quantities. The shift is the smallest multiple
    of 8 that leaves headroom. With such coarse steps, columns with the same unit mostly share a scale; only then is
    their difference meaningful."""
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
    """Fit the forest whose recipe is best in cross-validation on the problem's rows. Raises InputError if the columns
    say nothing about the classes, and ExportError if the forest does not fit the integer format. Not established: that
    the losses of recipes with derived columns hold on new rows; they are slightly too low, since these columns are
    chosen on all rows."""
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
    # The first, hence simplest, recipe whose loss is within the slack of the best one.
    best = min((result for _, result in tried), key=lambda result: result.loss)
    recipe, found = next(pair for pair in tried if pair[1].loss <= best.loss + best.slack)
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


def _tell(progress: Progress, recipe: Recipe, outputs: int) -> Callable[[int, float], None]:
    planned = most_rounds(outputs, recipe.growth.leaves)
    return lambda done, loss: progress(recipe.name, done, planned, {"loss/validation": loss})
