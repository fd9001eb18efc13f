"""The only module that uses LightGBM: boosting, cross-validation, and conversion of its trees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from millmark.quality.errors import ExportError, InputError
from millmark.quality.trees.export import FloatTree, Split
from millmark.quality.trees.shape import MAX_CUTS

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
    """Grow trees for all folds together, round by round, until the mean loss on held-out rows stops falling.

    `folds` are (training rows, held-out rows). `tell` is called with (rounds done, mean loss) after each round.
    """

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
