"""Lots sorted by what they came of, and circles refused by name."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millmark.ledger.errors import GenealogyError
from millmark.ledger.provenance import sort_lots

numbers = st.integers(0, 9)
onward = st.lists(st.tuples(numbers, numbers).filter(lambda pair: pair[0] < pair[1]), max_size=30)


@given(steps=onward)
def test_each_lot_follows_everything_that_it_came_of(steps: list[tuple[int, int]]) -> None:
    found = sort_lots(steps)
    assert sorted(found) == sorted({lot for step in steps for lot in step})
    place = {lot: number for number, lot in enumerate(found)}
    assert all(place[before] < place[after] for before, after in steps)


@given(steps=onward, circle=st.lists(numbers, min_size=1, max_size=10, unique=True))
def test_a_circle_is_named_as_it_runs(steps: list[tuple[int, int]], circle: list[int]) -> None:
    closed = list(zip(circle, [*circle[1:], circle[0]], strict=True))
    everything = [*steps, *closed]
    with pytest.raises(GenealogyError) as refused:
        sort_lots(everything)
    shown = refused.value.cause.removeprefix("a lot is made from itself: ").split(" -> ")
    assert shown[0] == shown[-1]
    if not any("more" in one for one in shown):
        way = [int(one) for one in shown]
        assert set(itertools.pairwise(way)) <= set(everything)


def test_a_lot_made_of_itself_is_a_circle() -> None:
    with pytest.raises(GenealogyError, match="a lot is made from itself: a -> a;"):
        sort_lots([("a", "a")])


def test_a_long_circle_is_named_in_part_and_shown_as_asked() -> None:
    steps = [(number, (number + 1) % 100_000) for number in range(100_000)]
    with pytest.raises(GenealogyError) as refused:
        sort_lots(steps, show=lambda lot: f"<{lot}>")
    assert "... (99992 more)" in refused.value.cause
    assert refused.value.cause.count("<") == 9
    assert refused.value.exit_code == 2


def test_nothing_sorts_to_nothing_and_a_step_told_twice_counts_once() -> None:
    assert sort_lots(list[tuple[int, int]]()) == []
    assert sort_lots([(1, 2), (1, 2)]) == [1, 2]


def test_a_hundred_thousand_lots_in_a_row_are_no_recursion() -> None:
    row = [(number + 1, number) for number in range(100_000)]
    assert sort_lots(row) == list(range(100_000, -1, -1))
