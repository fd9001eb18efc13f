"""`scripts/bench loop`: weeks of a plant whose machines drift, with feedback and without, on the same fate.

Each week the coordinator calls for the same orders on both sides, the planner of the product makes a plan of the offers
(local search by counted work, without CP-SAT), and the plant works it off. Without feedback, offers promise what
machines without drift take, machines are overhauled when their turn comes or when they fail, and what was to be done on
a failed machine waits for it. With feedback, the detector of `millmark.quality.drift` looks at the words measured, and
verdicts, late finishes, energy and failures are causes as in the product: its rule table decides, and what it decides
is done. Settings are taken or refused by a drawn operator; a machine whose offers are withdrawn is overhauled when the
next week begins, which takes as long as any overhaul, and offered again from then on.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
from numpy.typing import NDArray

from millmark.ledger.errors import UnplannableError
from millmark.ledger.plans.file import PlanFile
from millmark.ledger.plans.offer import Offer
from millmark.ledger.plans.plan import CauseKind, Key, Plan
from millmark.quality.drift import ALARM_GROUPS, GROUP, Reference, build_reference, watch
from millmark.services.planning.feedback.causes import Condition, MachineCause, Step, judge
from millmark.services.planning.schedule import make_plan
from millmark.services.planning.schedule.replan import Replan
from tests.bench.drifting_plant import DOWN_SLOTS, OVERHAUL_COST, Done, DriftingPlant, Failure, Week, Work, sum_week
from tests.support.plan_instances import CLOSES, SLOT_S, generate_plan_file

WEEK_S = 7 * 86_400
WINDOW_WEEKS = 10
FAILING = 3
"""Rejects among the parts of an operation that make its certificate a failing one."""
_TIE = bytes(32)
_REFERENCE_ROWS = 700
_TOLERANCE_PER_MILLE = 1100
"""How much longer, or how much more energy, than was offered is a cause."""


@dataclass(slots=True)
class Side:
    """One side of the comparison, week by week."""

    cost: list[int] = field(default_factory=list)
    rejects: list[int] = field(default_factory=list)
    late_slots: list[int] = field(default_factory=list)
    steps: dict[str, int] = field(default_factory=dict)
    """How often each step was taken."""

    def add(self, week: Week) -> None:
        self.cost.append(week.cost)
        self.rejects.append(week.rejects)
        self.late_slots.append(week.late_slots)

    def count(self, step: str) -> None:
        self.steps[step] = self.steps.get(step, 0) + 1


@dataclass(frozen=True, slots=True)
class Compared:
    """One seed."""

    seed: int
    weeks: int
    without: Side
    with_feedback: Side
    cpu_s: float

    def to_json(self) -> dict[str, object]:
        return {**asdict(self), "figures": self.figures()}

    def figures(self) -> dict[str, dict[str, float]]:
        """By cost, rejects and late_slots: both sums, their ratio, and that of the worst ten weeks in a row."""
        found = {}
        for name in ("cost", "rejects", "late_slots"):
            before, after = getattr(self.without, name), getattr(self.with_feedback, name)
            total = {"without": sum(before), "with": sum(after), "ratio": _ratio(sum(after), sum(before))}
            found[name] = {**total, "worst_window": worst_window(before, after)}
        return found

    def holds(self) -> bool:
        """Whether each sum is lower with feedback, and no ten weeks in a row are more than a twentieth worse."""
        found = self.figures().values()
        return all(one["with"] < one["without"] and one["worst_window"] <= 1.05 for one in found)


def worst_window(before: Sequence[int], after: Sequence[int]) -> float:
    """The largest ratio of `after` to `before` over ten weeks in a row, or over all where there are fewer."""
    size = min(WINDOW_WEEKS, len(before))
    starts = range(len(before) - size + 1)
    return max((_ratio(sum(after[at : at + size]), sum(before[at : at + size])) for at in starts), default=1.0)


def _ratio(after: int, before: int) -> float:
    return after / before if before else 1.0 if not after else float("inf")


def compare_loops(weeks: int, seeds: Sequence[int], orders: int, cpu_s: float) -> Iterator[Compared]:
    """Simulates each seed on both sides; `cpu_s` is the counted work of a plan."""
    for seed in seeds:
        began = time.process_time()
        without = _Loop(seed, orders, cpu_s, None).run(weeks)
        with_feedback = _Loop(seed, orders, cpu_s, _Feedback(seed)).run(weeks)
        yield Compared(seed, weeks, without, with_feedback, time.process_time() - began)


class _Feedback:
    """The rule table at work: where each machine stands, and what was measured of it."""

    def __init__(self, seed: int) -> None:
        self.conditions: dict[int, Condition] = {}
        self._reference = _reference(seed)
        self._words: dict[int, list[tuple[int, NDArray[np.int64]]]] = {}
        self._number = 0

    def condition(self, machine: int) -> Condition:
        return self.conditions.get(machine, Condition())

    def efficiency(self, machines: Sequence[int]) -> dict[int, int]:
        return {machine: self.condition(machine).efficiency_per_mille for machine in machines}

    def judge(self, kind: CauseKind, machine: int, since_s: int, at_s: int) -> tuple[Step, ...]:
        self._number += 1
        cause = MachineCause(kind, machine, "", since_s, at_s, record=self._number)
        judged = judge(self.condition(machine), cause)
        self.conditions[machine] = judged.condition
        return judged.steps

    def pass_over(self, kind: CauseKind, machine: int, at_s: int) -> tuple[Step, ...]:
        judged = self.condition(machine).pass_over(kind, at_s)
        self.conditions[machine] = judged.condition
        return judged.steps

    def observe(self, machine: int, *, good: bool, since_s: int, at_s: int) -> bool:
        condition, lifted = self.condition(machine).observe(good=good, since_s=since_s, at_s=at_s)
        self.conditions[machine] = condition
        return lifted

    def renew(self, machine: int, at_s: int) -> bool:
        self.conditions[machine], lifted = self.condition(machine).renew(at_s)
        self._words.pop(machine, None)
        return lifted

    def watch(self, machine: int, since_s: int, words: NDArray[np.int64]) -> int | None:
        """When what raises the present alarm began to be measured; None if there is no alarm."""
        kept = [*self._words.get(machine, []), (since_s, words)]
        while len(kept) > 1 and sum(len(part) for _, part in kept[1:]) >= ALARM_GROUPS * GROUP:
            kept.pop(0)
        self._words[machine] = kept
        joined = np.concatenate([part for _, part in kept])
        latest = joined[len(joined) % GROUP :]
        if len(latest) < ALARM_GROUPS * GROUP:
            return None
        found = watch(self._reference, latest, _margins(latest))
        return kept[0][0] if found.alarms else None


class _Loop:
    """One side."""

    def __init__(self, seed: int, orders: int, cpu_s: float, feedback: _Feedback | None) -> None:
        self._seed, self._orders, self._cpu_s, self._feedback = seed, orders, cpu_s, feedback
        self._plant = DriftingPlant(seed)
        self._side = Side()
        self._mended: set[int] = set()
        """Machines that failed, and were repaired in the same week."""

    def run(self, weeks: int) -> Side:
        for week in range(weeks):
            self._side.add(self._week(week))
        return self._side

    def _week(self, week: int) -> Week:
        overhauled = self._overhaul(week)
        file = self._call(week, {}, overhauled)
        nominal = {key: offer.duration for key, offer in _offers(file).items()}
        failures = self._plant.find_failures(week, file.call.slots)
        plan, offered = self._plan(week, file, overhauled)
        done = self._work(week, offered, plan, nominal, failures)
        found = sum_week(file.call, done, dict(file.objective.tardiness))
        for failure in failures:
            self._plant.overhaul(failure.machine)
        found.cost += OVERHAUL_COST * (len(overhauled) + len(failures))
        if self._feedback is not None:
            self._learn(week, list(done.values()), self._feedback)
        return found

    def _overhaul(self, week: int) -> set[int]:
        """Lets a week pass, and overhauls what is withdrawn besides that whose turn it is. Returns both. What was held
        against these, and against what failed and was mended, is taken back."""
        overhauled = self._plant.pass_week(week)
        if self._feedback is None:
            return overhauled
        out = {one for one in self._feedback.conditions if not self._feedback.condition(one).efficiency_per_mille}
        for machine in sorted(out - self._mended):
            self._plant.overhaul(machine)
        overhauled |= out - self._mended
        for machine in sorted(overhauled | self._mended):
            began = DOWN_SLOTS if machine in overhauled else 0
            if self._feedback.renew(machine, _time(week, began)):
                self._side.count(Step.LIFT)
        self._mended.clear()
        return overhauled

    def _call(self, week: int, efficiency: Mapping[int, int], overhauled: Iterable[int]) -> PlanFile:
        name, free_from = f"loop {self._seed} {week}", dict.fromkeys(overhauled, DOWN_SLOTS)
        return generate_plan_file(
            self._orders, name, tools=self._plant.tools, efficiency_per_mille=efficiency, free_from=free_from
        )

    def _plan(self, week: int, file: PlanFile, overhauled: Iterable[int]) -> tuple[Plan, PlanFile]:
        """The week's plan, and the offers that it was made of."""
        if self._feedback is not None:
            machines = [tool.machine.machine for tool in self._plant.tools]
            file = self._call(week, self._feedback.efficiency(machines), overhauled)
        return self._make(file), file

    def _make(self, file: PlanFile, replan: Replan | None = None) -> Plan:
        made = make_plan(file, tie=_TIE, replan=replan, cpu_s=self._cpu_s, seed=1, with_solver=False, repeatable=True)
        return made.check.plan

    def _work(
        self, week: int, file: PlanFile, plan: Plan, nominal: Mapping[Work, int], failures: Sequence[Failure]
    ) -> dict[Key, Done]:
        for place, failure in enumerate(failures):
            known = failures[: place + 1]
            if self._feedback is not None:
                done = self._plant.work(file.call, plan.rows, nominal, known, week)
                plan = self._move(week, file, plan, done, failure, self._feedback)
        return self._plant.work(file.call, plan.rows, nominal, failures, week)

    def _move(
        self, week: int, file: PlanFile, plan: Plan, done: Mapping[Key, Done], failure: Failure, feedback: _Feedback
    ) -> Plan:
        """Another plan, if the rules ask for one and it is possible."""
        at_s = _time(week, failure.slot)
        steps = feedback.judge(CauseKind.MACHINE_DOWN, failure.machine, at_s, at_s)
        self._note(steps)
        self._mended.add(failure.machine)
        if Step.REPLAN not in steps:
            return plan
        started = frozenset(key for key, one in done.items() if one.start < failure.slot)
        resting = {row.offer for row in plan.rows if row.key in started}
        offers = [
            one.id for one in file.offers if isinstance(one.entry, Offer) and one.entry.machine == failure.machine
        ]
        accepted = frozenset(row.key for row in plan.rows if row.machine != failure.machine) - started
        cause = MachineCause(CauseKind.MACHINE_DOWN, failure.machine, "", at_s, at_s, record=week + 1).to_cause()
        dropped = frozenset(plan.offers).intersection(offers) - resting
        replan = Replan(cause, max(plan.now, failure.slot), started, accepted, dropped)
        try:
            return self._make(PlanFile(file.call, file.objective, file.machines, file.offers, None, plan), replan)
        except UnplannableError:
            return plan

    def _learn(self, week: int, done: Sequence[Done], feedback: _Feedback) -> None:
        """What the week showed, in its order, and what follows from it before the next one."""
        for one in sorted(done, key=lambda each: (each.end, each.row.machine)):
            machine = one.row.machine
            since_s, at_s = _time(week, one.start), _time(week, one.end)
            good = one.rejects < FAILING
            if feedback.observe(machine, good=good, since_s=since_s, at_s=at_s):
                self._side.count(Step.LIFT)
            for kind in _causes(one, good=good):
                self._act(week, machine, kind, feedback.judge(kind, machine, since_s, at_s), at_s)
        for tool in self._plant.tools:
            own = [one for one in done if one.row.machine == tool.machine.machine]
            if own:
                self._watch(week, tool.machine.machine, own, feedback)

    def _watch(self, week: int, machine: int, own: Sequence[Done], feedback: _Feedback) -> None:
        """Has the detector look at what was measured of a machine in a week."""
        words = self._plant.measure(week, machine, len(own))
        began_s = feedback.watch(machine, _time(week, min(one.start for one in own)), words)
        if began_s is not None:
            at_s = _time(week + 1, 0) - 1
            self._act(week, machine, CauseKind.DRIFT, feedback.judge(CauseKind.DRIFT, machine, began_s, at_s), at_s)

    def _act(self, week: int, machine: int, kind: CauseKind, steps: tuple[Step, ...], at_s: int) -> None:
        self._note(steps)
        if Step.SETPOINT in steps:
            if self._plant.consents(week, machine):
                self._plant.correct(machine)
            elif self._feedback is not None:
                self._side.count("refused")
                self._act(week, machine, kind, self._feedback.pass_over(kind, machine, at_s), at_s)

    def _note(self, steps: tuple[Step, ...]) -> None:
        for step in steps:
            self._side.count(step)


def _causes(one: Done, *, good: bool) -> Iterator[CauseKind]:
    offered, taken = one.row.end - one.row.start, one.end - one.start
    if not good:
        yield CauseKind.CERTIFICATE
    if taken > offered + 1 and taken * 1000 > offered * _TOLERANCE_PER_MILLE:
        yield CauseKind.LATE
    if one.wh * 1000 > one.row.wh * _TOLERANCE_PER_MILLE:
        yield CauseKind.ENERGY


def _offers(file: PlanFile) -> dict[Work, Offer]:
    found = [one.entry for one in file.offers if isinstance(one.entry, Offer)]
    return {(one.machine, one.order, one.operation): one for one in found}


def _reference(seed: int) -> Reference:
    """What machines without drift measure."""
    words = DriftingPlant(seed).measure(0, 1, -(-_REFERENCE_ROWS // 80))[:_REFERENCE_ROWS]
    return build_reference(words, _margins(words))


def _margins(words: NDArray[np.int64]) -> NDArray[np.int64]:
    """How far a part is from being rejected, as a model would say."""
    margins: NDArray[np.int64] = 6000 - words.sum(axis=1)
    return margins


def _time(week: int, slot: int) -> int:
    return CLOSES + week * WEEK_S + slot * SLOT_S
