"""The cheapest paths of an order, by trying all of them, and what of them is looked at when a path is known."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice

import pytest

from millmark.ledger.errors import PlanError
from millmark.ledger.plans.call import Job, Need, Operation
from millmark.ledger.plans.offer import Offer
from millmark.ledger.plans.plan import Bound
from millmark.ledger.plans.problem import (
    NO_PATH,
    PathTable,
    Problem,
    SlotPrices,
    build_problem,
    path_cost,
    tabulate,
    verify_size,
)
from tests.support.plan_truth import Path, paths
from tests.support.plan_world import draw_file, draw_rows, draw_shop

ORDER, SLOTS, SMALL = bytes(32), 30, 9
NOTHING = SlotPrices(SLOTS, {})


def test_the_cheapest_path_is_found_and_with_a_limit_too_if_it_costs_no_more() -> None:
    without = 0
    for seed in range(100):
        draw = random.Random(seed)  # noqa: S311 - reproducible
        file, offers = draw_shop(draw, orders=1, slots=SMALL)
        [job] = file.call.jobs
        rows = draw_rows(draw, file, offers) if draw.random() < 0.5 else None
        now = 0 if rows is None else draw.randint(0, 4)
        fixed = {row.key: row for row in rows or () if row.start < now}
        prices = {
            machine: [draw.choice((0, 0, 2)) for _ in range(SMALL)] for machine in (1, 2, 3) if draw.random() < 0.5
        }
        costs = [cost + _price_of_slots(path, prices) for path, cost in paths(file, offers, job.order, now, fixed)]
        least = min(costs, default=NO_PATH)
        problem = build_problem(file.call, file.objective, offers.items(), now=now, fixed=fixed)
        for limit in (None, *((least, least + 1, least + 4) if costs else (20,))):
            found = tabulate(problem, problem.routes[0], SlotPrices(SMALL, prices), limit).value
            assert min(found, NO_PATH) == least, (seed, limit)
        if costs:
            assert tabulate(problem, problem.routes[0], SlotPrices(SMALL, prices), least - 1).value >= least
        without += not costs
    assert 5 < without < 50


def test_a_path_of_any_length_costs_what_its_operations_its_ways_and_its_lateness_do() -> None:
    lengths = set()
    for seed in range(30):
        draw = random.Random(seed)  # noqa: S311 - reproducible
        file, offers = draw_shop(draw, orders=1, slots=SMALL)
        prices = {machine: [draw.choice((0, 2)) for _ in range(SMALL)] for machine in (1, 2)}
        problem = build_problem(file.call, file.objective, offers.items())
        [route] = problem.routes
        choices = {(one.machine, number): one for number, every in enumerate(route.choices) for one in every}
        for path, cost in islice(paths(file, offers, route.order, 0, {}), 0, None, 7):
            steps = [(choices[offer.machine, offer.operation], start) for offer, start in path]
            found = path_cost(problem, route, steps, SlotPrices(SMALL, prices))
            assert found == cost + _price_of_slots(path, prices), (seed, steps)
            lengths.add(len(path))
    assert lengths == {1, 2, 3}


def _price_of_slots(path: Path, prices: Mapping[int, Sequence[int]]) -> int:
    return sum(sum(prices.get(one.machine, ())[start : start + one.duration]) for one, start in path)


DURATIONS = (1, 2, 3)
COST = 3 * 5
WEIGHT = 4


def _chain(weight: int = WEIGHT) -> Problem:
    """Three operations, each with one offer, for every start, at one price; from slot 2 to slot 11, if not late."""
    offers = [
        (
            bytes([number]) * 32,
            Offer(bytes(32), 11, 1, ORDER, number, duration, 0, "", ((0, SLOTS, 5),), 0, 0, 0),
        )
        for number, duration in enumerate(DURATIONS)
    ]
    job = Job(ORDER, ORDER, 2, 11, tuple(Operation(number, Need("turning")) for number in range(3)))
    base = draw_file(0)
    objective = replace(base.objective, tardiness=((ORDER, weight),), destination=(), carbon_price=0)
    return build_problem(replace(base.call, jobs=(job,), slots=SLOTS), objective, offers)


def _starts(table: PathTable) -> list[list[int]]:
    """By operation, the starts that were looked at."""
    return [[first + place for _, first, costs in stage for place in range(len(costs))] for stage in table.stages]


@pytest.mark.parametrize("more", [0, 1, WEIGHT - 1, WEIGHT, 2 * WEIGHT + 1, 5 * WEIGHT])
def test_starts_that_only_dearer_paths_have_are_not_looked_at(more: int) -> None:
    """So a known path saves time."""
    problem = _chain()
    within = [
        (one, two, three)
        for one in range(2, SLOTS)
        for two in range(one + 1, SLOTS)
        for three in range(two + 2, SLOTS - 2)
        if COST + WEIGHT * max(0, three + 3 - 11) <= COST + more
    ]
    table = tabulate(problem, problem.routes[0], NOTHING, COST + more)
    assert table.value == COST
    assert _starts(table) == [sorted(set(starts)) for starts in zip(*within, strict=True)]


def test_nothing_is_looked_at_when_every_path_is_dearer() -> None:
    problem = _chain()
    route = replace(problem.routes[0], release=0)
    assert _starts(tabulate(problem, route, NOTHING, COST - 1)) == [[]]
    # The first operation alone costs too much with its slot's price.
    priced = SlotPrices(SLOTS, {1: [1] * SLOTS})
    table = tabulate(problem, route, priced, COST)
    assert table.value == NO_PATH
    assert _starts(table) == [list(range(6))]


@pytest.mark.parametrize(("weight", "limit"), [(WEIGHT, None), (0, None), (0, COST), (WEIGHT, COST + 99 * WEIGHT)])
def test_all_starts_are_looked_at_when_none_is_too_dear(weight: int, limit: int | None) -> None:
    problem = _chain(weight)
    table = tabulate(problem, problem.routes[0], NOTHING, limit)
    assert _starts(table) == [list(range(2, SLOTS)), list(range(3, SLOTS - 1)), list(range(5, SLOTS - 2))]


def test_as_many_starts_and_slots_with_prices_are_checked_as_are_said_to_be() -> None:
    problem = replace(_chain(), slots=100_000)
    [route] = problem.routes
    priced = Bound(0, tuple((machine, ()) for machine in range(1, 201)))
    wide = replace(route.choices[0][0], windows=((1000, 50_999, 1), (51_001, 101_000, 2)))
    full = replace(problem, routes=(replace(route, choices=((wide,) * 200,)),))
    verify_size(full, priced)
    one = replace(wide, windows=((7, 7, 1),))
    more = replace(problem, routes=(replace(route, choices=((wide,) * 200, (one,))),))
    with pytest.raises(PlanError, match="20000001 starts of offers are too many"):
        verify_size(more, priced)
    with pytest.raises(PlanError, match="20000200 slots with prices are too many"):
        verify_size(replace(full, slots=100_001), priced)
