"""How many of the rows that owners accepted can stay, by CP-SAT: the extra `planning`.

Costs are left out, and with them most variables: one worker mostly answers the question, with a proof, in a CPU second
for sixty orders. What the rows that move then cost is for the search to find.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from ortools.sat.python import cp_model

from millmark.ledger.plans.plan import Key, Row
from millmark.ledger.plans.problem import Choice, Problem, Route
from millmark.services.planning.schedule.budget import Budget
from millmark.services.planning.schedule.solver import run_limited
from millmark.services.planning.schedule.timeline import Path


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


@dataclass(frozen=True, slots=True)
class _Step:
    """Variables of one operation."""

    start: cp_model.IntVar
    options: list[tuple[Choice, int, int, cp_model.IntVar]]
    """Choice, first start, last start, and whether it is taken."""


def stay_most(problem: Problem, accepted: Mapping[Key, Row], budget: Budget, cpu_s: float, seed: int) -> Staying | None:
    """Find a plan in which as many rows of `accepted` stay as can be found within `cpu_s` of the budget; None if there
    is none by then. Of `problem`, rows that have begun are fixed."""
    model = _Model(problem)
    stays = {key: model.add_stay(row) for key, row in accepted.items()}
    model.model.maximize(cp_model.LinearExpr.sum(list(stays.values())))
    solver = cp_model.CpSolver()
    status, _ = run_limited(solver, model.model, budget, cpu_s, seed, workers=1)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return None
    rows = {key: accepted[key] for key, literal in stays.items() if solver.boolean_value(literal)}
    most = int(solver.best_objective_bound)
    return Staying(rows, tuple(model.read(solver)), len(accepted) - len(rows), len(accepted) - most)


class _Model:
    """Optional intervals, as for a plan; windows that differ in price alone are one."""

    def __init__(self, problem: Problem) -> None:
        self.model = cp_model.CpModel()
        self._problem = problem
        self._on_machine: dict[int, list[tuple[Choice, cp_model.IntVar, cp_model.IntVar]]] = defaultdict(list)
        self._intervals: dict[int, list[cp_model.IntervalVar]] = defaultdict(list)
        self._places = {route.order: (number, route.first) for number, route in enumerate(problem.routes)}
        self._steps = [self._add_route(route) for route in problem.routes]
        for machine, intervals in self._intervals.items():
            self.model.add_no_overlap(intervals)
            self._add_setups(self._on_machine[machine])

    def add_stay(self, row: Row) -> cp_model.IntVar:
        """A literal for a row that stays; true is tried first."""
        number, first = self._places[row.order]
        step, literal = self._steps[number][row.operation - first], self.model.new_bool_var("")
        same = [
            one for choice, low, high, one in step.options if choice.offer == row.offer and low <= row.start <= high
        ]
        self.model.add_bool_or(same).only_enforce_if(literal)
        self.model.add(step.start == row.start).only_enforce_if(literal)
        self.model.add_hint(literal, 1)
        return literal

    def _add_route(self, route: Route) -> list[_Step]:
        steps = [self._add_operation(route, choices) for choices in route.choices]
        for before, after in pairwise(steps):
            self._add_way(before, after)
        for choice, _, _, literal in steps[-1].options:
            if self._problem.way(choice.owner, route.destination) is None:
                self.model.add(literal == 0)
        return steps

    def _add_operation(self, route: Route, choices: Sequence[Choice]) -> _Step:
        model = self.model
        step = _Step(model.new_int_var(route.release, self._problem.slots, ""), [])
        for choice in choices:
            for first, last in _merge(choice):
                literal = model.new_bool_var("")
                model.add_linear_constraint(step.start, first, last).only_enforce_if(literal)
                interval = model.new_optional_fixed_size_interval_var(step.start, choice.duration, literal, "")
                step.options.append((choice, first, last, literal))
                self._on_machine[choice.machine].append((choice, step.start, literal))
                self._intervals[choice.machine].append(interval)
        model.add_exactly_one([literal for *_, literal in step.options])
        return step

    def _add_way(self, before: _Step, after: _Step) -> None:
        for choice, _, _, taken in before.options:
            for other, _, _, also in after.options:
                way = self._problem.way(choice.owner, other.owner)
                if way is None:
                    self.model.add_bool_or(~taken, ~also)
                else:
                    ready = before.start + choice.duration + way.slots
                    self.model.add(after.start >= ready).only_enforce_if(taken, also)

    def _add_setups(self, items: Sequence[tuple[Choice, cp_model.IntVar, cp_model.IntVar]]) -> None:
        """For all pairs, not only neighbours: a little stricter than the rule, and never laxer."""
        for (first, start, taken), (second, other, also) in combinations(items, 2):
            if first.family == second.family or not (first.setup or second.setup) or start is other:
                continue
            ahead = self.model.new_bool_var("")
            self.model.add(other >= start + first.duration + second.setup).only_enforce_if(ahead, taken, also)
            self.model.add(start >= other + second.duration + first.setup).only_enforce_if(~ahead, taken, also)

    def read(self, solver: cp_model.CpSolver) -> Iterator[Path]:
        for steps in self._steps:
            yield tuple(
                next(
                    (choice, solver.value(step.start))
                    for choice, _, _, one in step.options
                    if solver.boolean_value(one)
                )
                for step in steps
            )


def _merge(choice: Choice) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for first, last, _ in choice.windows:
        if merged and merged[-1][1] + 1 == first:
            merged[-1] = (merged[-1][0], last)
        else:
            merged.append((first, last))
    return merged
