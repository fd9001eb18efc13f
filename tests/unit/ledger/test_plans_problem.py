"""What a problem says of each order's operations, and which starts of an offer are possible."""

from __future__ import annotations

from dataclasses import replace

from millmark.ledger.plans.call import Job, Need, Operation
from millmark.ledger.plans.offer import Offer
from millmark.ledger.plans.problem import Route, build_problem
from tests.support.plan_world import draw_file

ORDER = bytes(32)


def _offer(operation: int, duration: int, carbon: int, *windows: tuple[int, int, int]) -> Offer:
    return Offer(bytes(32), 11, 1, ORDER, operation, duration, 0, "", windows, 0, carbon * 1_000_000, 0)


def _route(*offers: Offer, now: int = 0) -> Route:
    """Of three operations within 12 slots."""
    base = draw_file(0)
    job = Job(ORDER, ORDER, 0, 5, tuple(Operation(number, Need("turning")) for number in range(3)))
    objective = replace(base.objective, tardiness=(), destination=(), carbon_price=1)
    named = [(bytes([number]) * 32, offer) for number, offer in enumerate(offers)]
    [route] = build_problem(replace(base.call, jobs=(job,), slots=12), objective, named, now=now).routes
    return route


def test_an_operation_and_what_follows_take_no_less_than_their_cheapest_and_their_shortest_offers() -> None:
    first = _offer(0, 4, 0, (0, 2, 9), (4, 8, 7)), _offer(0, 2, 3, (0, 9, 5))
    second = _offer(1, 3, 0, (0, 4, 2), (6, 9, 20)), _offer(1, 5, 1, (0, 9, 30))
    third = _offer(2, 1, 100, (0, 9, 1)), _offer(2, 6, 0, (0, 6, 50))
    route = _route(*first, *second, *third)
    assert route.least_cost == (7 + 2 + 50, 2 + 50, 50)
    assert route.least_slots == (3 + 1, 1, 0)
    later = _route(*first, *second, *third, now=6)
    assert later.least_cost == (7 + 20 + 50, 20 + 50, 50), "of the starts that are left"
    nobody = _route(*first, *third)
    assert nobody.least_cost == (7 + 50, 50, 50), "what nobody offers counts for nothing"
    assert nobody.least_slots == (1, 1, 0)
    too_late = _route(*first, second[1], *third, now=10)
    assert too_late.least_cost == (0, 0, 0)
    assert too_late.least_slots == (5 + 1, 1, 0)


def test_an_operation_ends_within_the_slots_of_the_call() -> None:
    """Whatever was offered: its last start is so early that it does."""
    route = _route(_offer(0, 4, 0, (3, 30, 5)), _offer(0, 4, 0, (8, 8, 5), (9, 9, 6)), _offer(0, 12, 0, (0, 0, 5)))
    assert [choice.windows for choice in route.choices[0]] == [((3, 8, 5),), ((8, 8, 5),), ((0, 0, 5),)]
    assert [choice.cost_at(9) for choice in route.choices[0]] == [None, None, None]


def test_an_order_whose_lateness_has_no_price_is_late_at_no_cost() -> None:
    assert _route(_offer(0, 1, 0, (0, 9, 5))).weight == 0
