"""The figures of one model on one set of rows, with their 95 % intervals. Needs numpy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from millmark.quality.calibration import probabilities
from millmark.quality.metrics import (
    Counts,
    Interval,
    bootstrap,
    classify_all,
    confusion,
    macro_average_precision,
    macro_f1,
    margins,
    wilson,
)
from millmark.quality.train import Trained

_BINS = 10

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Report:
    """The performance of a model on one set of rows."""

    confusion: Integers
    """(classes, classes): rows by true class, columns by the class shown to people."""
    counts: Counts
    """Verdicts compared with the truth; positive means FAIL."""
    figures: Mapping[str, tuple[float, Interval]]
    """Value and 95 % interval: accuracy, f1 and average_precision of the classes, precision and recall of FAIL."""
    reliability: tuple[tuple[int, float, float], ...]
    """(rows, mean predicted probability of FAIL, observed share of FAIL) for each tenth of the probability scale that
    has rows."""
    same_verdicts: int
    """Rows on which the float model, before any rounding, reaches the same verdict."""


def build_report(trained: Trained, logits: Integers, actual: Integers, *, integers: Integers, floats: Floats) -> Report:
    """Report on logits (n, outputs) of rows whose true classes (n,) are known.

    `integers` and `floats` (n, outputs) are the logits of the final integer model and of the float model that it was
    rounded from. `logits` may differ from `integers`: held-out rows are scored by models that were not fitted to them.
    """
    decision, classes = trained.model.decision, trained.classes
    shown = classify_all(decision, logits)
    fails = margins(decision, logits) >= decision.threshold
    counts = Counts.of(fails, classes.fails(actual))
    return Report(
        confusion=confusion(shown, actual, len(classes.labels)),
        counts=counts,
        figures=_measure(logits, shown, actual, counts),
        reliability=_bin(_chance_of_fail(trained, logits), classes.fails(actual)),
        same_verdicts=int(np.sum((margins(decision, integers) >= decision.threshold) == _float_fails(trained, floats))),
    )


def _measure(
    logits: Integers, shown: Integers, actual: Integers, counts: Counts
) -> Mapping[str, tuple[float, Interval]]:
    """The `figures` of a report: Wilson intervals for shares of rows, bootstrap intervals for the others."""
    several = logits.shape[1] > 1
    size = int(max(shown.max(), actual.max())) + 1

    def f1(rows: Integers) -> float:
        if several:
            return macro_f1(confusion(shown[rows], actual[rows], size))
        return Counts.of(shown[rows] == 1, actual[rows] == 1).f1

    def ranked(rows: Integers) -> float:
        return macro_average_precision(logits[rows], actual[rows])

    everything = np.arange(len(actual))
    right = int(np.sum(shown == actual))
    called = counts.true_positives + counts.false_positives
    defects = counts.true_positives + counts.false_negatives
    return {
        "accuracy": (right / len(actual), wilson(right, len(actual))),
        "average_precision": (ranked(everything), bootstrap(ranked, actual)),
        "f1": (f1(everything), bootstrap(f1, actual)),
        "precision": (counts.true_positives / max(1, called), wilson(counts.true_positives, called)),
        "recall": (counts.true_positives / max(1, defects), wilson(counts.true_positives, defects)),
    }


def _chance_of_fail(trained: Trained, logits: Integers) -> Floats:
    """Probability of FAIL (n,) according to the logits, independent of the threshold."""
    chances = probabilities(logits.astype(np.float64) * trained.fitted.logit_step)
    rejected = trained.classes.fails(np.arange(len(trained.classes.labels)))
    total: Floats = chances[:, rejected].sum(axis=1)
    return total


def _float_fails(trained: Trained, floats: Floats) -> NDArray[np.bool_]:
    """Verdicts (n,) of float logits (n, outputs), with the threshold converted to their units; True means FAIL."""
    decision = trained.model.decision
    if decision.outputs == 1:
        margin = floats[:, 0]
    elif decision.accepted:
        margin = floats[:, decision.rejected].max(axis=1) - floats[:, decision.accepted].max(axis=1)
    else:
        margin = np.zeros(len(floats))
    return np.asarray(margin >= decision.threshold * trained.fitted.logit_step, dtype=np.bool_)


def _bin(chances: Floats, failed: NDArray[np.bool_]) -> tuple[tuple[int, float, float], ...]:
    # A probability of exactly 1 belongs to the last bin.
    bins = np.minimum((chances * _BINS).astype(np.int64), _BINS - 1)
    groups = [bins == index for index in range(_BINS)]
    return tuple(
        (int(group.sum()), float(chances[group].mean()), float(failed[group].mean())) for group in groups if group.any()
    )
