"""Where the verdict turns: the threshold for the best F1, for a stated cost, or for a stated recall. Needs numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quality.calibration import fit_log_odds, probabilities
from quality.decision import LOGIT_LIMIT
from quality.errors import InputError

__all__ = ["Goal", "choose_threshold"]

Booleans = NDArray[np.bool_]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Goal:
    """What the threshold is to be best for: F1 of FAIL when nothing is stated. Raises InputError when it is no goal."""

    cost: tuple[int, int] | None = None
    """What a missed defect costs, and what a false alarm costs."""
    recall_ppm: int | None = None
    """Least share of defects to be found, in parts per million."""

    def __post_init__(self) -> None:
        if self.cost is not None and self.recall_ppm is not None:
            raise InputError("both a cost and a recall are stated", hint="state one")
        if self.cost is not None and not all(1 <= part <= 10**6 for part in self.cost):
            raise InputError("a cost is not in 1..1000000", hint="state two whole numbers such as 10:1")
        if self.recall_ppm is not None and not 0 < self.recall_ppm <= 10**6:
            raise InputError("the recall is not above 0 and at most 1", hint="state a share such as 0.99")

    @property
    def stated(self) -> bool:
        """Whether it is anything but the default."""
        return self.cost is not None or self.recall_ppm is not None

    @property
    def name(self) -> str:
        """For the card."""
        if self.cost is not None:
            return f"cost {self.cost[0]}:{self.cost[1]}"
        return "best f1" if self.recall_ppm is None else f"recall {self.recall_ppm} ppm"


def choose_threshold(scores: Integers, actual: Booleans, goal: Goal) -> int:
    """Integer t for which `score >= t` serves the goal best; among equals, the middle of the widest gap between scores.

    A cost and a recall are counted on the rows themselves; F1 is expected from how the chance of a defect rises with
    the score.

    Scores (n,) and truth (n,), of which at least one is positive. Calling nothing a defect is considered as well,
    where a cost is stated.
    """
    order = np.argsort(scores, kind="stable")
    distinct, first = np.unique(scores[order], return_index=True)
    worth = actual.astype(np.float64) if goal.stated else _expect(scores, actual)
    positives = np.concatenate(([0.0], np.cumsum(worth[order])))
    # At a cut below distinct[i], the rows from first[i] on are called positive; at the last cut, above all, none.
    called = np.append(len(scores) - first, 0)
    hits = np.append(positives[-1] - positives[first], 0.0)
    best = _rate(called, hits, float(positives[-1]), goal)
    low = np.concatenate(([distinct[0]], distinct))
    high = np.append(distinct, distinct[-1] + 1)
    index = int(np.lexsort((high - low, best))[-1])
    threshold = int(high[index] - (high[index] - low[index]) // 2)
    return min(LOGIT_LIMIT - 1, max(1 - LOGIT_LIMIT, threshold))


def _expect(scores: Integers, actual: Booleans) -> Floats:
    """Chance that each row is positive (n,), by its score: what is best for these wavers less than what is for rows."""
    spread = float(scores.std()) or 1.0
    centred = (scores - scores.mean()) / spread
    slope, offset = fit_log_odds(centred, actual)
    return probabilities((slope * centred + offset)[:, np.newaxis])[:, 1]


def _rate(called: Integers, hits: Floats, positives: float, goal: Goal) -> Floats:
    """How well each cut serves the goal; more is better."""
    if goal.cost is not None:
        missed, alarmed = goal.cost
        return -((positives - hits) * missed + (called - hits) * alarmed)
    if goal.recall_ppm is not None:
        enough = hits * 10**6 >= goal.recall_ppm * positives
        return np.where(enough, -called.astype(np.float64), -np.inf)
    return 2 * hits / (called + positives)
