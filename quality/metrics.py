"""Counts and ratios of a two-class decision, positive meaning "symptom present"."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Counts", "average_precision", "choose_threshold"]

Booleans = NDArray[np.bool_]
Scores = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Counts:
    """The confusion matrix."""

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int

    @staticmethod
    def of(predicted: Booleans, actual: Booleans) -> Counts:
        """Counts of predictions (n,) against truth (n,)."""
        return Counts(
            true_positives=int(np.sum(predicted & actual)),
            false_positives=int(np.sum(predicted & ~actual)),
            false_negatives=int(np.sum(~predicted & actual)),
            true_negatives=int(np.sum(~predicted & ~actual)),
        )

    @property
    def accuracy(self) -> float:
        right = self.true_positives + self.true_negatives
        return right / (right + self.false_positives + self.false_negatives)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall of the positive class; 0 when nothing was predicted or is positive."""
        twice = 2 * self.true_positives
        total = twice + self.false_positives + self.false_negatives
        return twice / total if total else 0.0


def average_precision(scores: Scores, actual: Booleans) -> float:
    """Sum over distinct scores, from the highest, of precision times gain in recall; equal scores count as one step.

    The definition of scikit-learn's `average_precision_score`. 0 when nothing is positive.
    """
    if not actual.any():
        return 0.0
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    hits = np.cumsum(actual[order])[ends]
    gains = np.diff(hits, prepend=0) / actual.sum()
    return float(np.sum(hits / (ends + 1) * gains))


def choose_threshold(scores: Scores, actual: Booleans) -> int:
    """Integer t for which `score >= t` has the best F1; among equals, the middle of the widest gap between scores.

    Scores (n,) and truth (n,), neither empty, with at least one positive.
    """
    distinct, first = np.unique(np.sort(scores), return_index=True)
    positives = np.concatenate(([0], np.cumsum(actual[np.argsort(scores, kind="stable")])))
    # At a cut below distinct[i], the rows from first[i] on are called positive.
    hits = positives[-1] - positives[first]
    f1 = 2 * hits / (len(scores) - first + positives[-1])
    gaps = np.diff(distinct, prepend=distinct[0])
    best = int(np.lexsort((gaps, f1))[-1])
    return int(distinct[best] - gaps[best] // 2)
