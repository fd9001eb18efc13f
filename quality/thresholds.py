"""Chooses a model's threshold: for the best F1, for a stated cost, or for a stated recall. Needs numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from millmark.quality.calibration import fit_log_odds, probabilities
from millmark.quality.decision import LOGIT_LIMIT
from millmark.quality.errors import InputError

Booleans = NDArray[np.bool_]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Goal:
    """What the threshold optimises: F1 of FAIL unless a cost or a recall is stated.

    Raises InputError if both are stated, or one is out of range.
    """

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
    """Probability that each row is positive (n,), by logistic regression on its score.

    With few defects, the F1 of the rows themselves is a jagged curve whose peak is largely chance; the F1 expected from
    these probabilities is a smooth one.
    """
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
