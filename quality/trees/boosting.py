"""The one place that knows LightGBM: boosting, cross-validation, and its trees as our own records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from quality.errors import ExportError, InputError
from quality.trees.export import FloatTree, Split
from quality.trees.shape import MAX_CUTS

try:
    import lightgbm
    from lightgbm import CVBooster
    from lightgbm.callback import CallbackEnv
except OSError as error:  # Its library needs OpenMP, which a minimal system lacks.
    raise InputError(f"LightGBM cannot be loaded: {error}", hint="install the system's libgomp1") from error

__all__ = ["Boosted", "Examples", "Growth", "Tried", "boost", "cross_validate", "most_rounds"]

_MAX_ROUNDS = 1000
_PATIENCE = 25
"""Rounds without a better loss after which cross-validation stops."""
_MOST_ROWS_IN_LEAF = 10
"""A leaf has as many rows at least; of fewer than 200 rows in all, a twentieth, or a small table would grow no tree."""
_ROWS_IN_RANDOM_LEAF = 3
"""Of trees whose cuts are drawn at random: no single cut follows the rows so closely."""
_LEAST_GAIN = 1e-4
"""Nats a row that make a loss better. Where classes are easily told apart, losses fall for ever, by next to nothing."""

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Examples:
    """What trees learn from."""

    columns: Floats
    """(n, columns): integers, as float64 carries them."""
    classes: NDArray[np.int64]
    """(n,), numbered from 0."""
    outputs: int
    """Number of logits: 1 for two classes, else one a class."""
    weights: Floats
    """(n,)."""


@dataclass(frozen=True, slots=True)
class Growth:
    """How trees grow."""

    leaves: int
    """Most leaves of a tree."""
    random: bool = False
    """Whether each split compares with a value drawn at random, one a column (P. Geurts, D. Ernst, L. Wehenkel,
    "Extremely randomized trees", Machine Learning 63, 2006)."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What cross-validation says of one way to grow trees."""

    loss: float
    """Mean over the folds of the cross-entropy (nats a row) on rows not learnt from."""
    spread: float
    """Its standard deviation over the folds."""
    slack: float
    """How much more loss is as good: a quarter of the mean's standard error."""
    rounds: int
    """The fewest whose loss is as good as that of the best number."""
    held_out: Floats
    """Logits (n, k) of every row, by trees that had not seen it."""


class Boosted:
    """Float trees."""

    def __init__(self, booster: lightgbm.Booster, outputs: int) -> None:
        self._booster = booster
        self._outputs = outputs

    def logits(self, columns: Floats) -> Floats:
        """(n, columns) to (n, k)."""
        return _predict(self._booster, columns, self._outputs)

    def gains(self) -> Floats:
        """How much loss the splits of each column took away (columns,)."""
        return np.asarray(self._booster.feature_importance("gain"), dtype=np.float64)

    def trees(self) -> list[tuple[int, FloatTree]]:
        """All trees with their outputs, in the order in which they were grown. Raises ExportError."""
        grown = self._booster.dump_model()["tree_info"]
        return [(number % self._outputs, _read_tree(tree["tree_structure"])) for number, tree in enumerate(grown)]


def most_rounds(outputs: int, leaves: int) -> int:
    """Rounds that may be tried for so many logits: no more than have room for a cut of its own in every split."""
    return min(_MAX_ROUNDS, MAX_CUTS // (outputs * (leaves - 1)))


def boost(examples: Examples, rounds: int, growth: Growth, seed: int) -> Boosted:
    """Trees grown on all rows."""
    options = _options(examples, growth, seed)
    return Boosted(lightgbm.train(options, _build_dataset(examples), rounds), examples.outputs)


def cross_validate(
    examples: Examples,
    folds: Sequence[tuple[Rows, Rows]],
    growth: Growth,
    seed: int,
    tell: Callable[[int, float], None],
) -> Tried:
    """Grow trees on all folds' rows side by side, round by round, until the mean loss on the others stops falling.

    `tell` hears (rounds done, mean loss).
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
    rounds = int(np.flatnonzero(losses <= losses.min() + slack)[0]) + 1
    held_out = np.empty((len(examples.classes), examples.outputs))
    for booster, (_, judged) in zip(cast("CVBooster", found["cvbooster"]).boosters, folds, strict=True):
        held_out[judged] = _predict(booster, examples.columns[judged], examples.outputs, rounds)
    return Tried(float(losses[rounds - 1]), float(spreads[rounds - 1]), slack, rounds, held_out)


def _options(examples: Examples, growth: Growth, seed: int) -> dict[str, object]:
    most = _ROWS_IN_RANDOM_LEAF if growth.random else _MOST_ROWS_IN_LEAF
    two = {"objective": "binary", "metric": "binary_logloss"}
    more = {"objective": "multiclass", "metric": "multi_logloss", "num_class": examples.outputs}
    return (two if examples.outputs == 1 else more) | {
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "deterministic": True,
        "extra_trees": growth.random,
        "feature_fraction_bynode": 0.5,
        "force_row_wise": True,
        "lambda_l2": 1.0,
        "learning_rate": 0.1,
        # Products of columns need fine bins: where a physical limit lies, a few rows decide.
        "max_bin": 1023,
        "min_data_in_leaf": min(most, max(2, len(examples.classes) // 20)),
        "num_leaves": growth.leaves,
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
    """LightGBM's description of a node. Raises ExportError when it compares in a way that a forest does not."""
    if "split_feature" not in node:
        return float(str(node["leaf_value"]))
    if node["decision_type"] != "<=" or node["missing_type"] != "None":
        raise ExportError(f"a tree splits by {node['decision_type']} with missing values as {node['missing_type']}")
    left, right = node["left_child"], node["right_child"]
    assert isinstance(left, dict) and isinstance(right, dict)  # noqa: S101, PT018  its documented form
    return Split(int(str(node["split_feature"])), float(str(node["threshold"])), _read_tree(left), _read_tree(right))
