"""Job shops and flexible job shops with the makespan as objective: the classic benchmark instances.

A makespan is not a sum over orders, so slot prices prove nothing about it. What bounds it are elementary arguments: a
job takes its shortest times one after the other, and a machine does what no other can do between the earliest head and
the shortest tail. Plans by dispatching rules give CP-SAT a horizon and something to improve.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from millmark.ledger.errors import InputError

__all__ = ["Shop", "ShopPlan", "dispatch", "elementary_bound", "parse_shop"]

Starts = tuple[tuple[tuple[int, int], ...], ...]
"""By job and operation: machine and start."""


@dataclass(frozen=True, slots=True)
class Shop:
    """By job and operation, the duration on each machine that can do it."""

    jobs: tuple[tuple[dict[int, int], ...], ...]

    @property
    def horizon(self) -> int:
        """All operations one after the other."""
        return sum(max(times.values()) for job in self.jobs for times in job)


@dataclass(frozen=True, slots=True)
class ShopPlan:
    """Where and when each operation is done."""

    starts: Starts
    makespan: int


def parse_shop(text: str) -> Shop:
    """Parse an instance in one of the two standard forms. Lines that start with # are skipped. Raises InputError.

    Job shops have the number of jobs and machines, then a line of pairs of machine and duration for each job. Flexible
    ones (Brandimarte's form) have for each job its number of operations, and for each of these the number of choices
    and their pairs.
    """
    try:
        lines = [[*map(int, line.split())] for line in text.splitlines() if line.strip() and line[0] != "#"]
    except ValueError:
        lines = []
    if not lines or len(lines[0]) < 2 or len(lines) <= lines[0][0]:
        raise InputError("not an instance of a job shop", hint="give a file in one of the standard forms")
    jobs, machines = lines[0][:2]
    rows = lines[1 : jobs + 1]
    if all(len(row) == 2 * machines for row in rows):
        return Shop(tuple(tuple({row[at]: row[at + 1]} for at in range(0, len(row), 2)) for row in rows))
    return Shop(tuple(_parse_job(row) for row in rows))


def _parse_job(row: Sequence[int]) -> tuple[dict[int, int], ...]:
    numbers = iter(row)
    try:
        return tuple({next(numbers): next(numbers) for _ in range(next(numbers))} for _ in range(next(numbers)))
    except (StopIteration, RuntimeError):  # a generator turns the one into the other
        raise InputError("a job of the instance ends too early") from None


def elementary_bound(shop: Shop) -> int:
    """Return a makespan that no plan is below: the longest job, and by machine the work that no other can do."""
    least = [[min(times.values()) for times in job] for job in shop.jobs]
    bound = max(map(sum, least), default=0)
    own: dict[int, list[tuple[int, int, int]]] = {}
    for job, shortest in zip(shop.jobs, least, strict=True):
        for place, times in enumerate(job):
            if len(times) == 1:
                [(machine, duration)] = times.items()
                own.setdefault(machine, []).append((sum(shortest[:place]), duration, sum(shortest[place + 1 :])))
    total = sum(map(sum, least))
    machines = {machine for job in shop.jobs for times in job for machine in times}
    bound = max(bound, -(-total // max(1, len(machines))))
    return max([bound, *(_machine_bound(items) for items in own.values())])


def _machine_bound(items: Sequence[tuple[int, int, int]]) -> int:
    """Most of least head + work + least tail over sets of operations of one machine (Jackson's preemptive bound needs
    more code and is seldom higher): for every head and tail, all operations that have no smaller ones."""
    best = 0
    for head in {item[0] for item in items}:
        for tail in {item[2] for item in items}:
            work = sum(duration for h, duration, t in items if h >= head and t >= tail)
            if work:
                best = max(best, head + work + tail)
    return best


def dispatch(shop: Shop, draw: random.Random, noise: float) -> ShopPlan:
    """One plan by list scheduling: the job with most work left goes first (MWKR), with noise, on the machine that ends
    it soonest."""
    left = [sum(min(times.values()) for times in job) for job in shop.jobs]
    place, ready = [0] * len(shop.jobs), [0] * len(shop.jobs)
    free: dict[int, int] = {}
    starts: list[list[tuple[int, int]]] = [[] for _ in shop.jobs]
    for _ in range(sum(map(len, shop.jobs))):
        options = []
        for job, operations in enumerate(shop.jobs):
            if place[job] < len(operations):
                times = operations[place[job]]
                end, machine = min((max(ready[job], free.get(m, 0)) + times[m], m) for m in times)
                options.append((end - times[machine], -left[job] * (1 + noise * draw.random()), job, machine, end))
        # Among those that can start before the soonest end (Giffler and Thompson), the one with most work left. What
        # ends soonest counts even if it takes no time, and so starts then.
        soonest = min(option[4] for option in options)
        start, _, job, machine, end = min(
            (o for o in options if o[0] < soonest or o[4] == soonest), key=lambda option: option[1]
        )
        starts[job].append((machine, start))
        left[job] -= min(shop.jobs[job][place[job]].values())
        place[job] += 1
        ready[job] = free[machine] = end
    return ShopPlan(tuple(map(tuple, starts)), max(ready))
