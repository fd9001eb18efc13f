"""The loop's simulation: the same fate on both sides, the same figures again, and better with feedback."""

from __future__ import annotations

import pytest

from millmark.ledger.plans.offer import Offer
from tests.bench.drifting_plant import DriftingPlant
from tests.bench.loop import Compared, Side, compare_loops, worst_window
from tests.support.plan_instances import generate_plan_file


def test_with_feedback_fewer_parts_are_rejected_at_less_cost() -> None:
    [found] = compare_loops(12, [3], 8, 0.05)
    figures = found.figures()
    assert figures["rejects"]["ratio"] < 0.9
    assert figures["cost"]["ratio"] < 1
    assert found.with_feedback.steps["setpoint"] > 0
    # Until the first step, nothing differs.
    assert found.with_feedback.cost[0] == found.without.cost[0]


@pytest.mark.parametrize("efficiency", [1000, 950, 900])
def test_derated_machines_are_expected_to_be_as_slow_as_it_says(efficiency: int) -> None:
    def slots(per_mille: int) -> int:
        file = generate_plan_file(60, 7, efficiency_per_mille=dict.fromkeys(range(1, 10), per_mille))
        return sum(one.entry.duration for one in file.offers if isinstance(one.entry, Offer))

    assert slots(efficiency) == pytest.approx(slots(1000) * 1000 / efficiency, rel=0.02)


def test_the_same_seed_is_the_same_fate() -> None:
    first, second = DriftingPlant(5), DriftingPlant(5)
    for week in range(30):
        assert first.pass_week(week) == second.pass_week(week)
        assert first.find_failures(week, 128) == second.find_failures(week, 128)
        assert (first.measure(week, 4, 2) == second.measure(week, 4, 2)).all()
    assert first.drifts == second.drifts
    assert DriftingPlant(6).measure(0, 4, 2).tolist() != first.measure(0, 4, 2).tolist()


def test_ten_weeks_in_a_row_are_judged_by_their_worst() -> None:
    before = [10] * 30
    assert worst_window(before, [10] * 30) == 1
    assert worst_window(before, [5] * 12 + [11] * 10 + [5] * 8) == 1.1
    assert worst_window([10] * 4, [20] * 4) == 2
    assert worst_window([0] * 10, [0] * 10) == 1
    assert worst_window([0] * 10, [1] * 10) == float("inf")


def test_a_bar_fails_on_a_worse_sum_or_a_worse_window() -> None:
    def compared(late: list[int]) -> Compared:
        return Compared(0, 20, Side([10] * 20, [10] * 20, [10] * 20), Side([9] * 20, [9] * 20, late), 0.0)

    assert compared([9] * 20).holds()
    assert not compared([10] * 20).holds()
    assert not compared([1] * 10 + [11] * 10).holds()
