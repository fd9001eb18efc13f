"""Which kind of model suits the data: how kinds did on the same folds, which of near equals is taken. Needs numpy.

Rows are *signals* when their columns are one quantity at one moment after the other, and *tables* when columns are
quantities of their own. Nobody has to say which: it is guessed, and the guess only says which kinds come first.
Cross-validation settles it, but for differences that chance explains: of the kinds that are not worse than the best by
more than a standard error, the first is taken. On few rows the best of four is often so by luck: without that rule, a
kind for signals is taken for a plain table now and then.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

__all__ = ["FOLDS", "SAMPLE_ROWS", "Columns", "Trial", "choose", "guess_columns", "repeats_for"]

FOLDS = 3
SAMPLE_ROWS = 1200
"""Cross-validation looks at about as many rows, so that choosing takes minutes whatever the size of the data."""
_MOST_REPEATS = 3
_SMOOTH = 0.5

Floats = NDArray[np.float64]


class Columns(enum.Enum):
    """What the columns of a row are."""

    SIGNAL = "signal"
    """One quantity, from moment to moment."""
    TABLE = "table"
    """Quantities of their own, in any order."""


_ORDER: Mapping[Columns, Sequence[str]] = {
    Columns.SIGNAL: ("rocket", "cnn", "mlp", "trees"),
    Columns.TABLE: ("mlp", "trees", "rocket", "cnn"),
}
"""Kinds that suit the columns before those that do not; of those the one first that a contract can execute, or that is
the better by experience."""


@dataclass(frozen=True, slots=True)
class Trial:
    """How a kind did in cross-validation."""

    kind: str
    figures: tuple[float, ...]
    """F1 on each fold, the same folds for every kind: of FAIL for two classes, else the mean over classes."""
    obstacle: str = ""
    """Why the kind could not be tried; then there are no figures."""

    @property
    def mean(self) -> float:
        return float(np.mean(self.figures)) if self.figures else -1.0

    @property
    def spread(self) -> float:
        """Standard deviation over folds."""
        return float(np.std(self.figures)) if self.figures else 0.0

    def error_against(self, other: Trial) -> float:
        """Standard error of the difference of two means, for folds that share rows to learn from.

        C. Nadeau, Y. Bengio, "Inference for the Generalization Error", Machine Learning 52, 2003: the variance over
        folds times 1/folds + rows that judge / rows that train.
        """
        differences = np.subtract(self.figures, other.figures)
        return float(differences.std(ddof=1)) * sqrt(1 / len(differences) + 1 / (FOLDS - 1))


def guess_columns(values: Floats) -> Columns:
    """What the columns of rows (n, width) look like.

    Signals change little from one value to the next: less than half as much, by mean square, as between two values of a
    row at random (von Neumann's ratio), both as they are and after each column was brought to one scale. The median row
    decides. A signal that is all noise looks like a table.
    """
    moving = values[:, values.std(axis=0) > 0]
    if moving.shape[1] < 2:
        return Columns.TABLE
    alike = (moving - moving.mean(axis=0)) / moving.std(axis=0)
    return Columns.SIGNAL if max(_roughness(moving), _roughness(alike)) < _SMOOTH else Columns.TABLE


def _roughness(values: Floats) -> float:
    """Mean square between neighbours over that of any two values, of the median row; 1 for values in no order."""
    steps = np.mean(np.diff(values, axis=1) ** 2, axis=1)
    spread = 2 * values.var(axis=1)
    return float(np.median(np.divide(steps, spread, out=np.ones_like(steps), where=spread > 0)))


def repeats_for(rows: int) -> int:
    """How often all folds are drawn: more often when rows are few, and one drawing says little."""
    return min(_MOST_REPEATS, max(1, SAMPLE_ROWS // rows))


def choose(trials: Sequence[Trial], columns: Columns) -> Trial:
    """The first kind, in the order that suits the columns, that is not worse than the best by more than an error.

    At least one trial has figures.
    """
    tried = {trial.kind: trial for trial in trials if trial.figures}
    best = max(tried.values(), key=lambda trial: trial.mean)
    ordered = (tried[kind] for kind in _ORDER[columns] if kind in tried)
    return next(trial for trial in ordered if best.mean - trial.mean <= best.error_against(trial))
