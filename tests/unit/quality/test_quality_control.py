"""Control charts against published worked examples and against a second, plain definition of the rules."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millmark.quality.control import Group, Rule, Signal, chart_individuals, chart_proportions, find_signals
from millmark.quality.errors import InputError

FLOW_RATES = (49.6, 47.6, 49.9, 51.3, 47.8, 51.2, 52.6, 52.4, 53.6, 52.1)
"""NIST/SEMATECH e-Handbook of Statistical Methods, section 6.3.2.2."""
MISREGISTERED = (
    12, 15, 8, 10, 4, 7, 16, 9, 14, 10, 5, 6, 17, 12, 22, 8, 10, 5, 13, 11, 20, 18, 24, 15, 9, 12, 7, 13, 9, 6,
)  # fmt: skip
"""NIST/SEMATECH e-Handbook, section 6.3.3.2: chips of 50 on each of 30 wafers that are misregistered."""


def test_individuals_as_in_the_handbook_of_nist() -> None:
    found = chart_individuals(FLOW_RATES, FLOW_RATES)
    first = found.values.points[0]
    assert [round(one, 4) for one in (first.center, first.upper, first.lower)] == [50.81, 55.8041, 45.8159]
    ranges = [round(one.value, 1) for one in found.ranges.points]
    assert ranges == [2.0, 2.3, 1.4, 3.5, 3.4, 1.4, 0.2, 1.2, 1.5]
    assert round(found.ranges.points[0].center, 4) == 1.8778
    assert found.values.signals == ()


def test_proportions_as_in_the_handbook_of_nist() -> None:
    groups = [Group(failed, 50) for failed in MISREGISTERED]
    found = chart_proportions(groups, groups)
    first = found.points[0]
    assert [round(one, 4) for one in (first.center, first.upper, first.lower)] == [0.2313, 0.4102, 0.0524]
    assert [one.place + 1 for one in found.signals if one.rule is Rule.ONE] == [15, 23]


def test_a_stable_process_signals_as_often_as_published() -> None:
    """Champ and Woodall, Exact Results for Shewhart Control Charts with Supplementary Runs Rules, Technometrics 29
    (1987): 91.75 points until the first signal with all four rules, on average."""
    dice = random.Random(7)  # noqa: S311  # not for secrets
    lengths = []
    for _ in range(400):
        scores: list[float] = []
        while True:
            scores.append(dice.gauss(0, 1))
            if any(one.place == len(scores[-8:]) - 1 for one in find_signals(scores[-8:])):
                break
        lengths.append(len(scores))
    assert abs(sum(lengths) / len(lengths) - 91.75) < 14  # three standard errors


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        (
            (0.0, 3.1),
            [
                (Rule.ONE, 1, True),
            ],
        ),
        ((0.0, -3.1), [(Rule.ONE, 1, False)]),
        ((0.0, 3.0), []),
        ((2.1, 0.0, 2.1), [(Rule.TWO_OF_THREE, 2, True)]),
        ((2.1, 2.1, 0.0), [(Rule.TWO_OF_THREE, 1, True)]),
        ((2.1, 0.0, 0.0, 2.1), []),
        ((2.1, 0.0, -2.1), []),
        ((-1.1, -1.1, 0.5, -1.1, -1.1), [(Rule.FOUR_OF_FIVE, 4, False)]),
        ((1.1, 1.1, -1.1, 1.1), []),
        ((0.1,) * 7, []),
        ((0.1,) * 8, [(Rule.EIGHT, 7, True)]),
        ((0.1,) * 9, [(Rule.EIGHT, 7, True), (Rule.EIGHT, 8, True)]),
        ((0.1,) * 4 + (0.0,) + (0.1,) * 4, []),
        ((), []),
        ((math.inf,), [(Rule.ONE, 0, True)]),
    ],
)
def test_each_rule_at_its_edge(scores: Sequence[float], expected: list[tuple[Rule, int, bool]]) -> None:
    assert [(one.rule, one.place, one.above) for one in find_signals(scores)] == expected


def plain(scores: Sequence[float]) -> set[tuple[Rule, int, bool]]:
    """The rules as the handbook words them, one after the other."""
    found = set()
    for at, score in enumerate(scores):
        for above, sign in ((True, 1), (False, -1)):
            last = [sign * one for one in scores[: at + 1]]
            if sign * score > 3:
                found.add((Rule.ONE, at, above))
            if sign * score > 2 and len([one for one in last[-3:] if one > 2]) >= 2:
                found.add((Rule.TWO_OF_THREE, at, above))
            if sign * score > 1 and len([one for one in last[-5:] if one > 1]) >= 4:
                found.add((Rule.FOUR_OF_FIVE, at, above))
            if len(last) >= 8 and min(last[-8:]) > 0:
                found.add((Rule.EIGHT, at, above))
    return found


@given(st.lists(st.sampled_from((-3.5, -2.5, -1.5, -0.5, 0.0, 0.5, 1.5, 2.5, 3.5)), max_size=30))
def test_the_rules_are_those_of_a_plain_reading(scores: list[float]) -> None:
    assert {(one.rule, one.place, one.above) for one in find_signals(scores)} == plain(scores)


def test_a_constant_reference_puts_all_else_beyond() -> None:
    found = chart_individuals([5.0, 5.0], [5.0, 6.0, 4.0])
    assert [(one.place, one.above) for one in found.values.signals if one.rule is Rule.ONE] == [(1, True), (2, False)]
    assert Signal(Rule.ONE, 0, True) in found.ranges.signals


def test_limits_do_not_follow_what_comes_after() -> None:
    moved = chart_individuals(FLOW_RATES, [*FLOW_RATES, 500.0])
    assert moved.values.points[-1].upper == chart_individuals(FLOW_RATES, FLOW_RATES).values.points[0].upper


@pytest.mark.parametrize("reference", [(), (1.0,), (1.0, math.nan), (1.0, math.inf)])
def test_an_unusable_reference_is_refused(reference: Sequence[float]) -> None:
    with pytest.raises(InputError):
        chart_individuals(reference, [1.0])


def test_values_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(InputError):
        chart_individuals([1.0, 2.0], [math.nan])
    with pytest.raises(InputError):
        find_signals([math.nan])
    with pytest.raises(InputError):
        chart_proportions([], [])


@pytest.mark.parametrize(("failed", "inspected"), [(-1, 5), (6, 5), (0, 0)])
def test_a_group_of_nothing_is_refused(failed: int, inspected: int) -> None:
    with pytest.raises(InputError):
        Group(failed, inspected)


def test_a_share_of_none_or_all_has_limits_on_itself() -> None:
    none = chart_proportions([Group(0, 20)], [Group(0, 20), Group(1, 20)])
    assert [(one.lower, one.upper) for one in none.points] == [(0.0, 0.0)] * 2
    assert [one.place for one in none.signals] == [1] * len(none.signals)
    assert none.signals
