"""From paths to the rows and legs of a plan."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from millmark.ledger.plans.call import Transport
from millmark.ledger.plans.plan import Key, Leg, Row
from millmark.ledger.plans.problem import Choice, Problem
from millmark.services.planning.schedule.search import Paths


def build_rows(problem: Problem, paths: Paths) -> list[Row]:
    """The rows of paths by route, ascending by order and operation."""
    return [
        build_row(route.order, route.first + place, choice, start)
        for route, path in zip(problem.routes, paths, strict=True)
        for place, (choice, start) in enumerate(path)
    ]


def build_row(order: bytes, operation: int, choice: Choice, start: int) -> Row:
    """The row of one operation. Raises ValueError if the offer does not let it start then."""
    cost = choice.cost_at(start)
    if cost is None:
        raise ValueError(f"no window has slot {start}")
    end = start + choice.duration
    price = cost - choice.carbon
    return Row(
        order, operation, choice.offer, choice.machine, choice.owner, start, end, price, choice.wh, choice.co2e_mg
    )


def build_legs(
    problem: Problem, rows: Sequence[Row], fixed: Collection[Key] = (), known: Collection[Leg] = (), now: int = 0
) -> Iterator[Leg]:
    """The legs between rows. Each starts when the row before it ends; after a fixed row in slot `now` or later, unless
    it was under way by then: it is one of the legs `known` of the plan before."""
    under_way = {leg.key: leg for leg in known if leg.start < now and leg.key in fixed}
    pending = iter(rows)
    for route in problem.routes:
        own = [next(pending) for _ in route.choices]
        destinations = [*(row.owner for row in own[1:]), route.destination]
        for row, destination in zip(own, destinations, strict=True):
            way = problem.way(row.owner, destination)
            if destination is None or destination == row.owner or way is None:
                continue
            leg = under_way.get(row.key)
            yield leg if leg is not None and leg.destination == destination else _leg(row, destination, way, now)


def _leg(row: Row, destination: int, way: Transport, now: int) -> Leg:
    start = max(row.end, now)
    return Leg(row.order, row.operation, row.owner, destination, way.carrier, start, start + way.slots, way.cost)


def sparse(prices: Mapping[int, Sequence[int]]) -> tuple[tuple[int, tuple[tuple[int, int], ...]], ...]:
    """Slot prices as a plan writes them: those that are not 0, by machine."""
    pairs = {
        machine: tuple((slot, price) for slot, price in enumerate(row) if price) for machine, row in prices.items()
    }
    return tuple((machine, pairs[machine]) for machine in sorted(pairs) if pairs[machine])
