"""CP-SAT on job shops and flexible job shops: alone, or with a plan to start from and a bound (`shops`)."""

from __future__ import annotations

import random
from collections import defaultdict

from ortools.sat.python import cp_model

from millmark.services.planning.schedule.budget import Budget
from millmark.services.planning.schedule.shops import Shop, ShopPlan, dispatch, elementary_bound
from millmark.services.planning.schedule.solver import run_limited

__all__ = ["solve_shop", "solve_shop_alone"]

_DISPATCH_SHARE = 0.05
"""Share of the CPU time for plans by dispatching rules."""
_NOISE = 0.3


def solve_shop(shop: Shop, cpu_s: float, seed: int) -> tuple[ShopPlan, int]:
    """Return the best plan found in `cpu_s`, and a lower bound of the makespan."""
    budget = Budget(cpu_s)
    draw = random.Random(seed)  # noqa: S311 - a search, not a secret
    bound = elementary_bound(shop)
    best = dispatch(shop, draw, 0)
    while budget.spent_s < _DISPATCH_SHARE * cpu_s and best.makespan > bound:
        best = min(best, dispatch(shop, draw, _NOISE), key=lambda plan: plan.makespan)
    if best.makespan == bound:
        return best, bound
    found, proved = _solve(shop, budget, seed, bound, best)
    return min(best, found or best, key=lambda plan: plan.makespan), max(bound, proved)


def solve_shop_alone(shop: Shop, cpu_s: float, seed: int) -> tuple[ShopPlan | None, int]:
    """The peer: CP-SAT with the same model and nothing else."""
    return _solve(shop, Budget(cpu_s), seed, 0, None)


def _solve(shop: Shop, budget: Budget, seed: int, bound: int, known: ShopPlan | None) -> tuple[ShopPlan | None, int]:
    model = cp_model.CpModel()
    horizon = shop.horizon if known is None else known.makespan
    makespan = model.new_int_var(bound, horizon, "")
    on_machine: dict[int, list[cp_model.IntervalVar]] = defaultdict(list)
    starts: list[list[cp_model.IntVar]] = []
    chosen: list[list[list[tuple[int, int, cp_model.IntVar]]]] = []
    for number, job in enumerate(shop.jobs):
        starts.append([])
        chosen.append([])
        end: cp_model.LinearExpr | int = 0
        for place, times in enumerate(job):
            start = model.new_int_var(0, horizon, "")
            model.add(start >= end)
            options = [(machine, duration, model.new_bool_var("")) for machine, duration in times.items()]
            model.add_exactly_one([literal for *_, literal in options])
            for machine, duration, literal in options:
                interval = model.new_optional_fixed_size_interval_var(start, duration, literal, "")
                on_machine[machine].append(interval)
                if known is not None:
                    model.add_hint(literal, int(known.starts[number][place][0] == machine))
            if known is not None:
                model.add_hint(start, known.starts[number][place][1])
            end = start + cp_model.LinearExpr.sum([duration * literal for _, duration, literal in options])
            starts[-1].append(start)
            chosen[-1].append(options)
        model.add(makespan >= end)
    for intervals in on_machine.values():
        model.add_no_overlap(intervals)
    model.minimize(makespan)
    solver = cp_model.CpSolver()
    status, _ = run_limited(solver, model, budget, budget.left_s, seed, to_the_end=True)
    lower = int(solver.best_objective_bound)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return None, lower
    plan = tuple(
        tuple(
            (next(machine for machine, _, literal in options if solver.boolean_value(literal)), solver.value(start))
            for start, options in zip(job, choices, strict=True)
        )
        for job, choices in zip(starts, chosen, strict=True)
    )
    return ShopPlan(plan, solver.value(makespan)), lower
