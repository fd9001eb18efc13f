"""List scheduling and local search: both put orders into what is free, each on its cheapest path."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence

from millmark.ledger.plans.problem import NO_PATH, Occupation, Problem, path_cost, tabulate
from millmark.services.planning.schedule.budget import Budget
from millmark.services.planning.schedule.timeline import TAKEN, Path, Timeline, trace_path

Paths = list[Path]

_ROUND_S = 5e-5
"""CPU seconds that a round takes beside its tables, about, on the machines that we measured."""


class _Nothing:
    """Slot prices of zero."""

    def occupied(self, _choice: object) -> None:
        return None


FREE = _Nothing()


def list_schedule(
    problem: Problem,
    order: Sequence[int],
    held: Collection[bytes] = (),
    guide: Occupation | None = None,
    budget: Budget | None = None,
) -> Paths | None:
    """Put routes in one after the other in `order`, each on its cheapest path; None when one does not fit.

    `guide` makes slots dear that others will want. `budget` is charged.
    """
    timeline = Timeline(problem, held, guide)
    for number in order:
        route = problem.routes[number]
        table = tabulate(problem, route, timeline)
        if budget is not None:
            budget.charge(table)
        path = None if table.value >= TAKEN else timeline.settle(trace_path(problem, table))
        if path is None:
            return None
        timeline.place(number, path)
    return [path for path in timeline.paths if path is not None] if timeline.is_sound() else None


def cost_of(problem: Problem, paths: Sequence[Path]) -> int:
    """What a plan of these paths costs."""
    return sum(path_cost(problem, route, path, FREE) for route, path in zip(problem.routes, paths, strict=True))


class Search:
    """Large neighbourhood search: orders are taken out, and put back in another order, each on its cheapest path.

    Worse plans are accepted at first, and less and less so (threshold accepting, Dueck and Scheuer 1990). The draws
    come from `seed` alone, so that the same number of rounds leads to the same plan.
    """

    def __init__(self, problem: Problem, paths: Paths, held: Collection[bytes], seed: int) -> None:
        self._problem = problem
        self._held = held
        self._draw = random.Random(seed)  # noqa: S311 - a search, not a secret
        self._ideal = [_ideal(problem, number) for number in range(len(problem.routes))]
        self._load(paths)
        self.best: Paths = list(paths)
        self.best_cost = self._cost
        self.rounds = 0
        self._budget = Budget(0.0)

    def _load(self, paths: Paths) -> None:
        self._timeline = Timeline(self._problem, self._held)
        for number, path in enumerate(paths):
            self._timeline.place(number, path)
        routes = self._problem.routes
        self._costs = [path_cost(self._problem, route, path, FREE) for route, path in zip(routes, paths, strict=True)]
        self._cost = sum(self._costs)

    def run(self, budget: Budget, cpu_s: float, *, heat: float = 0.4) -> None:
        """Search for `cpu_s`, or what is left. `heat` is the first threshold, in mean costs of an order."""
        begin, end = budget.spent_s, min(budget.spent_s + cpu_s, budget.cpu_s)
        mean = self._cost / max(1, len(self._costs))
        self._budget = budget
        while (spent := budget.spent_s) < end:
            left = (end - spent) / (end - begin)
            for _ in range(8):
                self._round(round(heat * mean * left * left))
                budget.charge_s(_ROUND_S)

    def _round(self, threshold: int) -> None:
        self.rounds += 1
        chosen = self._choose()
        before = sum(self._costs[number] for number in chosen)
        taken = [(number, self._timeline.remove(number)) for number in chosen]
        after = self._insert(chosen, before + threshold)
        if after is None:
            for number in chosen:
                if self._timeline.paths[number] is not None:
                    self._timeline.remove(number)
            for number, path in taken:
                self._timeline.place(number, path)
            return
        for number, cost in after.items():
            self._costs[number] = cost
        self._cost += sum(after.values()) - before
        if self._cost < self.best_cost:
            self.best_cost = self._cost
            self.best = [path for path in self._timeline.paths if path is not None]

    def _insert(self, chosen: Sequence[int], allowed: int) -> dict[int, int] | None:
        """Put routes back in, in this order; the cost of each, or None when all together cost more than allowed."""
        costs: dict[int, int] = {}
        rest = sum(self._ideal[number][0] for number in chosen)
        for number in chosen:
            route = self._problem.routes[number]
            rest -= self._ideal[number][0]
            limit = allowed - rest
            table = tabulate(self._problem, route, self._timeline, limit)
            self._budget.charge(table)
            if table.value > limit or table.value >= TAKEN:
                return None
            path = self._timeline.settle(trace_path(self._problem, table))
            if path is None or (cost := path_cost(self._problem, route, path, FREE)) > limit:
                return None
            allowed -= cost
            costs[number] = cost
            self._timeline.place(number, path)
        return costs if self._timeline.is_sound() else None

    def _choose(self) -> list[int]:
        """An order, mostly one that costs more than it would alone, and others that are in its way or near it."""
        draw, count = self._draw, len(self._costs)
        pair = draw.randrange(count), draw.randrange(count)
        first = max(pair, key=lambda number: self._costs[number] - self._ideal[number][0])
        near: set[int] = set()
        own = self._timeline.paths[first] or ()
        for choice, start in (*self._ideal[first][1], *own):
            margin = draw.randrange(6)
            near.update(self._timeline.taken_by(choice.machine, start - margin, start + choice.duration + margin))
        near.discard(first)
        size = min(draw.choice((1, 2, 2, 3, 3, 4, 5)), count - 1)
        candidates = sorted(near)
        others = draw.sample(candidates, min(size, len(candidates)))
        if len(others) < size and draw.random() < 0.3:
            others += [number for number in draw.sample(range(count), 1) if number not in (first, *others)]
        chosen = [first, *others]
        if draw.random() < 0.5:
            draw.shuffle(chosen)
        return chosen


def _ideal(problem: Problem, number: int) -> tuple[int, Path]:
    """Cost and path of a route that has all machines for itself."""
    route = problem.routes[number]
    table = tabulate(problem, route, FREE)
    if table.value >= NO_PATH:
        raise ValueError(f"order {route.order.hex()} has no path")
    return table.value, trace_path(problem, table)
