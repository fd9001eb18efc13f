"""Which slots of machines are taken, and a plan in the making."""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise

from millmark.ledger.plans.problem import Choice, Occupation, PathTable, Problem

TAKEN = 1 << 59
"""Cost of a slot that is taken; a path that costs as much does not fit. Above what any path costs: the most of that is
lateness, 2^40 a slot over at most 2^18 slots."""

Path = tuple[tuple[Choice, int], ...]
"""Choice and start of each operation of an order."""
_Busy = tuple[int, int, str, int, int]
"""Start, end, family, setup, route."""


class Timeline:
    """Paths of orders on machines, none over another."""

    def __init__(self, problem: Problem, held: Collection[bytes] = (), guide: Occupation | None = None) -> None:
        """`held` are offers of rows that stay where they are: their slots are taken from the start. With `guide`, slots
        that are free cost what it says."""
        self._problem = problem
        self._held = frozenset(held)
        self._guide = guide
        self._busy: dict[int, list[_Busy]] = defaultdict(list)
        self._cache: dict[int, dict[tuple[int, str, int], list[int]]] = defaultdict(dict)
        self._setups = any(choice.setup for _, choice in _all_choices(problem))
        self.paths: list[Path | None] = [None] * len(problem.routes)
        """By route."""
        for place, choice in _all_choices(problem):
            if choice.offer in self._held:
                self._add(place, choice, choice.windows[0][0])

    def place(self, number: int, path: Path) -> None:
        """Add the path of a route, which must fit."""
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
        """By start, what it costs to occupy slots (`Occupation`)."""
        if choice.offer in self._held:
            return None
        key = (choice.duration, choice.family, choice.setup) if self._setups else (choice.duration, "", 0)
        cache = self._cache[choice.machine]
        if key not in cache:
            cache[key] = self._build(choice)
        return cache[key]

    def settle(self, path: Path) -> Path | None:
        """Return the path with time for setup between operations of its own on one machine.

        The cheapest path does not know of that. Starts are later where it is needed; None when there are none.
        """
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
        free = None if self._guide is None else self._guide.occupied(choice)
        starts = self._problem.slots - choice.duration + 1
        row = [TAKEN] * starts
        low, busy = 0, self._busy[choice.machine]
        for start, end, family, setup, _ in busy:
            high = start - (setup if family != choice.family else 0) - choice.duration + 1
            if high > low:
                row[low:high] = [0] * (high - low) if free is None else free[low:high]
            low = end + (choice.setup if family != choice.family else 0)
        if starts > low:
            row[low:] = [0] * (starts - low) if free is None else free[low:]
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
