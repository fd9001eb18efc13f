"""Chooses the kind of model that suits the data, from cross-validation of all kinds on the same folds. Needs numpy.

Rows are *signals* if their columns are one quantity sampled over time, and *tables* if each column is a quantity of its
own. Unless the caller states which, it is guessed; a guess only affects the order in which kinds are preferred. Of the
kinds that are worse than the best by no more than a standard error, the first in that order is chosen: on few rows the
best of four is often best by luck, and without this rule a kind for signals would now and then be chosen for a table.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

FOLDS = 3
SAMPLE_ROWS = 1200
"""Cross-validation uses about this many rows at most, so that choosing takes minutes however large the data are."""
_MAX_REPEATS = 3
_SMOOTH = 0.5
"""Roughness (see `_roughness`) below which columns look like a signal; 1 is that of values in random order."""

Floats = NDArray[np.float64]


class Columns(enum.Enum):
    """What the columns of a row are."""

    SIGNAL = "signal"
    """One quantity sampled over time."""
    TABLE = "table"
    """Different quantities, in any order."""


_ORDER: Mapping[Columns, Sequence[str]] = {
    Columns.SIGNAL: ("rocket", "cnn", "mlp", "trees"),
    Columns.TABLE: ("mlp", "trees", "rocket", "cnn"),
}
"""Order of preference: kinds that suit the columns first. Among these, the MLP comes first for tables because the
contract can execute it, and the rocket for signals because it is usually the more accurate."""


@dataclass(frozen=True, slots=True)
class Trial:
    """The result of one kind in cross-validation."""

    kind: str
    figures: tuple[float, ...]
    """F1 on each fold, with the same folds for every kind: of FAIL for two classes, else the mean over classes."""
    obstacle: str = ""
    """Why the kind could not be tried; there are no figures then."""

    @property
    def mean(self) -> float:
        """Mean F1 over folds; -1 if the kind was not tried, which is below any F1."""
        return float(np.mean(self.figures)) if self.figures else -1.0

    @property
    def spread(self) -> float:
        """Standard deviation of F1 over folds."""
        return float(np.std(self.figures)) if self.figures else 0.0

    def error_against(self, other: Trial) -> float:
        """Standard error of the difference between two means, corrected for folds that share training rows.

        C. Nadeau, Y. Bengio, "Inference for the Generalization Error", Machine Learning 52, 2003: the variance over
        folds times (1 / folds + held-out rows / training rows).
        """
        differences = np.subtract(self.figures, other.figures)
        return float(differences.std(ddof=1)) * sqrt(1 / len(differences) + 1 / (FOLDS - 1))


def guess_columns(values: Floats) -> Columns:
    """Guess whether rows (n, width) are signals or a table.

    Neighbouring values of a signal differ little: by less than half the mean square difference between two random
    values of the row (von Neumann's ratio), both in raw values and with each column standardised. The median row
    decides. A signal of pure noise looks like a table.
    """
    # Constant columns, such as padding, say nothing, and cannot be standardised.
    moving = values[:, values.std(axis=0) > 0]
    if moving.shape[1] < 2:
        return Columns.TABLE
    alike = (moving - moving.mean(axis=0)) / moving.std(axis=0)
    return Columns.SIGNAL if max(_roughness(moving), _roughness(alike)) < _SMOOTH else Columns.TABLE


def _roughness(values: Floats) -> float:
    """Mean square difference of neighbours over that of any two values, for the median row; about 1 in random order."""
    steps = np.mean(np.diff(values, axis=1) ** 2, axis=1)
    spread = 2 * values.var(axis=1)
    return float(np.median(np.divide(steps, spread, out=np.ones_like(steps), where=spread > 0)))


def repeats_for(rows: int) -> int:
    """How many times the rows are split into folds: more often with few rows, where a single split says little."""
    return min(_MAX_REPEATS, max(1, SAMPLE_ROWS // rows))


def choose(trials: Sequence[Trial], columns: Columns) -> Trial:
    """The first kind, in the columns' order of preference, that is at most one standard error worse than the best.

    At least one trial must have figures.
    """
    tried = {trial.kind: trial for trial in trials if trial.figures}
    best = max(tried.values(), key=lambda trial: trial.mean)
    ordered = (tried[kind] for kind in _ORDER[columns] if kind in tried)
    return next(trial for trial in ordered if best.mean - trial.mean <= best.error_against(trial))
