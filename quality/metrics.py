"""Metrics of a model on labelled rows: counts, ratios and their confidence intervals. Needs numpy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from millmark.quality.decision import Decision

Booleans = NDArray[np.bool_]
Integers = NDArray[np.int64]
Interval = tuple[float, float]

_NORMAL_95 = 1.959963984540054
"""95 % of a normal distribution lie within this many standard deviations of its mean."""
_RESAMPLES = 300
_SEED = 20259
"""Fixed, so that the same rows always have the same interval."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Verdicts compared with the truth; positive means FAIL."""

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int

    @staticmethod
    def of(predicted: Booleans, actual: Booleans) -> Counts:
        """Compare predictions (n,) with the truth (n,)."""
        return Counts(
            true_positives=int(np.sum(predicted & actual)),
            false_positives=int(np.sum(predicted & ~actual)),
            false_negatives=int(np.sum(~predicted & actual)),
            true_negatives=int(np.sum(~predicted & ~actual)),
        )

    @property
    def rows(self) -> int:
        return self.true_positives + self.true_negatives + self.false_positives + self.false_negatives

    @property
    def accuracy(self) -> float:
        return (self.true_positives + self.true_negatives) / self.rows

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall of FAIL; 0 if no row is positive, predicted or true."""
        twice = 2 * self.true_positives
        total = twice + self.false_positives + self.false_negatives
        return twice / total if total else 0.0


def margins(decision: Decision, logits: Integers) -> Integers:
    """Margins (n,) of logits (n, k), equal to `Decision.margin` of each row."""
    if decision.outputs == 1:
        return logits[:, 0]
    if not decision.accepted:
        return np.zeros(len(logits), dtype=np.int64)
    best: Integers = logits[:, decision.rejected].max(axis=1) - logits[:, decision.accepted].max(axis=1)
    return best


def classify_all(decision: Decision, logits: Integers) -> Integers:
    """Classes (n,) of logits (n, k), equal to `Decision.classify` of each row."""
    if decision.outputs == 1:
        return (logits[:, 0] >= decision.threshold).astype(np.int64)
    # argmax returns the first of equal logits, as `Decision.classify` does.
    largest: Integers = logits.argmax(axis=1)
    return largest


def confusion(predicted: Integers, actual: Integers, count: int) -> Integers:
    """Confusion matrix (count, count): rows by true class, columns by predicted class."""
    return np.bincount(actual * count + predicted, minlength=count * count).reshape(count, count)


def macro_f1(matrix: Integers) -> float:
    """Mean F1 over the classes that occur or are predicted, from a confusion matrix."""
    right = np.diag(matrix)
    total = matrix.sum(axis=0) + matrix.sum(axis=1)
    return float(np.mean(2 * right[total > 0] / total[total > 0]))


def average_precision(scores: Integers, actual: Booleans) -> float:
    """Sum, over distinct scores from the highest down, of precision times gain in recall.

    Equal scores are one step. Same definition as scikit-learn's `average_precision_score`; 0 if no row is positive.
    """
    if not actual.any():
        return 0.0
    order = np.argsort(-scores, kind="stable")
    # The last row of each run of equal scores: rows with equal scores cannot be ordered.
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    hits = np.cumsum(actual[order])[ends]
    gains = np.diff(hits, prepend=0) / actual.sum()
    return float(np.sum(hits / (ends + 1) * gains))


def macro_average_precision(logits: Integers, actual: Integers) -> float:
    """Average precision of FAIL for a single logit, else the mean over the classes that occur, each against the rest.

    Rows are ranked for a class by its logit minus the largest other logit, whose sign decides whether the class wins.
    """
    if logits.shape[1] == 1:
        return average_precision(logits[:, 0], actual == 1)
    ordered = np.sort(logits, axis=1)
    rest = np.where(logits == ordered[:, -1:], ordered[:, -2:-1], ordered[:, -1:])
    present = np.unique(actual)
    return float(np.mean([average_precision((logits - rest)[:, index], actual == index) for index in present]))


def wilson(hits: int, rows: int) -> Interval:
    """95 % Wilson interval of the share hits / rows; (0, 1) without rows. E. B. Wilson, JASA 22, 1927."""
    if not rows:
        return 0.0, 1.0
    square = _NORMAL_95**2
    share = hits / rows
    centre = (share + square / (2 * rows)) / (1 + square / rows)
    half = _NORMAL_95 / (1 + square / rows) * sqrt(share * (1 - share) / rows + square / (4 * rows**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def bootstrap(figure: Callable[[Integers], float], strata: Integers) -> Interval:
    """95 % interval of a figure, by stratified bootstrap; `figure` maps row numbers to a value.

    Each of the 300 resamples keeps the size of every stratum (n,), so that a rare class is never missing. The draws are
    fixed: the same rows always have the same interval.
    """
    generator = np.random.default_rng(_SEED)
    groups = [np.flatnonzero(strata == value) for value in np.unique(strata)]
    figures = []
    for _ in range(_RESAMPLES):
        figures.append(figure(np.concatenate([generator.choice(rows, len(rows)) for rows in groups])))
    low, high = np.quantile(figures, [0.025, 0.975])
    return float(low), float(high)
