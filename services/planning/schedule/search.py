"""Searches for plans without a solver. List scheduling and local search put orders into what is free, each on its
cheapest path; slot prices give the bound, and guide them."""

from __future__ import annotations

import random
import time
from bisect import insort
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise

from millmark.ledger.plans.problem import (
    NO_PATH,
    Choice,
    PathTable,
    Problem,
    Route,
    SlotPrices,
    path_cost,
    tabulate,
)
from millmark.services.planning.errors import PlanningGround

# What a computation may take: CPU seconds, or a count of work that comes out the same everywhere

_S_PER_START = 1.2e-7
"""CPU seconds that one start in a table of paths takes, about, on the machines that we measured."""
_S_PER_TABLE = 4e-5
"""The same for a table, however small."""


class Work:
    """Work done so far, in seconds that it takes about."""

    def __init__(self) -> None:
        self.done_s = 0.0


class Budget:
    """What is left of the seconds that a computation may take. They are CPU seconds of all threads of the process: the
    only clock that means the same on a busy machine. With `work` they are a count of what was done instead, as far as
    `charge` is told of it: the result then depends on nothing but what is asked, and takes about as long."""

    def __init__(self, cpu_s: float, work: Work | None = None) -> None:
        self.cpu_s = cpu_s
        self._work = work
        self._start = self._now_s()

    def _now_s(self) -> float:
        return time.process_time() if self._work is None else self._work.done_s

    @property
    def is_counted(self) -> bool:
        return self._work is not None

    @property
    def spent_s(self) -> float:
        return self._now_s() - self._start

    @property
    def left_s(self) -> float:
        return self.cpu_s - self.spent_s

    def part(self, cpu_s: float) -> Budget:
        """A budget from now on, of `cpu_s` or what is left. Work counts in both."""
        return Budget(max(0.0, min(cpu_s, self.left_s)), self._work)

    def charge(self, table: PathTable) -> None:
        """Count a table of paths."""
        if self._work is not None:
            starts = sum(len(costs) for stage in table.stages for _, _, costs in stage)
            self._work.done_s += _S_PER_TABLE + _S_PER_START * starts

    def charge_s(self, cpu_s: float) -> None:
        """Count what took about so long."""
        if self._work is not None:
            self._work.done_s += cpu_s


# Which slots of machines are taken, and a plan in the making

TAKEN = 1 << 59
"""Cost of a slot that is taken; a path that costs as much does not fit. Above what any path costs: the most of that is
lateness, 2^40 a slot over at most 2^18 slots."""

Path = tuple[tuple[Choice, int], ...]
"""Choice and start of each operation of an order."""
_Busy = tuple[int, int, str, int, int]
"""Start, end, family, setup, route."""


class Timeline:
    """Paths of orders on machines, none over another."""

    def __init__(self, problem: Problem, held: Collection[bytes] = ()) -> None:
        """`held` are offers of rows that stay where they are: their slots are taken from the start."""
        self._problem = problem
        self._held = frozenset(held)
        self._busy: dict[int, list[_Busy]] = defaultdict(list)
        self._cache: dict[int, dict[tuple[int, str, int], list[int]]] = defaultdict(dict)
        self._setups = any(choice.setup for _, choice in _all_choices(problem))
        self.paths: list[Path | None] = [None] * len(problem.routes)
        """By route."""
        for place, choice in _all_choices(problem):
            if choice.offer in self._held:
                self._add(place, choice, choice.windows[0][0])

    def place(self, number: int, path: Path) -> None:
        """Add the path of a route. Its slots must be free."""
        self.paths[number] = path
        for choice, start in path:
            if choice.offer not in self._held:
                self._add(number, choice, start)

    def remove(self, number: int) -> Path:
        """Take out the path of a route, and return it."""
        path = self.paths[number]
        if path is None:
            raise ValueError(f"route {number} has no path")
        self.paths[number] = None
        for choice, start in path:
            if choice.offer not in self._held:
                busy = self._busy[choice.machine]
                busy.remove((start, start + choice.duration, choice.family, choice.setup, number))
                self._cache.pop(choice.machine, None)
        return path

    def occupied(self, choice: Choice) -> Sequence[int] | None:
        """For each start: 0 if the slots are free, TAKEN if not."""
        if choice.offer in self._held:
            return None
        key = (choice.duration, choice.family, choice.setup) if self._setups else (choice.duration, "", 0)
        cache = self._cache[choice.machine]
        if key not in cache:
            cache[key] = self._build(choice)
        return cache[key]

    def settle(self, path: Path) -> Path | None:
        """Return the path with time for setup between operations of its own on one machine. The cheapest path does not
        know of that. Starts are later where it is needed; None when there are none."""
        if not self._setups:
            return path
        settled: list[tuple[Choice, int]] = []
        for choice, start in path:
            low = max([start, *(self._earliest_after(before, at, choice) for before, at in settled)])
            if settled and (way := self._problem.way(settled[-1][0].owner, choice.owner)) is not None:
                low = max(low, settled[-1][1] + settled[-1][0].duration + way.slots)
            found = start if start >= low else self._next_free(choice, low)
            if found is None:
                return None
            settled.append((choice, found))
        return tuple(settled)

    @staticmethod
    def _earliest_after(before: Choice, start: int, choice: Choice) -> int:
        needs_setup = before.machine == choice.machine and before.family != choice.family
        return start + before.duration + choice.setup if needs_setup else 0

    def _next_free(self, choice: Choice, low: int) -> int | None:
        row = self.occupied(choice)
        starts = range(low, 0 if row is None else len(row))
        free = (start for start in starts if row is not None and row[start] < TAKEN)
        return next((start for start in free if choice.cost_at(start) is not None), None)

    def taken_by(self, machine: int, start: int, end: int) -> Iterator[int]:
        """Routes that take slots from `start` to before `end`."""
        for item in self._busy[machine]:
            if item[0] >= end:
                return
            if item[1] > start:
                yield item[4]

    def is_sound(self) -> bool:
        """Whether setups fit everywhere. Overlaps cannot come about, but a setup can, when what was between is gone."""
        return not self._setups or all(
            before[2] == after[2] or after[0] - before[1] >= after[3]
            for busy in self._busy.values()
            for before, after in pairwise(busy)
        )

    def _add(self, number: int, choice: Choice, start: int) -> None:
        item = (start, start + choice.duration, choice.family, choice.setup, number)
        insort(self._busy[choice.machine], item)
        self._cache.pop(choice.machine, None)

    def _build(self, choice: Choice) -> list[int]:
        """Free starts of an operation, from the gaps between what is taken."""
        starts = self._problem.slots - choice.duration + 1
        row = [TAKEN] * starts
        low, busy = 0, self._busy[choice.machine]
        for start, end, family, setup, _ in busy:
            high = start - (setup if family != choice.family else 0) - choice.duration + 1
            if high > low:
                row[low:high] = [0] * (high - low)
            low = end + (choice.setup if family != choice.family else 0)
        if starts > low:
            row[low:] = [0] * (starts - low)
        return row


def trace_path(problem: Problem, table: PathTable) -> Path:
    """Return the cheapest path of a table that has one, the earliest of equal ones."""
    place = min(range(len(table.late)), key=lambda number: min(table.late[number]))
    best = table.late[place]
    choice, first, _ = table.stages[-1][place]
    start = first + best.index(min(best))
    path = [(choice, start)]
    for stage in reversed(table.stages[:-1]):
        found: tuple[int, Choice, int] | None = None
        for before, low, costs in stage:
            way = problem.way(before.owner, choice.owner)
            count = 0 if way is None else start - way.slots - before.duration - low + 1
            if way is not None and count > 0:
                least = min(costs[:count])
                if found is None or least + way.cost < found[0]:
                    found = (least + way.cost, before, low + costs.index(least))
        if found is None:
            raise ValueError("the table has no such path")
        _, choice, start = found
        path.append((choice, start))
    return tuple(reversed(path))


def _all_choices(problem: Problem) -> Iterator[tuple[int, Choice]]:
    for place, route in enumerate(problem.routes):
        for choices in route.choices:
            for choice in choices:
                yield place, choice


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
    budget: Budget | None = None,
) -> Paths | None:
    """Put routes in one after the other in `order`, each on its cheapest path; None when one does not fit.
    `budget` is charged."""
    timeline = Timeline(problem, held)
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
    """Large neighbourhood search: orders are taken out, and put back in another order, each on its cheapest path. Worse
    plans are accepted at first, and less and less so (threshold accepting, Dueck and Scheuer 1990). The draws come from
    `seed` alone, so that the same number of rounds leads to the same plan."""

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


# Slot prices that make the bound high, by the subgradient method.
# A slot that more orders want at its price gets dearer, one that nobody wants cheaper. The step follows Polyak: it is
# in proportion to the distance between the best plan known and the bound. The direction is smoothed (Camerini, Fratta,
# Maffioli 1975), and the prices with the best bound are kept. Inside, money is counted in parts of the call's unit, so
# that rounding to whole prices comes once, at the end.

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
    """Improve the prices `start` until `iterations` or the budget are used up. `best_known` is called now and then with
    the cheapest paths, and returns the cost of the best plan known. Raises ValueError when an order has no path at
    all."""
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
    return Priced(whole, [own_path(problem, number, path) for number, path in enumerate(best_paths)], count + 1)


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


def own_path(problem: Problem, number: int, path: Path) -> Path:
    """The same path with the choices of another problem."""
    own = {choice.offer: choice for choices in problem.routes[number].choices for choice in choices}
    return tuple((own[choice.offer], start) for choice, start in path)
