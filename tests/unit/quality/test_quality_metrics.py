"""Figures of a two-class decision, by hand and against plain definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quality.metrics import Counts, average_precision, choose_threshold

scored = st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=1, max_size=30)


def test_counts_by_hand() -> None:
    predicted = np.array([True, True, True, False, False])
    actual = np.array([True, True, False, True, False])
    counts = Counts.of(predicted, actual)
    assert counts == Counts(true_positives=2, false_positives=1, false_negatives=1, true_negatives=1)
    assert counts.accuracy == 3 / 5
    assert counts.f1 == 2 / 3


def test_f1_without_positives_is_zero() -> None:
    assert Counts(0, 0, 0, 4).f1 == 0


def test_average_precision_by_hand() -> None:
    # From the highest: hit (1/1), miss, hit (2/3); each hit is half of the recall.
    assert average_precision(np.array([9, 5, 1]), np.array([True, False, True])) == pytest.approx((1 + 2 / 3) / 2)
    # Equal scores are one step: all at once, precision 1/2.
    assert average_precision(np.array([4, 4]), np.array([True, False])) == 0.5
    assert average_precision(np.array([4, 4]), np.array([False, False])) == 0


@given(scored)
def test_average_precision_is_precision_times_gain(rows: list[tuple[int, bool]]) -> None:
    scores, actual = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    expected, recall = 0.0, 0.0
    for cut in sorted({row[0] for row in rows}, reverse=True):
        if actual.any():
            called = scores >= cut
            reached = float(np.sum(called & actual) / actual.sum())
            expected += (reached - recall) * float(np.sum(called & actual) / called.sum())
            recall = reached
    assert average_precision(scores, actual) == pytest.approx(expected)


@given(scored.filter(lambda rows: any(row[1] for row in rows)))
def test_no_threshold_beats_the_chosen_one(rows: list[tuple[int, bool]]) -> None:
    scores, actual = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    chosen = choose_threshold(scores, actual)
    best = max(Counts.of(scores >= cut, actual).f1 for cut in range(-6, 7))
    assert Counts.of(scores >= chosen, actual).f1 == best


def test_the_threshold_lies_in_the_middle_of_the_gap() -> None:
    assert choose_threshold(np.array([-100, -50, 50, 100]), np.array([False, False, True, True])) == 0
