"""A plant whose machines drift, for `scripts/bench loop`: what a plan's rows really take, cost and spoil.

Nine machines of three companies, as in `scripts/bench planning`. Each has an *offset*, which other settings remove,
and *wear*, which an overhaul removes; both grow from week to week by drawn amounts. A machine that has drifted rejects
more parts, works more slowly and is more likely to fail; its energy grows with the time that it takes. Of what is
measured on it, three words show the two and noise. All of it is drawn from the seed by week, machine, order and part,
never by what happened before: with and without feedback, the same fate meets the plant.

Amounts are integers, in the unit of the plan. Invented: every figure here. The plant says how feedback works where
machines drift like this, and nothing about any real one.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from millmark.ledger.plans.call import Call
from millmark.ledger.plans.plan import Key, Row
from tests.support.plan_instances import TRANSPORT_COST, TRANSPORT_SLOTS, Tool, draw_tools, tariff_at

Work = tuple[int, bytes, int]
"""Machine, order and operation."""

PARTS = 20
"""Parts of one operation."""
WINDOWS = 80
"""Windows measured in one operation."""
_OFFSET_STEP, _WEAR_STEP, _SHOCK = 14, 9, 240
"""Largest weekly growth of both, and what a shock adds to the offset."""
_SHOCK_PER_MILLE = 25
"""How often in a thousand machine weeks there is a shock."""
_REJECT_PER_MILLE = 20
"""Share of parts that is rejected whatever the state."""
_FAIL_PER_MILLE = 4
DOWN_SLOTS = 32
"""How long an overhaul takes, and how long a machine is down that failed."""
_REJECT_COST = 40
"""Material of a part, and what was put into it before."""
OVERHAUL_COST = 900
_OVERHAUL_WEEKS = 26
"""Machines are overhauled that often, whatever their state."""
_CENTRE, _SPREAD = 2000, 120
"""Mean and deviation of the words measured, in a machine without drift."""


@dataclass(slots=True)
class Drift:
    """How far a machine is off, in thousandths of what it takes to spoil everything."""

    offset: int = 0
    wear: int = 0

    @property
    def reject_per_mille(self) -> int:
        return min(600, _REJECT_PER_MILLE + (self.offset + self.wear) // 2)

    @property
    def pace_per_mille(self) -> int:
        """How long the machine takes, of what it takes without drift."""
        return 1000 + (self.offset + 2 * self.wear) // 3

    @property
    def fail_per_mille(self) -> int:
        return _FAIL_PER_MILLE + self.wear // 6

    def reset(self) -> None:
        self.offset = self.wear = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """A machine is down from a slot on."""

    machine: int
    slot: int
    until: int


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a row."""

    row: Row
    start: int
    end: int
    slots: int
    """How long its machine took for it, without what was made again."""
    rejects: int
    wh: int
    cost: int


@dataclass(slots=True)
class Week:
    """What a week came to."""

    cost: int = 0
    rejects: int = 0
    late_slots: int = 0
    done: list[Done] = field(default_factory=list)


@dataclass(slots=True)
class DriftingPlant:
    """The machines in their present state. `seed` decides their fate."""

    seed: int
    tools: tuple[Tool, ...] = ()
    drifts: dict[int, Drift] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tools = tuple(draw_tools(self._draw("tools")))
        self.drifts = {tool.machine.machine: Drift() for tool in self.tools}

    def pass_week(self, week: int) -> set[int]:
        """Lets the machines drift, and overhauls those whose turn it is. Returns these."""
        overhauled = set()
        for place, (machine, drift) in enumerate(self.drifts.items()):
            draw = self._draw(f"drift {week} {machine}")
            drift.offset += draw.randint(0, _OFFSET_STEP)
            drift.wear += draw.randint(0, _WEAR_STEP)
            if draw.randrange(1000) < _SHOCK_PER_MILLE:
                drift.offset += _SHOCK
            if (week + place * _OVERHAUL_WEEKS // len(self.drifts)) % _OVERHAUL_WEEKS == _OVERHAUL_WEEKS - 1:
                self.overhaul(machine)
                overhauled.add(machine)
        return overhauled

    def overhaul(self, machine: int) -> None:
        self.drifts[machine].reset()

    def correct(self, machine: int) -> None:
        """Other settings, which do nothing against wear, and are a tenth off."""
        self.drifts[machine].offset //= 10

    def find_failures(self, week: int, slots: int) -> list[Failure]:
        """The machines that fail in a week, by the slot in which they do."""
        found = []
        for machine, drift in self.drifts.items():
            draw = self._draw(f"failure {week} {machine}")
            if draw.randrange(1000) < drift.fail_per_mille:
                slot = draw.randint(4, slots // 3)
                found.append(Failure(machine, slot, slot + DOWN_SLOTS))
        return sorted(found, key=lambda one: (one.slot, one.machine))

    def measure(self, week: int, machine: int, operations: int) -> NDArray[np.int64]:
        """The words of all windows (n, 3) that a machine's operations of a week are measured by: what the offset moves,
        what wear moves, and noise."""
        drift = self.drifts[machine]
        source = np.random.default_rng([self.seed, week, machine])
        words = source.normal(_CENTRE, _SPREAD, (operations * WINDOWS, 3))
        words[:, 0] += drift.offset
        words[:, 1] += drift.wear
        return np.rint(words).astype(np.int64)

    def consents(self, week: int, machine: int) -> bool:
        """Whether the operator takes the settings that are proposed."""
        return self._draw(f"consent {week} {machine}").randrange(100) < 85

    def work(
        self, call: Call, rows: Sequence[Row], nominal: Mapping[Work, int], down: Sequence[Failure], week: int
    ) -> dict[Key, Done]:
        """Works rows off in the order of the plan, each as soon as its machine and its order are there. `nominal` has
        the slots that a machine without drift takes for an operation."""
        free, ready = dict.fromkeys(self.drifts, 0), {job.order: job.release for job in call.jobs}
        places: dict[bytes, int] = {}
        done: dict[Key, Done] = {}
        for row in sorted(rows, key=lambda one: (one.start, one.operation)):
            moved = row.owner != places.get(row.order, row.owner)
            arrives = ready[row.order] + TRANSPORT_SLOTS * moved
            start = max(free[row.machine], arrives)
            one = self._work(row, start, nominal[row.machine, *row.key], down, week)
            free[row.machine] = ready[row.order] = one.end
            places[row.order] = row.owner
            done[row.key] = one
        return done

    def _work(self, row: Row, start: int, nominal: int, down: Sequence[Failure], week: int) -> Done:
        tool, drift = self._tool(row.machine), self.drifts[row.machine]
        slots = (nominal * drift.pace_per_mille + 500) // 1000
        draw = self._draw(f"parts {week} {row.order.hex()} {row.operation}")
        rejects = sum(draw.randrange(1000) < drift.reject_per_mille for _ in range(PARTS))
        # What is rejected is made again at once.
        whole = slots + (slots * rejects + PARTS // 2) // PARTS
        for failure in down:
            if failure.machine == row.machine and start < failure.until and start + whole > failure.slot:
                start = failure.until
        cost = whole * tool.rate + tool.kwh * tariff_at(start, whole) + _REJECT_COST * rejects
        return Done(row, start, start + whole, slots, rejects, whole * tool.kwh * 1000, cost)

    def _tool(self, machine: int) -> Tool:
        return next(one for one in self.tools if one.machine.machine == machine)

    def _draw(self, name: str) -> random.Random:
        return random.Random(f"millmark loop {self.seed} {name}")  # noqa: S311 - a simulation, not a secret


def sum_week(call: Call, done: Mapping[Key, Done], tardiness: Mapping[bytes, int]) -> Week:
    """What a week's work comes to: that of the machines, the ways between them, and lateness."""
    week = Week(done=list(done.values()))
    due = {job.order: job.due for job in call.jobs}
    ends: dict[bytes, int] = {}
    places: dict[bytes, int] = {}
    for one in sorted(done.values(), key=lambda found: found.row.key):
        order, owner = one.row.order, one.row.owner
        week.cost += one.cost + TRANSPORT_COST * (places.get(order, owner) != owner)
        week.rejects += one.rejects
        places[order] = owner
        ends[order] = one.end
    for order, end in ends.items():
        late = max(end - due[order], 0)
        week.late_slots += late
        week.cost += late * tardiness.get(order, 0)
    return week
