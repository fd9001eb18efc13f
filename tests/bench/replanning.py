"""`scripts/bench replan`: how long another plan takes when a machine fails, and how much of the one before moves.

The instances of `scripts/bench planning`. All rows of the plan are accepted; at a quarter of its time a machine fails
for good, drawn by the seed from those with work left. What has started stays, and what was accepted stays unless that
is impossible. Rows on the failed machine move in any case. Beside it stands how many accepted rows must move in any
plan on the offers that are left, as CP-SAT proves it by itself in a time of its own.

The plan before is made by counted work, so that the same seed is the same instance everywhere.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from ledger.errors import UnplannableError
from ledger.plans.file import PlanFile
from ledger.plans.offer import Offer
from ledger.plans.plan import Cause, CauseKind, Plan, Row
from ledger.plans.problem import build_problem
from services.planning.schedule import make_plan
from services.planning.schedule.budget import Budget
from services.planning.schedule.moves import stay_most
from services.planning.schedule.replan import Replan, find_staying, keep_started
from tests.bench.planning_instances import generate_plan_file

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
    """Those of them that had not started."""
    lost: int
    """Those of them on the machine that failed: they move in any case."""
    moved: int | None
    """Rows with another offer or start; None if no plan was possible on the offers that are left."""
    least: int | None
    """Rows that have another offer or start in every plan: none is below that. None where that was not found out."""
    cpu_s: float
    gap_per_mille: int | None


def compare_replans(
    sizes: Iterable[int], seeds: Iterable[int], first_cpu_s: float, cpu_s: float, proof_cpu_s: float = 60.0
) -> Iterator[Replanned]:
    """Plan with `first_cpu_s`, let a machine fail, and plan anew with `cpu_s`. Up to `proof_cpu_s` go into the proof of
    how little can move."""
    listed = list(seeds)
    for orders in sizes:
        for seed in listed:
            file = generate_plan_file(orders, seed)
            made = make_plan(file, tie=_TIE, cpu_s=first_cpu_s, repeatable=True)
            plan = made.check.plan
            now = max(row.end for row in plan.rows) // 4
            left = [row for row in plan.rows if row.start >= now]
            draw = random.Random(f"millmark replan {orders} {seed}")  # noqa: S311 - instances, not secrets
            machine = draw.choice(sorted({row.machine for row in left}))
            offers = made.check.counted.offers
            done = {row.offer for row in plan.rows if row.start < now}
            lost = frozenset(key for key, one in offers.items() if one.machine == machine and key not in done)
            counts = len(plan.rows), len(left), sum(row.machine == machine for row in left)
            replan = _build(plan, left, now, lost)
            least = _least(file, plan, offers, replan, proof_cpu_s)
            try:
                found = make_plan(replace(file, before=plan), tie=_TIE, replan=replan, cpu_s=cpu_s)
            except UnplannableError:
                yield Replanned(orders, seed, *counts, None, least, cpu_s, None)
            else:
                moved, gap = found.check.moved, found.check.gap_per_mille
                yield Replanned(orders, seed, *counts, moved, least, found.cpu_s, gap)


def _least(file: PlanFile, plan: Plan, offers: Mapping[bytes, Offer], replan: Replan, cpu_s: float) -> int | None:
    """Rows that move in every plan: those that lost their offers, and the accepted ones that CP-SAT proves."""
    open_offers = {key: one for key, one in offers.items() if key not in replan.dropped}
    started = keep_started(open_offers, plan, replan)
    problem = build_problem(
        file.call, file.objective, open_offers.items(), now=replan.now, fixed=started, legs=plan.legs
    )
    staying = find_staying(open_offers, plan, replan)
    found = stay_most(problem, staying, Budget(cpu_s), cpu_s, seed=1)
    return None if found is None else len(plan.rows) - len(started) - len(staying) + found.least


def _build(plan: Plan, left: list[Row], now: int, lost: frozenset[bytes]) -> Replan:
    open_keys = {row.key for row in left}
    return Replan(
        Cause(CauseKind.MACHINE_DOWN, "the machine is down", record=1),
        now,
        started=frozenset(row.key for row in plan.rows if row.key not in open_keys),
        accepted=frozenset(row.key for row in left if row.offer not in lost),
        dropped=lost,
    )
