"""Figures of a two-class decision, by hand and against plain definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from millmark.quality import Decision, InputError
from millmark.quality.metrics import (
    Counts,
    Goal,
    average_precision,
    bootstrap,
    choose_threshold,
    classify_all,
    confusion,
    macro_average_precision,
    macro_f1,
    margins,
    wilson,
)

Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

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


with_defects = scored.filter(lambda rows: any(row[1] for row in rows))


def cost_at(cut: int, scores: Integers, actual: Booleans, cost: tuple[int, int]) -> int:
    counts = Counts.of(scores >= cut, actual)
    return counts.false_negatives * cost[0] + counts.false_positives * cost[1]


@given(with_defects, st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_no_threshold_costs_less_than_the_chosen_one(rows: list[tuple[int, bool]], cost: tuple[int, int]) -> None:
    scores, actual = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    chosen = choose_threshold(scores, actual, Goal(cost=cost))
    assert cost_at(chosen, scores, actual, cost) == min(cost_at(cut, scores, actual, cost) for cut in range(-6, 8))


@given(with_defects, st.integers(1, 10**6))
def test_a_stated_recall_is_reached_with_the_fewest_alarms(rows: list[tuple[int, bool]], ppm: int) -> None:
    scores, actual = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    chosen = choose_threshold(scores, actual, Goal(recall_ppm=ppm))

    def reaches(cut: int) -> bool:
        return int(np.sum((scores >= cut) & actual)) * 10**6 >= ppm * int(actual.sum())

    assert reaches(chosen)
    assert not any(reaches(cut) for cut in range(-6, 8) if np.sum(scores >= cut) < np.sum(scores >= chosen))


def test_the_default_threshold_is_near_the_best_f1_and_wavers_less() -> None:
    """On overlapping normal scores, a tenth of them defects, the best F1 lies where precision and recall balance."""
    rng = np.random.default_rng(3)
    chosen, empirical = [], []
    for _ in range(30):
        actual = np.arange(300) < 30
        scores = np.rint((rng.normal(size=300) + 2 * actual) * 1000).astype(np.int64)
        chosen.append(choose_threshold(scores, actual, Goal()))
        empirical.append(max(sorted(scores), key=lambda cut: Counts.of(scores >= cut, actual).f1))
    assert 1300 < np.mean(chosen) < 1900
    assert np.std(chosen) < np.std(empirical)


def test_the_threshold_lies_in_the_middle_of_the_gap() -> None:
    goal = Goal(cost=(1, 1))
    assert choose_threshold(np.array([-100, -50, 50, 100]), np.array([False, False, True, True]), goal) == 0


def test_where_a_miss_is_cheap_nothing_is_called_a_defect() -> None:
    scores, actual = np.array([1, 2, 3]), np.array([True, False, False])
    assert choose_threshold(scores, actual, Goal(cost=(1, 9))) == 4
    assert choose_threshold(scores, actual, Goal(cost=(9, 1))) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"cost": (1, 1), "recall_ppm": 5},
        {"cost": (0, 1)},
        {"cost": (1, 10**6 + 1)},
        {"recall_ppm": 0},
        {"recall_ppm": 10**6 + 1},
    ],
)
def test_other_goals_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(InputError):
        Goal(**fields)  # type: ignore[arg-type]  # fields vary by case


def test_margins_and_classes_are_those_of_the_decision() -> None:
    logits = np.random.default_rng(1).integers(-9, 9, (200, 4))
    for decision in (Decision(4, 0b0110, -2), Decision(4, 0b1111, 0), Decision(1, 1, 3)):
        rows = logits[:, : decision.outputs]
        assert margins(decision, rows).tolist() == [decision.margin(row) for row in rows.tolist()]
        assert classify_all(decision, rows).tolist() == [decision.classify(row) for row in rows.tolist()]


def test_macro_figures_by_hand() -> None:
    matrix = confusion(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2]), 4)
    assert matrix.tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    # F1 2/3, 2/3 and 1; the class that neither occurs nor is predicted does not count.
    assert macro_f1(matrix) == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    logits = np.array([[5, 1, 0], [5, 4, 0], [0, 3, 1], [0, 1, 4]])
    assert macro_average_precision(logits, np.array([0, 1, 1, 2])) == pytest.approx((1 + (1 + 2 / 2) / 2 + 1) / 3)
    assert macro_average_precision(np.array([[9], [5], [1]]), np.array([1, 0, 1])) == pytest.approx((1 + 2 / 3) / 2)


def test_wilson_by_hand() -> None:
    # Wilson's interval for 8 of 10, as in any textbook.
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 10) == pytest.approx((0, 0.2775), abs=1e-4)
    assert wilson(0, 0) == (0, 1)


def test_the_bootstrap_is_the_same_for_ever_and_keeps_each_class() -> None:
    strata = np.array([0] * 50 + [1] * 5)

    def share(rows: Integers) -> float:
        assert int(strata[rows].sum()) == 5
        return float(np.mean(rows % 2))

    low, high = bootstrap(share, strata)
    assert (low, high) == bootstrap(share, strata)
    assert low < np.mean(np.arange(55) % 2) < high
