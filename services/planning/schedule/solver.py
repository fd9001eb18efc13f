"""CP-SAT on the same problem, and on the question how many accepted rows can stay. The only module that imports
OR-Tools: the extra `planning`.

Eight workers take turns deterministically (`interleave_search`), whatever the number of cores, so that the same version
on the same kind of machine comes to the same plan within the same deterministic time. A limit of CPU seconds stops it
early, for then a promise about time is kept, and that about repetition is not.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from typing import TypeAlias

from ortools.sat.python import cp_model

from millmark.ledger.plans.plan import Key, Row
from millmark.ledger.plans.problem import Choice, Problem, Route
from millmark.services.planning.schedule.search import Budget, Path

WORKERS = 8
CPU_S_PER_UNIT = 7
"""CPU seconds that a unit of deterministic time takes at most on the machines that we measured, with all workers."""
ALONE_S_PER_UNIT = 2
"""The same with one worker."""
_LOOK_S = 0.1
"""Between two looks at the CPU time."""


@dataclass(frozen=True, slots=True)
class Solved:
    """What CP-SAT found."""

    paths: list[Path] | None
    """By route; None when it found no plan."""
    is_optimal: bool
    bound: int
    """Its own lower bound, which comes without a proof."""
    was_stopped: bool
    """Whether CPU time ran out before the deterministic time: then another run may end with another plan."""


@dataclass(slots=True)
class _Step:
    """Variables of one operation."""

    start: cp_model.IntVar
    windows: list[tuple[Choice, int, int, int, cp_model.IntVar]] = field(default_factory=list)
    """Choice, first start, last start, cost (0 where none is asked for), and whether it is taken."""

    @property
    def end(self) -> cp_model.LinearExpr:
        return self.start + _total(choice.duration * literal for choice, *_, literal in self.windows)

    def at(self, owner: int) -> cp_model.LinearExpr:
        """1 when the operation is done at this owner's."""
        return _total(literal for choice, *_, literal in self.windows if choice.owner == owner)

    @property
    def owners(self) -> list[int]:
        return sorted({choice.owner for choice, *_ in self.windows})


def _total(terms: Iterable[cp_model.LinearExpr]) -> cp_model.LinearExpr:
    return cp_model.LinearExpr.sum(list(terms))


class _Model:
    """The problem as a model of optional intervals."""

    def __init__(self, problem: Problem) -> None:
        self.model = cp_model.CpModel()
        self._problem = problem
        self._on_machine: dict[int, list[tuple[Choice, cp_model.IntVar, cp_model.IntVar, cp_model.IntervalVar]]] = (
            defaultdict(list)
        )
        self._costs: list[cp_model.LinearExpr] = []
        self.steps = [self._add_route(route) for route in problem.routes]
        for items in self._on_machine.values():
            self.model.add_no_overlap([interval for *_, interval in items])
            self._add_setups(items)
        self.model.minimize(_total(self._costs))

    def _add_route(self, route: Route) -> list[_Step]:
        steps = [self._add_operation(route, choices) for choices in route.choices]
        for before, after in pairwise(steps):
            self._add_way(before, after)
        self._add_end(route, steps[-1])
        return steps

    def _add_operation(self, route: Route, choices: Sequence[Choice]) -> _Step:
        model = self.model
        step = _Step(model.new_int_var(route.release, self._problem.slots, ""))
        for choice in choices:
            literals = []
            for first, last, price in choice.windows:
                cost = price + choice.carbon
                literal = model.new_bool_var("")
                model.add_linear_constraint(step.start, first, last).only_enforce_if(literal)
                step.windows.append((choice, first, last, cost, literal))
                self._costs.append(cost * literal)
                literals.append(literal)
            if not literals:
                continue
            taken = literals[0] if len(literals) == 1 else model.new_bool_var("")
            if len(literals) > 1:
                model.add(_total(literals) == taken)
            interval = model.new_optional_fixed_size_interval_var(step.start, choice.duration, taken, "")
            self._on_machine[choice.machine].append((choice, step.start, taken, interval))
        model.add_exactly_one([literal for *_, literal in step.windows])
        return step

    def _add_way(self, before: _Step, after: _Step) -> None:
        """One literal for each pair of owners, as a flow: then the relaxation knows what transport costs."""
        flows: dict[tuple[int, int], cp_model.IntVar] = {}
        duration: list[cp_model.LinearExpr] = []
        cost: list[cp_model.LinearExpr] = []
        for origin in before.owners:
            for destination in after.owners:
                way = self._problem.way(origin, destination)
                if way is not None:
                    flow = flows[origin, destination] = self.model.new_bool_var("")
                    duration.append(way.slots * flow)
                    cost.append(way.cost * flow)
        for origin in before.owners:
            self.model.add(_total(flow for key, flow in flows.items() if key[0] == origin) == before.at(origin))
        for destination in after.owners:
            self.model.add(
                _total(flow for key, flow in flows.items() if key[1] == destination) == after.at(destination)
            )
        self.model.add(after.start >= before.end + _total(duration))
        self._costs += cost

    def _add_end(self, route: Route, step: _Step) -> None:
        ways = [(owner, self._problem.way(owner, route.destination)) for owner in step.owners]
        for owner, way in ways:
            if way is None:
                self.model.add(step.at(owner) == 0)
            else:
                self._costs.append(way.cost * step.at(owner))
        if route.weight:
            arrival = step.end + _total(way.slots * step.at(owner) for owner, way in ways if way is not None)
            late = self.model.new_int_var(0, 4 * self._problem.slots + max(0, -route.due), "")
            self.model.add(late >= arrival - route.due)
            self._costs.append(route.weight * late)

    def _add_setups(
        self, items: Sequence[tuple[Choice, cp_model.IntVar, cp_model.IntVar, cp_model.IntervalVar]]
    ) -> None:
        """For all pairs, not only neighbours: a little stricter than the rule, and never laxer."""
        for (first, start, taken, _), (second, other, also, _) in combinations(items, 2):
            _add_setup(self.model, (first, start, taken), (second, other, also))

    def hint(self, paths: Sequence[Path]) -> None:
        for steps, path in zip(self.steps, paths, strict=True):
            for step, (choice, start) in zip(steps, path, strict=True):
                self.model.add_hint(step.start, start)
                for item, first, last, _, literal in step.windows:
                    self.model.add_hint(literal, int(item.offer == choice.offer and first <= start <= last))


_Placed: TypeAlias = tuple[Choice, cp_model.IntVar, cp_model.IntVar]
"""A choice, when it starts, and whether it is taken."""


def _add_setup(model: cp_model.CpModel, one: _Placed, other: _Placed) -> None:
    """One of the two comes first, with the setup of the other in between, if both are taken."""
    (first, start, taken), (second, then, also) = one, other
    if first.family == second.family or not (first.setup or second.setup):
        return
    ahead = model.new_bool_var("")
    model.add(then >= start + first.duration + second.setup).only_enforce_if(ahead, taken, also)
    model.add(start >= then + second.duration + first.setup).only_enforce_if(~ahead, taken, also)


def _read(steps: Iterable[Sequence[_Step]], solver: cp_model.CpSolver) -> list[Path]:
    return [
        tuple(
            next((choice, solver.value(step.start)) for choice, *_, one in step.windows if solver.boolean_value(one))
            for step in route
        )
        for route in steps
    ]


def solve(
    problem: Problem,
    budget: Budget,
    cpu_s: float,
    seed: int,
    hint: Sequence[Path] | None = None,
) -> Solved:
    """Improve the plan `hint`, or find one, within `cpu_s` of the budget."""
    model = _Model(problem)
    if hint is not None:
        model.hint(hint)
    solver = cp_model.CpSolver()
    status, was_stopped = run_limited(solver, model.model, budget, cpu_s, seed)
    is_found = status in (cp_model.OPTIMAL, cp_model.FEASIBLE)
    return Solved(
        paths=_read(model.steps, solver) if is_found else None,
        is_optimal=status == cp_model.OPTIMAL,
        bound=int(solver.best_objective_bound),
        was_stopped=was_stopped,
    )


def run_limited(
    solver: cp_model.CpSolver,
    model: cp_model.CpModel,
    budget: Budget,
    cpu_s: float,
    seed: int,
    *,
    workers: int = WORKERS,
) -> tuple[cp_model.CpSolverStatus, bool]:
    """Solve within a deterministic time that takes about `cpu_s`; stop when the CPU time is used up before. Where work
    is counted, the deterministic time alone stops it. Returns the status, and whether CPU time stopped it."""
    solver.parameters.num_workers = workers
    solver.parameters.interleave_search = workers > 1
    solver.parameters.random_seed = seed
    unit_s = CPU_S_PER_UNIT if workers > 1 else ALONE_S_PER_UNIT
    solver.parameters.max_deterministic_time = max(cpu_s, 0.1) / unit_s * (1 if budget.is_counted else 2)
    if budget.is_counted:
        budget.charge_s(cpu_s)
        return solver.solve(model), False
    end = budget.spent_s + cpu_s
    done, stopped = threading.Event(), threading.Event()

    def watch() -> None:
        while not done.wait(_LOOK_S):
            if budget.spent_s >= end:
                stopped.set()
                solver.stop_search()

    watcher = threading.Thread(target=watch, name="cpu limit", daemon=True)
    watcher.start()
    try:
        return solver.solve(model), stopped.is_set()
    finally:
        done.set()
        watcher.join()


# How many of the rows that owners accepted can stay.
# Costs are left out, and with them most variables: one worker mostly answers the question, with a proof, in a CPU
# second for sixty orders. What the rows that move then cost is for the search to find.


@dataclass(frozen=True, slots=True)
class Staying:
    """A plan in which many rows stay."""

    rows: Mapping[Key, Row]
    """Those that do."""
    paths: tuple[Path, ...]
    """By route."""
    moved: int
    """How many do not."""
    least: int
    """How many cannot, in any plan on these offers, by CP-SAT's own bound."""


def stay_most(problem: Problem, accepted: Mapping[Key, Row], budget: Budget, cpu_s: float, seed: int) -> Staying | None:
    """Find a plan in which as many rows of `accepted` stay as can be found within `cpu_s` of the budget; None if there
    is none by then. Of `problem`, rows that have begun are fixed."""
    model = _StayModel(problem)
    stays = {key: model.add_stay(row) for key, row in accepted.items()}
    model.model.maximize(cp_model.LinearExpr.sum(list(stays.values())))
    solver = cp_model.CpSolver()
    status, _ = run_limited(solver, model.model, budget, cpu_s, seed, workers=1)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return None
    rows = {key: accepted[key] for key, literal in stays.items() if solver.boolean_value(literal)}
    most = int(solver.best_objective_bound)
    return Staying(rows, tuple(_read(model.steps, solver)), len(accepted) - len(rows), len(accepted) - most)


class _StayModel:
    """Optional intervals, as for a plan; windows that differ in price alone are one."""

    def __init__(self, problem: Problem) -> None:
        self.model = cp_model.CpModel()
        self._problem = problem
        self._on_machine: dict[int, list[_Placed]] = defaultdict(list)
        self._intervals: dict[int, list[cp_model.IntervalVar]] = defaultdict(list)
        self._places = {route.order: (number, route.first) for number, route in enumerate(problem.routes)}
        self.steps = [self._add_route(route) for route in problem.routes]
        for machine, intervals in self._intervals.items():
            self.model.add_no_overlap(intervals)
            self._add_setups(self._on_machine[machine])

    def add_stay(self, row: Row) -> cp_model.IntVar:
        """A literal for a row that stays; true is tried first."""
        number, first = self._places[row.order]
        step, literal = self.steps[number][row.operation - first], self.model.new_bool_var("")
        same = [
            one for choice, low, high, _, one in step.windows if choice.offer == row.offer and low <= row.start <= high
        ]
        self.model.add_bool_or(same).only_enforce_if(literal)
        self.model.add(step.start == row.start).only_enforce_if(literal)
        self.model.add_hint(literal, 1)
        return literal

    def _add_route(self, route: Route) -> list[_Step]:
        steps = [self._add_operation(route, choices) for choices in route.choices]
        for before, after in pairwise(steps):
            self._add_way(before, after)
        for choice, *_, literal in steps[-1].windows:
            if self._problem.way(choice.owner, route.destination) is None:
                self.model.add(literal == 0)
        return steps

    def _add_operation(self, route: Route, choices: Sequence[Choice]) -> _Step:
        model = self.model
        step = _Step(model.new_int_var(route.release, self._problem.slots, ""))
        for choice in choices:
            for first, last in _merge(choice):
                literal = model.new_bool_var("")
                model.add_linear_constraint(step.start, first, last).only_enforce_if(literal)
                interval = model.new_optional_fixed_size_interval_var(step.start, choice.duration, literal, "")
                step.windows.append((choice, first, last, 0, literal))
                self._on_machine[choice.machine].append((choice, step.start, literal))
                self._intervals[choice.machine].append(interval)
        model.add_exactly_one([literal for *_, literal in step.windows])
        return step

    def _add_way(self, before: _Step, after: _Step) -> None:
        for choice, *_, taken in before.windows:
            for other, *_, also in after.windows:
                way = self._problem.way(choice.owner, other.owner)
                if way is None:
                    self.model.add_bool_or(~taken, ~also)
                else:
                    ready = before.start + choice.duration + way.slots
                    self.model.add(after.start >= ready).only_enforce_if(taken, also)

    def _add_setups(self, items: Sequence[_Placed]) -> None:
        for one, other in combinations(items, 2):
            if one[1] is not other[1]:  # not of one operation
                _add_setup(self.model, one, other)


def _merge(choice: Choice) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for first, last, _ in choice.windows:
        if merged and merged[-1][1] + 1 == first:
            merged[-1] = (merged[-1][0], last)
        else:
            merged.append((first, last))
    return merged
