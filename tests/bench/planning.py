"""`scripts/bench planning`: plans of Millmark against CP-SAT alone and against list rules, at equal CPU seconds.

All CPU seconds are of the process with all its threads. CP-SAT alone has the same model, workers and seed as in
Millmark's own plans, without slot prices, without a plan to start from.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

from millmark.ledger.plans.check import check_plan, count_offers
from millmark.ledger.plans.file import PlanFile, parse_plan_file
from millmark.ledger.plans.problem import Problem, build_problem
from millmark.services.planning.schedule import make_plan
from millmark.services.planning.schedule.search import Budget, cost_of, list_schedule
from millmark.services.planning.schedule.solver import solve
from tests.support.plan_instances import generate_plan_file

_CHECKS = 5
"""How often a check is timed; the median counts."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One instance."""

    orders: int
    seed: int
    cost: int
    bound: int
    gap_per_mille: int
    cpu_s: float
    solver_cost: int | None
    """Cost by CP-SAT alone; None when it found no plan."""
    solver_bound: int
    """Its own lower bound."""
    solver_cpu_s: float
    rule_cost: int | None
    """Cost by the best list rule: earliest due date, shortest work, weight by work and slack (ATC)."""
    check_ms: float
    read_ms: float
    """CPU time to read the plan file."""

    @property
    def ratio(self) -> float | None:
        """Cost against that of CP-SAT alone."""
        return self.cost / self.solver_cost if self.solver_cost else None


@dataclass(frozen=True, slots=True)
class Summary:
    """All instances with the same number of orders."""

    orders: int
    seeds: int
    ratio: float | None
    """Geometric mean of the cost against CP-SAT alone, over the instances that CP-SAT found a plan for."""
    worst_ratio: float | None
    unsolved: int
    """Instances that CP-SAT found no plan for."""
    rule_ratio: float | None
    """Geometric mean of the cost against the best list rule."""
    gap_per_mille: float
    """Median."""
    check_ms: float
    """Largest."""
    cpu_s: float
    """Mean."""
    solver_cpu_s: float

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def compare_plans(orders: Sequence[int], seeds: Sequence[int], cpu_s: float) -> Iterator[Compared]:
    """Make plans for drawn instances, on both sides with `cpu_s`."""
    for count in orders:
        for seed in seeds:
            yield _compare(count, seed, cpu_s)


def _compare(orders: int, seed: int, cpu_s: float) -> Compared:
    file = generate_plan_file(orders, seed)
    made = make_plan(file, tie=bytes(32), cpu_s=cpu_s)
    counted = count_offers(file.call, file.machines, file.offers)
    problem = build_problem(file.call, file.objective, counted.offers.items())
    budget = Budget(cpu_s)
    alone = solve(problem, budget, cpu_s, seed=1)
    solver_cpu_s = budget.spent_s
    data = made.file.to_bytes()
    plan = made.check.plan
    return Compared(
        orders=orders,
        seed=seed,
        cost=plan.cost.total,
        bound=plan.bound.value,
        gap_per_mille=made.check.gap_per_mille,
        cpu_s=made.cpu_s,
        solver_cost=None if alone.paths is None else cost_of(problem, alone.paths),
        solver_bound=alone.bound,
        solver_cpu_s=solver_cpu_s,
        rule_cost=_best_rule(problem),
        check_ms=_time_ms(lambda: check_plan(made.file)),
        read_ms=_time_ms(lambda: _read(data)),
    )


def _read(data: bytes) -> PlanFile:
    return parse_plan_file(data)


def _time_ms(act: Callable[[], object]) -> float:
    times = []
    for _ in range(_CHECKS):
        begin = time.process_time()
        act()
        times.append((time.process_time() - begin) * 1000)
    return statistics.median(times)


def _best_rule(problem: Problem) -> int | None:
    """The best of the rules of dispatching that shops use, each order on its cheapest path into what is free."""
    numbers = range(len(problem.routes))
    routes = problem.routes
    mean = sum(route.least_slots[0] for route in routes) / len(routes) or 1

    def urgency(number: int) -> float:
        """Apparent tardiness cost at release (Vepsalainen and Morton 1987)."""
        route = routes[number]
        slack = max(0, route.due - route.release - route.least_slots[0])
        return -route.weight / max(1, route.least_slots[0]) * math.exp(-slack / (2 * mean))

    found = [
        list_schedule(problem, sorted(numbers, key=key))
        for key in (
            lambda number: routes[number].due,
            lambda number: routes[number].least_slots[0],
            urgency,
        )
    ]
    costs = [cost_of(problem, paths) for paths in found if paths is not None]
    return min(costs, default=None)


def summarise(found: Sequence[Compared]) -> list[Summary]:
    """By number of orders."""
    return [
        _summarise([one for one in found if one.orders == orders]) for orders in sorted({one.orders for one in found})
    ]


def _summarise(found: Sequence[Compared]) -> Summary:
    ratios = [one.ratio for one in found if one.ratio is not None]
    rules = [one.cost / one.rule_cost for one in found if one.rule_cost]
    return Summary(
        orders=found[0].orders,
        seeds=len(found),
        ratio=statistics.geometric_mean(ratios) if ratios else None,
        worst_ratio=max(ratios, default=None),
        unsolved=len(found) - len(ratios),
        rule_ratio=statistics.geometric_mean(rules) if rules else None,
        gap_per_mille=statistics.median(one.gap_per_mille for one in found),
        check_ms=max(one.check_ms for one in found),
        cpu_s=statistics.fmean(one.cpu_s for one in found),
        solver_cpu_s=statistics.fmean(one.solver_cpu_s for one in found),
    )
