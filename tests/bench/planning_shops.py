"""`scripts/bench planning --instances DIR`: classic job shops and flexible job shops, with CP-SAT alone beside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ledger.errors import InputError
from services.planning.schedule.budget import Budget
from services.planning.schedule.shop_solver import solve_shop, solve_shop_alone
from services.planning.schedule.shops import Shop, ShopPlan, parse_shop

__all__ = ["ShopCompared", "compare_shops"]


@dataclass(frozen=True, slots=True)
class ShopCompared:
    """One instance."""

    name: str
    best_known: int
    makespan: int
    bound: int
    cpu_s: float
    solver_makespan: int | None
    """Makespan by CP-SAT alone; None when it found no plan."""
    solver_bound: int
    solver_cpu_s: float

    @property
    def gap(self) -> float:
        """Makespan above the best known one, as a part of that."""
        return self.makespan / self.best_known - 1

    @property
    def solver_gap(self) -> float:
        """The same of CP-SAT alone; infinite when it found no plan."""
        return float("inf") if self.solver_makespan is None else self.solver_makespan / self.best_known - 1


def compare_shops(folder: Path, cpu_s: float, seed: int) -> Iterator[ShopCompared]:
    """Solve each instance that an `instances.json` under `folder` lists, on both sides with `cpu_s`.

    An entry has `name`, `path` and `optimum`, or `bounds` with `upper`. Raises InputError when there is none.
    """
    listed = [(index.parent, entry) for index in sorted(folder.rglob("instances.json")) for entry in _entries(index)]
    found = [(base / str(entry["path"]), entry) for base, entry in listed if (base / str(entry["path"])).is_file()]
    if not found:
        raise InputError(f"{folder} has no instances", hint="name a folder with instances.json and the files it lists")
    for path, entry in found:
        yield _compare(parse_shop(path.read_text("utf-8")), str(entry["name"]), _best_known(entry), cpu_s, seed)


def _entries(index: Path) -> list[dict[str, object]]:
    entries: list[dict[str, object]] = json.loads(index.read_text("utf-8"))
    return entries


def _best_known(entry: dict[str, object]) -> int:
    bounds = entry.get("bounds")
    value = entry.get("optimum") or (bounds.get("upper") if isinstance(bounds, dict) else None)
    if not isinstance(value, int):
        raise InputError(f"the instance {entry.get('name')} has no best known makespan")
    return value


def _compare(shop: Shop, name: str, best_known: int, cpu_s: float, seed: int) -> ShopCompared:
    budget = Budget(cpu_s)
    plan, bound = solve_shop(shop, cpu_s, seed)
    spent_s = budget.spent_s
    _verify(shop, plan)
    budget = Budget(cpu_s)
    alone, solver_bound = solve_shop_alone(shop, cpu_s, seed)
    solver_makespan = None if alone is None else alone.makespan
    return ShopCompared(name, best_known, plan.makespan, bound, spent_s, solver_makespan, solver_bound, budget.spent_s)


def _verify(shop: Shop, plan: ShopPlan) -> None:
    """Raises InputError when the plan cannot be carried out or takes longer than it says: a bench must not flatter."""
    busy: dict[int, list[tuple[int, int]]] = {}
    for job, starts in zip(shop.jobs, plan.starts, strict=True):
        ready = 0
        for times, (machine, start) in zip(job, starts, strict=True):
            if start < ready:
                raise InputError("an operation starts before the one before has ended")
            ready = start + times[machine]
            busy.setdefault(machine, []).append((start, ready))
        if ready > plan.makespan:
            raise InputError("a plan takes longer than it says")
    for spans in busy.values():
        spans.sort()
        if any(before[1] > after[0] for before, after in pairwise(spans)):
            raise InputError("two operations overlap on a machine")
