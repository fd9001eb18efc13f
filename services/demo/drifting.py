"""A machine drifts in the demo: an alarm is a cause on the ledger, settings are proposed, and its operator takes them.

Rules and records are the product's. Which windows are measured of the parts is the demo's choice: those with the
symptom are of what the machine made while it drifted.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from millmark.ledger.plans.plan import CauseKind
from millmark.ledger.products import Step
from millmark.ledger.records import Record, Verdict
from millmark.ledger.store import Connection
from millmark.ledger.store.repository import Feed
from millmark.quality.drift import Drift, Reference, build_reference, watch
from millmark.quality.process import (
    Bound,
    MachineState,
    Prices,
    ProcessModel,
    Proposal,
    Refusal,
    parse_process_model,
    propose_setpoint,
)
from millmark.quality.process import Step as Horizon
from millmark.quality.process.telemetry import COLUMNS
from millmark.quality.process.telemetry import Machine as SimulatedMachine
from millmark.services.demo.planning import Planning, until
from millmark.services.demo.plant import Machine
from millmark.services.demo.production import Job
from millmark.services.planning.feedback.causes import LADDER, MachineCause
from millmark.services.planning.feedback.repository import FeedbackRepository
from millmark.services.planning.feedback.taking import Answer, Proposed, Unproposed
from millmark.services.planning.feedback.watching import Watcher
from millmark.services.planning.reading import PlanningTables, writing

_COOLING = 8.0
"""Degrees by which something takes heat away when the machine drifts."""
_LEAST_JOBS = 8
"""With fewer orders, everything goes well."""
_SPOILED_PER = 6
"""One of so many parts is made while the machine drifts."""


@dataclass(slots=True)
class Drifting:
    """The machine that drifts during the last step, and what its owner does about it."""

    planning: Planning
    machine: Machine
    process: Process
    proposer: OperatorProposer
    spoiled: list[Job] = field(default_factory=list)
    """What it made while it drifted."""
    _records: list[Record] = field(default_factory=list)

    def after(self, step: Step, jobs: Sequence[Job]) -> int | None:
        """After how many of a step's jobs, in their order, the drift is noticed; None if it is another step."""
        line = self.planning.line
        if step != line.plant.product.route[-1]:
            return None
        places = [at for at, job in enumerate(jobs) if line.rows[job.key(step)].machine == self.machine.number]
        spoiled = places[: max(1, len(jobs) // _SPOILED_PER)]
        self.spoiled = [jobs[place] for place in spoiled]
        return spoiled[-1] + 1 if spoiled else None

    def happen(self, step: Step) -> None:
        """The alarm, and what follows from it."""
        self.planning.line.consortium.settle()
        rows, found = self.process.measure(_COOLING)
        cause = self._record_alarm(rows, found)
        with writing(self.machine.owner.store) as tables:
            self._watcher(tables).report(cause)
        self._send()
        self.proposer.accept(self._now_s())
        self.look()
        _, after = self.process.measure(_COOLING)
        self.planning.line.events.append(
            f"{self.machine.name} of {self.machine.owner.name} drifted during {step.name}: index "
            f"{max(found.latest.values()):.1f}, cause 0x{cause.id.hex()[:10]}, entry {cause.leaf} of its stream; "
            f"proposed {self.proposer.text}, {'accepted' if self.proposer.said else 'not accepted'} by its operator; "
            f"index {max(after.latest.values()):.2f} and {'an' if after.alarms else 'no'} alarm since"
        )

    def look(self) -> None:
        """The owner's feedback looks at all that is recorded by now."""
        owner = self.machine.owner
        self.planning.line.consortium.settle()
        until(self.planning.line, owner, self._knows_all)
        looking = True
        while looking:
            with writing(owner.store) as tables:
                looking = self._watcher(tables).look() > 0
        self._send()

    def finish(self) -> None:
        """What the verdicts on the ledger have led to in the end."""
        self.look()
        with self.machine.owner.store.reading() as connection:
            kept = FeedbackRepository(connection)
            condition, causes = kept.condition(self.machine.number), kept.causes_of(self.machine.number)
        failed = [job for job in self.spoiled if job.reworked or job.verdict is Verdict.FAIL]
        outcomes = Counter(row.outcome for row in causes if row.kind == CauseKind.CERTIFICATE)
        told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
        stands = (
            f"it stands on rung {condition.rung} of {len(LADDER)}" if condition.rung else "nothing is held against it"
        )
        self.planning.line.events.append(
            f"{len(failed)} of {len(self.spoiled)} parts that {self.machine.name} made before failed (certificates as "
            f"causes: {told}); by the verdicts on those that it made since, {stands}"
        )

    def _record_alarm(self, rows: Sequence[Sequence[int]], found: Drift) -> MachineCause:
        """The owner's node writes what was measured and the alarm into the machine's stream, and anchors it."""
        machine, words = self.machine, [value for row in rows for value in row]
        measured: dict[str, int | str | list[int]] = {
            "columns": " ".join(self.process.columns),
            "rows": len(rows),
            "values": words,
        }
        machine.note("process state", measured)
        index = {name: round(1000 * value) for name, value in sorted(found.latest.items())}
        alarm = machine.note("drift alarm", {"alarms": ", ".join(found.alarms), "psi_per_mille": list(index.values())})
        self.planning.line.consortium.queue(machine.owner, [machine.anchor()])
        # The block of the anchor is later than that in which the last of the work before began.
        self.planning.line.consortium.settle()
        now_s = self._now_s()
        place = None, machine.stream, alarm.index, alarm.leaf_hash
        return MachineCause(CauseKind.DRIFT, machine.number, ", ".join(found.alarms), now_s, now_s, *place)

    def _watcher(self, tables: PlanningTables) -> Watcher:
        return Watcher(tables, self.machine.owner.number, self._queue, self.proposer, self._now_s())

    def _queue(self, _connection: Connection, _key: str, record: Record) -> None:
        self._records.append(record)

    def _send(self) -> None:
        """Queues the records that feedback wrote, once its transaction is over."""
        records, self._records = self._records, []
        if records:
            self.planning.line.consortium.queue(self.machine.owner, records)

    def _now_s(self) -> int:
        return max(int(time.time()), self.planning.line.consortium.chain.node.header().timestamp)

    def _knows_all(self, connection: Connection) -> bool:
        chain = self.planning.line.consortium.chain
        return Feed(connection).final_number() >= chain.node.header().number - chain.profile.finality_depth


def watch_machine(planning: Planning) -> Drifting | None:
    """Starts watching the machine that does most of the last step; None if there are too few orders."""
    line = planning.line
    last = line.plant.product.route[-1]
    if len(line.jobs) < _LEAST_JOBS:
        return None
    rows = Counter(line.rows[job.key(last)].machine for job in line.jobs if job.number(last) >= 0)
    number = max(rows, key=lambda one: (rows[one], -one))
    machine = next(one for one in line.plant.machines if one.number == number)
    process = Process()
    found = Drifting(planning, machine, process, OperatorProposer(process, f"the operator of {machine.name}"))
    found.look()
    return found


_REFERENCE_ROWS, _WATCHED_ROWS, _READ_ROWS = 700, 400, 60
_SEED = 1
_ARRIVALS, _BACKLOG = 7.8, 190.0
_SET = (208.0, 80.0, 33.0)
"""Temperature, pressure and speed as they are set."""
_SETPOINT, _MEASURED = "temperature_set", "temperature"
_LOWEST, _HIGHEST, _RATE = 195, 225, 8
"""Where the temperature may be set, and how far at once, in degrees."""
_PRICES = Prices(rate_per_hour=5400, price_per_kwh=31, price_per_unit=60)
Words = NDArray[np.int64]


@cache
def _model() -> ProcessModel:
    return parse_process_model((resources.files("millmark.quality") / "models" / "moulder.bin").read_bytes())


@dataclass(slots=True)
class Process:
    """What a machine does, a row a minute, and what is measured of it, in the integers of the model's columns."""

    machine: SimulatedMachine = field(default_factory=lambda: SimulatedMachine(backlog=_BACKLOG))
    settings: NDArray[np.float64] = field(default_factory=lambda: np.array(_SET))
    rows: list[list[int]] = field(default_factory=list)
    reference: Reference = field(init=False)
    """Reference from the first rows, when it does not drift."""
    _draw: np.random.Generator = field(default_factory=lambda: np.random.default_rng(_SEED))

    def __post_init__(self) -> None:
        self.reference = build_reference(*_watched(self._run(_REFERENCE_ROWS, 0.0)))

    @property
    def columns(self) -> list[str]:
        return [column.name for column in _model().columns]

    def measure(self, cooling: float) -> tuple[list[list[int]], Drift]:
        """Works on, and compares what is measured with the reference. `cooling`: degrees by which something takes heat
        away."""
        rows = self._run(_WATCHED_ROWS, cooling)
        return rows, watch(self.reference, *_watched(rows))

    def state(self) -> MachineState:
        backlog = _model().columns[-1]
        return MachineState(self.rows[-_READ_ROWS:], round(_ARRIVALS * 10**backlog.decimals))

    def take(self, proposal: Proposal) -> None:
        """Sets what was proposed."""
        place = COLUMNS.index(_SETPOINT) - COLUMNS.index("energy") - 1
        self.settings[place] = proposal.setpoints[_SETPOINT] / 10 ** proposal.decimals[_SETPOINT]

    def _run(self, count: int, cooling: float) -> list[list[int]]:
        made = []
        for _ in range(count):
            row = self.machine.step(self.settings, _ARRIVALS, self._draw, cooling)
            values = dict(zip(COLUMNS, row.values, strict=True))
            made.append([round(values[one.name] * 10**one.decimals) for one in _model().columns])
        self.rows += made
        return made


@dataclass(slots=True)
class OperatorProposer:
    """Where settings are proposed to the machine's operator, who takes them."""

    process: Process
    operator: str
    proposal: Proposal | None = None
    said: Answer | None = None

    def search(self, _causes: Sequence[MachineCause], _now_s: int) -> None:
        """Does nothing: `propose` searches. Only the gateway has to search outside the transaction."""

    def propose(self, _tables: PlanningTables, _cause: MachineCause, _now_s: int) -> Proposed | Unproposed:
        """Settings by the process model."""
        found = self._search()
        if not isinstance(found, Proposal):
            return Unproposed(found.cause)
        self.proposal = found
        return Proposed(self.text)

    def answer(self, _tables: PlanningTables, _cause: bytes, _now_s: int) -> Answer | None:
        return self.said

    @property
    def text(self) -> str:
        """What is proposed."""
        if self.proposal is None:
            return "no settings"
        one = 10 ** self.proposal.decimals[_SETPOINT]
        before, after = (values[_SETPOINT] / one for values in (self.proposal.present, self.proposal.setpoints))
        return f"{after:.1f} °C in place of {before:.1f} °C"

    def accept(self, now_s: int) -> None:
        """Has the operator take what was proposed."""
        if self.proposal is not None:
            self.process.take(self.proposal)
            self.said = Answer(True, now_s, self.operator)

    def _search(self) -> Proposal | Refusal:
        column = next(one for one in _model().columns if one.name == _SETPOINT)
        one = 10**column.decimals
        bounds = {_SETPOINT: Bound(_LOWEST * one, _HIGHEST * one, _RATE * one)}
        return propose_setpoint(_model(), self.process.state(), bounds, {}, _PRICES, Horizon(3, 6))


def _watched(rows: Sequence[Sequence[int]]) -> tuple[Words, Words]:
    """Words (n, k) and margins (n,) for the detector: the predicted columns, and how far the temperature is from its
    lowest setting."""
    words, model = np.array(rows, dtype=np.int64), _model()
    column = next(one for one in model.columns if one.name == _MEASURED)
    lowest = _LOWEST * 10**column.decimals
    return words[:, : model.predicted], words[:, model.columns.index(column)] - lowest
