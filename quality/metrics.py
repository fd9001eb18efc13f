"""Metrics of a model on labelled rows: counts, ratios and their confidence intervals; and what follows from its scores,
probabilities and the choice of a threshold. Needs numpy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from millmark.quality.errors import InputError
from millmark.quality.inference import LOGIT_LIMIT, Decision

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
    """Sum, over distinct scores from the highest down, of precision times gain in recall. Equal scores are one step.
    Same definition as scikit-learn's `average_precision_score`; 0 if no row is positive."""
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
    Rows are ranked for a class by its logit minus the largest other logit, whose sign decides whether the class
    wins."""
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
    """95 % interval of a figure, by stratified bootstrap; `figure` maps row numbers to a value. Each of the 300
    resamples keeps the size of every stratum (n,), so that a rare class is never missing. The draws are fixed: the same
    rows always have the same interval."""
    generator = np.random.default_rng(_SEED)
    groups = [np.flatnonzero(strata == value) for value in np.unique(strata)]
    figures = []
    for _ in range(_RESAMPLES):
        figures.append(figure(np.concatenate([generator.choice(rows, len(rows)) for rows in groups])))
    low, high = np.quantile(figures, [0.025, 0.975])
    return float(low), float(high)


# Calibrates scores to log odds, so that thresholds, costs and reliability plots can use probabilities.

Floats = NDArray[np.float64]
_STEPS = 100
"""Newton steps at most."""
_PRIOR = 1e-3
"""Weight of an L2 penalty on the slope, which keeps it finite for perfectly separated scores."""


def probabilities(logits: Floats) -> Floats:
    """Probabilities (n, classes) of logits (n, outputs): the logistic function of one logit, the softmax of several."""
    if logits.shape[1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    # Subtracting the maximum changes no ratio and keeps exp from overflowing.
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Floats = powers / powers.sum(axis=1, keepdims=True)
    return shares


def log_loss(logits: Floats, classes: Integers) -> float:
    """Mean of -log(probability of the true class), with probabilities of at least 1e-12."""
    true = probabilities(logits)[np.arange(len(classes)), classes]
    return float(-np.log(np.maximum(true, 1e-12)).mean())


def fit_log_odds(scores: Floats, positive: NDArray[np.bool_]) -> tuple[float, float]:
    """Platt scaling: (slope, offset) for which `slope * score + offset` fits the log odds of positive (n,) best. Damped
    Newton's method on the logistic loss, with Platt's targets, slightly inside 0 and 1, against overfitting. J. Platt,
    "Probabilistic Outputs for Support Vector Machines", 1999."""
    positives, negatives = int(positive.sum()), int((~positive).sum())
    wanted = np.where(positive, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    design = np.stack([scores, np.ones_like(scores)], axis=1)
    pull = np.array([_PRIOR, 0.0])

    def loss(at: Floats) -> float:
        odds = design @ at
        return float(np.sum(np.logaddexp(0, odds) - wanted * odds) + 0.5 * pull @ at**2)

    fitted = np.array([0.0, np.log((positives + 1) / (negatives + 1))])
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(design @ fitted, -50, 50)))
        gradient = design.T @ (chance - wanted) + pull * fitted
        # 1e-9 keeps the matrix invertible when every chance is nearly 0 or 1.
        curvature = (design * (chance * (1 - chance))[:, np.newaxis]).T @ design + np.diag(pull + 1e-9)
        step = np.linalg.solve(curvature, gradient)
        # Halve the step until it does not increase the loss: a full Newton step may overshoot.
        share = 1.0
        while share > 1e-6 and loss(fitted - share * step) > loss(fitted):
            share /= 2
        fitted = fitted - share * step
        if np.abs(share * step).max() < 1e-8:
            break
    return float(fitted[0]), float(fitted[1])


def fit_temperature(scores: Floats, classes: Integers) -> float:
    """Temperature scaling: the factor that turns scores (n, classes) into the logits of least log loss. Found by trying
    81 factors from 0.1 to 1000, evenly spaced on a logarithmic scale."""
    factors: list[float] = [10.0 ** (exponent / 20) for exponent in range(-20, 61)]
    return min(factors, key=lambda factor: log_loss(scores * factor, classes))


# Chooses a model's threshold: for the best F1, for a stated cost, or for a stated recall.


@dataclass(frozen=True, slots=True)
class Goal:
    """What the threshold optimises: F1 of FAIL unless a cost or a recall is stated. Raises InputError if both are
    stated, or one is out of range."""

    cost: tuple[int, int] | None = None
    """Cost of a missed defect and of a false alarm, 1..10^6 each; only their ratio matters."""
    recall_ppm: int | None = None
    """Minimum share of defects to find, in parts per million (1..10^6)."""

    def __post_init__(self) -> None:
        if self.cost is not None and self.recall_ppm is not None:
            raise InputError("both a cost and a recall are stated", hint="state only one")
        if self.cost is not None and not all(1 <= part <= 10**6 for part in self.cost):
            raise InputError("a cost is not in 1..1000000", hint="state two whole numbers, such as 10:1")
        if self.recall_ppm is not None and not 0 < self.recall_ppm <= 10**6:
            raise InputError("the recall is not above 0 and at most 1", hint="state a share, such as 0.99")

    @property
    def stated(self) -> bool:
        """Whether a cost or a recall is stated."""
        return self.cost is not None or self.recall_ppm is not None

    @property
    def name(self) -> str:
        """The goal as the card states it."""
        if self.cost is not None:
            return f"cost {self.cost[0]}:{self.cost[1]}"
        return "best f1" if self.recall_ppm is None else f"recall {self.recall_ppm} ppm"


def choose_threshold(scores: Integers, actual: Booleans, goal: Goal) -> int:
    """The integer t for which FAIL at `score >= t` serves the goal best, from scores (n,) and truth (n,).

    At least one row must be positive. Cost and recall are counted on the rows themselves; F1 is computed from the
    fitted probability that each row is a defect (see `_expect`). Of equally good thresholds, the result is the middle
    of the widest gap between scores. For a cost, never predicting FAIL is considered too. Not established: that the
    threshold is as good on new rows.
    """
    order = np.argsort(scores, kind="stable")
    distinct, first = np.unique(scores[order], return_index=True)
    worth = actual.astype(np.float64) if goal.stated else _expect(scores, actual)
    positives = np.concatenate(([0.0], np.cumsum(worth[order])))
    # A threshold just below distinct[i] predicts FAIL for the rows from first[i] on; the last one, above all, for none.
    called = np.append(len(scores) - first, 0)
    hits = np.append(positives[-1] - positives[first], 0.0)
    best = _rate(called, hits, float(positives[-1]), goal)
    low = np.concatenate(([distinct[0]], distinct))
    high = np.append(distinct, distinct[-1] + 1)
    # lexsort's last key is the primary one: best first, then the width of the gap.
    index = int(np.lexsort((high - low, best))[-1])
    # Any t with low < t <= high gives the rated verdicts.
    threshold = int(high[index] - (high[index] - low[index]) // 2)
    # One above the largest possible logit, which would never predict FAIL, does not fit in the format.
    return min(LOGIT_LIMIT - 1, max(1 - LOGIT_LIMIT, threshold))


def _expect(scores: Integers, actual: Booleans) -> Floats:
    """Probability that each row is positive (n,), by logistic regression on its score. With few defects, the F1 of the
    rows themselves is a jagged curve whose peak is largely chance; the F1 expected from these probabilities is a smooth
    one."""
    spread = float(scores.std()) or 1.0
    centred = (scores - scores.mean()) / spread
    slope, offset = fit_log_odds(centred, actual)
    return probabilities((slope * centred + offset)[:, np.newaxis])[:, 1]


def _rate(called: Integers, hits: Floats, positives: float, goal: Goal) -> Floats:
    """How well each threshold serves the goal; larger is better."""
    if goal.cost is not None:
        missed, alarmed = goal.cost
        return -((positives - hits) * missed + (called - hits) * alarmed)
    if goal.recall_ppm is not None:
        # Of the thresholds with enough recall, the one that predicts FAIL least often.
        enough = hits * 10**6 >= goal.recall_ppm * positives
        return np.where(enough, -called.astype(np.float64), -np.inf)
    return 2 * hits / (called + positives)
