"""Slot prices that make the bound high, by the subgradient method.

A slot that more orders want at its price gets dearer, one that nobody wants cheaper. The step follows Polyak: it is in
proportion to the distance between the best plan known and the bound. The direction is smoothed (Camerini, Fratta,
Maffioli 1975), and the prices with the best bound are kept. Inside, money is counted in parts of the call's unit, so
that rounding to whole prices comes once, at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from millmark.ledger.plans.bound import NO_PATH, SlotPrices, path_cost, tabulate
from millmark.ledger.plans.problem import Choice, Problem, Route
from millmark.services.planning.errors import PlanningGround
from millmark.services.planning.schedule.budget import Budget
from millmark.services.planning.schedule.timeline import Path, trace_path

PARTS = 32
_KEEP = 0.6
"""Weight of the new direction against the smoothed one."""
_PATIENCE = 12
"""Iterations without a better bound after which steps become shorter."""


@dataclass(frozen=True, slots=True)
class Priced:
    """Prices and what they say about each order."""

    prices: Mapping[int, Sequence[int]]
    """By machine and slot, whole."""
    paths: Sequence[Path]
    """By route, the cheapest path at about these prices; they may collide."""
    iterations: int


def price_slots(
    problem: Problem,
    budget: Budget,
    *,
    start: Mapping[int, Sequence[int]],
    best_known: Callable[[Sequence[Path]], int],
    iterations: int,
) -> Priced:
    """Improve the prices `start` until `iterations` or the budget are used up.

    `best_known` is called now and then with the cheapest paths, and returns the cost of the best plan known.
    Raises ValueError when an order has no path at all.
    """
    fine = _refine(problem)
    machines = sorted({choice.machine for route in fine.routes for choices in route.choices for choice in choices})
    prices = {machine: [price * PARTS for price in start.get(machine, [0] * problem.slots)] for machine in machines}
    direction = {machine: [0.0] * problem.slots for machine in machines}
    paths: list[Path] = []
    best, best_paths, best_prices, scale, waited, ceiling, count = -NO_PATH, paths, prices, 1.0, 0, 0, 0
    for count in range(iterations):
        if count and budget.left_s <= 0:
            break
        slot_prices = SlotPrices(problem.slots, prices)
        paths, value = _cheapest(fine, slot_prices, paths, budget)
        waited += 1
        if value > best:
            best, best_paths, best_prices, waited = value, paths, prices, 0
        if count in (0, 10, 30) or count % 60 == 59:
            ceiling = best_known(paths) * PARTS
        if waited > _PATIENCE:
            scale, waited = scale * 0.6, 0
            prices = best_prices
            if scale < 0.005:
                break
        demand = _demand(problem, machines, paths)
        # By the best bound, not by the last one: a step that went too far must not make the next one longer.
        length = scale * max(ceiling - best, ceiling // 500)
        prices = _step(prices, direction, demand, length, max(ceiling, 0))
    whole = {machine: [(price + PARTS // 2) // PARTS for price in row] for machine, row in best_prices.items()}
    return Priced(whole, [_coarsen(problem, number, path) for number, path in enumerate(best_paths)], count + 1)


def _cheapest(problem: Problem, prices: SlotPrices, paths: Sequence[Path], budget: Budget) -> tuple[list[Path], int]:
    value, found = -prices.total, []
    for number, route in enumerate(problem.routes):
        limit = path_cost(problem, route, paths[number], prices) if paths else None
        table = tabulate(problem, route, prices, limit)
        budget.charge(table)
        if table.value >= NO_PATH:
            raise ValueError(PlanningGround.NO_PATH.write(order=route.order.hex()))
        value += table.value
        found.append(trace_path(problem, table))
    return found, value


def _demand(problem: Problem, machines: Sequence[int], paths: Sequence[Path]) -> dict[int, list[int]]:
    """By machine and slot, how many orders want it, less the one that can have it."""
    demand = {machine: [-1] * problem.slots for machine in machines}
    for choice, start in chain.from_iterable(paths):
        row = demand[choice.machine]
        for slot in range(start, start + choice.duration):
            row[slot] += 1
    return demand


def _step(
    prices: Mapping[int, list[int]],
    direction: dict[int, list[float]],
    demand: Mapping[int, list[int]],
    length: float,
    highest: int,
) -> dict[int, list[int]]:
    """Return the prices after a step, none above `highest`, and change `direction` to the one taken."""
    norm = 0.0
    for machine, row in demand.items():
        # What is free and unwanted stays so: counting it would shorten the step for nothing.
        wanted = [0 if d < 0 and not p else d for d, p in zip(row, prices[machine], strict=True)]
        smoothed = [_KEEP * d + (1 - _KEEP) * o for d, o in zip(wanted, direction[machine], strict=True)]
        direction[machine] = smoothed
        norm += sum([value * value for value in smoothed])
    factor = length / max(norm, 1.0)  # a direction that fades to nothing must not make an endless step
    return {
        machine: [
            min(max(0, price + round(factor * d)), highest) for price, d in zip(row, direction[machine], strict=True)
        ]
        for machine, row in prices.items()
    }


def _refine(problem: Problem) -> Problem:
    """The same problem with money in parts of the unit."""
    return replace(
        problem,
        routes=tuple(_refine_route(route) for route in problem.routes),
        transport={key: replace(way, cost=way.cost * PARTS) for key, way in problem.transport.items()},
    )


def _refine_route(route: Route) -> Route:
    return replace(
        route,
        weight=route.weight * PARTS,
        choices=tuple(tuple(map(_refine_choice, choices)) for choices in route.choices),
        least_cost=tuple(cost * PARTS for cost in route.least_cost),
    )


def _refine_choice(choice: Choice) -> Choice:
    windows = tuple((low, high, price * PARTS) for low, high, price in choice.windows)
    return replace(choice, windows=windows, carbon=choice.carbon * PARTS)


def _coarsen(problem: Problem, number: int, path: Path) -> Path:
    own = {choice.offer: choice for choices in problem.routes[number].choices for choice in choices}
    return tuple((own[choice.offer], start) for choice, start in path)
