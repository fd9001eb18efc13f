"""`millmark bench replan`: how long another plan takes when a machine fails, and how much of the one before moves.

The instances of `millmark bench planning`. All rows of the plan are accepted; at a quarter of its time a machine fails
for good, drawn by the seed from those with work left. What has started stays, and what was accepted stays unless that
is impossible. Rows on the failed machine move in any case.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from ledger.errors import UnplannableError
from ledger.plans.plan import Cause, CauseKind, Plan, Row
from services.lab.bench.planning_instances import generate_plan_file
from services.planning.schedule import make_plan
from services.planning.schedule.replan import Replan

__all__ = ["Replanned", "compare_replans"]

_TIE = bytes(32)


@dataclass(frozen=True, slots=True)
class Replanned:
    """One instance."""

    orders: int
    seed: int
    accepted: int
    """Rows of the plan before."""
    open: int
    """Of these, rows that had not started."""
    lost: int
    """Of these, rows on the machine that failed: they move in any case."""
    moved: int | None
    """Rows with another offer or start; None if no plan was possible on the offers that are left."""
    cpu_s: float
    gap_per_mille: int | None


def compare_replans(
    sizes: Iterable[int], seeds: Iterable[int], first_cpu_s: float, cpu_s: float
) -> Iterator[Replanned]:
    """Plan with `first_cpu_s`, let a machine fail, and plan anew with `cpu_s`."""
    listed = list(seeds)
    for orders in sizes:
        for seed in listed:
            file = generate_plan_file(orders, seed)
            made = make_plan(file, tie=_TIE, cpu_s=first_cpu_s)
            plan = made.check.plan
            now = max(row.end for row in plan.rows) // 4
            left = [row for row in plan.rows if row.start >= now]
            draw = random.Random(f"millmark replan {orders} {seed}")  # noqa: S311 - instances, not secrets
            machine = draw.choice(sorted({row.machine for row in left}))
            offers = made.check.counted.offers
            done = {row.offer for row in plan.rows if row.start < now}
            lost = frozenset(key for key, one in offers.items() if one.machine == machine and key not in done)
            counts = len(plan.rows), len(left), sum(row.machine == machine for row in left)
            try:
                replan = _build(plan, left, now, lost)
                found = make_plan(replace(file, before=plan), tie=_TIE, replan=replan, cpu_s=cpu_s)
            except UnplannableError:
                yield Replanned(orders, seed, *counts, None, cpu_s, None)
            else:
                yield Replanned(orders, seed, *counts, found.check.moved, found.cpu_s, found.check.gap_per_mille)


def _build(plan: Plan, left: list[Row], now: int, lost: frozenset[bytes]) -> Replan:
    open_keys = {row.key for row in left}
    return Replan(
        Cause(CauseKind.MACHINE_DOWN, "the machine is down", record=1),
        now,
        started=frozenset(row.key for row in plan.rows if row.key not in open_keys),
        accepted=frozenset(row.key for row in left if row.offer not in lost),
        dropped=lost,
    )
