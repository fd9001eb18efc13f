"""Causes, the steps that were taken because of them, and where each machine stands: their tables, all access,
and how they are shown."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection

from millmark.ledger.errors import NotFoundError
from millmark.ledger.plans.plan import CauseKind
from millmark.ledger.provenance.answers import Printable
from millmark.ledger.store import Rows, schema_of
from millmark.services.planning.feedback.causes import Condition, MachineCause, Outcome, Step


class State:
    """What became of a step."""

    DUE = "due"
    WAITING = "waiting"
    """For the operator, who accepts or refuses."""
    DONE = "done"
    REFUSED = "refused"
    """By a person, or by the model that would have proposed something."""
    SETTLED = "settled"
    """There was nothing left to do."""
    FAILED = "failed"


@dataclass(slots=True)
class CauseRow:
    """A cause."""

    id: bytes
    kind: str
    machine: int
    text: str
    since_s: int
    at_s: int
    record: int
    """0 if an entry shows it."""
    stream: bytes
    leaf: int
    leaf_hash: bytes
    outcome: str
    found_s: int
    number: int
    """In the order in which they were found, from 1."""
    reason: str
    """Why it was refused, or dismissed; empty otherwise."""

    @property
    def cause(self) -> MachineCause:
        place = (
            (self.record, None, None, None) if self.record else (None, self.stream, self.leaf, self.leaf_hash or None)
        )
        return MachineCause(CauseKind(self.kind), self.machine, self.text, self.since_s, self.at_s, *place)


@dataclass(slots=True)
class StepRow:
    """A step because of a cause."""

    cause: bytes
    number: int
    """From 1, in the order in which they are taken."""
    step: str
    state: str
    at_s: int
    stream: bytes
    """Whose entry says that it was taken; empty if there is none."""
    leaf: int
    detail: str
    """A line for people."""
    tries: int


@dataclass(slots=True)
class ConditionRow:
    """Where a machine stands."""

    machine: int
    rung: int
    below: int
    since_s: int
    good: int
    counts: str
    """JSON object: causes that were not enough yet, by kind."""
    cause: bytes
    """That led to the rung; empty if there is none."""
    before: int
    """Rung before that cause."""

    @property
    def condition(self) -> Condition:
        counts = {CauseKind(kind): int(count) for kind, count in json.loads(self.counts).items()}
        return Condition(self.rung, self.below, self.since_s, self.good, counts, self.cause, self.before)


@dataclass(slots=True)
class PositionRow:
    """The last record of the registry, and of the ledger, that was read."""

    id: int
    registry: int
    ledger: int


@dataclass(slots=True)
class InspectionRow:
    """What a model said of what a machine made, as far as it waits to be compared."""

    model: int
    machine: int
    waiting: str
    """JSON list of the sequences of certificates that are in no group yet."""
    before: str = ""
    """JSON list of the sequences of the group before; empty if there is none, or it has led to a change."""
    usual: str = ""
    """JSON of a reference made of the machine's first two groups; `MODELS` if they fit the model's own; empty until
    both were compared."""
    latest: str = ""
    """JSON of a reference made of the two groups of the latest change; empty if there was none."""


MODELS = "model"
"""What is usual at a machine is the reference in the model's card."""

_SCHEMA = schema_of("millmark.services")
_SCHEMA.table("feedback_causes", CauseRow, "id", "number", "machine")
_SCHEMA.table("feedback_steps", StepRow, "cause number", "state")
_SCHEMA.table("feedback_conditions", ConditionRow, "machine")
_SCHEMA.table("feedback_position", PositionRow, "id")
_SCHEMA.table("feedback_inspections", InspectionRow, "model machine")


class FeedbackRepository:
    """Reads and writes in the caller's transaction."""

    def __init__(self, connection: Connection) -> None:
        self._rows = Rows(connection)

    # Causes

    def add_cause(self, cause: MachineCause, outcome: Outcome, found_s: int, reason: str = "") -> CauseRow:
        """Adds one that is not known. Nothing else may add causes in between."""
        row = CauseRow(
            cause.id,
            cause.kind.value,
            cause.machine,
            cause.text,
            cause.since_s,
            cause.at_s,
            cause.record or 0,
            cause.stream or b"",
            cause.leaf or 0,
            cause.leaf_hash or b"",
            outcome.value,
            found_s,
            self._rows.greatest(CauseRow, "number") + 1,
            reason,
        )
        self._rows.insert([row])
        return row

    def cause(self, name: bytes) -> CauseRow | None:
        return self._rows.get(CauseRow, name)

    def causes(self, most: int) -> list[CauseRow]:
        """The latest ones, the latest first."""
        return sorted(self._rows.latest(CauseRow, "number", most), key=lambda row: -row.number)

    def page_of_causes(self, after: bytes | None, most: int) -> list[CauseRow]:
        return self._rows.page(CauseRow, "id", after, most)

    def causes_of(self, machine: int) -> list[CauseRow]:
        """In the order in which they were found."""
        return sorted(self._rows.find(CauseRow, machine=machine), key=lambda row: row.number)

    def latest_of(self, machine: int, most: int) -> list[CauseRow]:
        """The latest ones of a machine, the latest first."""
        return sorted(self._rows.latest(CauseRow, "number", most, machine=machine), key=lambda row: -row.number)

    def caused_at(self, machines: Collection[int]) -> set[int]:
        """Those of the machines at which there was a cause."""
        return self._rows.values(CauseRow, "machine", "machine", machines)

    def put_cause(self, row: CauseRow) -> None:
        self._rows.put(row)

    # Steps

    def add_steps(self, cause: bytes, steps: Sequence[tuple[Step, str, str]], at_s: int) -> list[StepRow]:
        """Adds steps: each with its state and a line for people."""
        first = len(self.steps(cause)) + 1
        made = [
            StepRow(cause, first + place, step.value, state, at_s, b"", 0, detail, 0)
            for place, (step, state, detail) in enumerate(steps)
        ]
        self._rows.insert(made)
        return made

    def steps(self, cause: bytes) -> list[StepRow]:
        return sorted(self._rows.find(StepRow, cause=cause), key=lambda row: row.number)

    def steps_in(self, state: str) -> list[StepRow]:
        return sorted(self._rows.find(StepRow, state=state), key=lambda row: (row.at_s, row.cause, row.number))

    def put_step(self, row: StepRow) -> None:
        self._rows.put(row)

    # Machines

    def condition(self, machine: int) -> Condition:
        row = self._rows.get(ConditionRow, machine)
        return Condition() if row is None else row.condition

    def put_condition(self, machine: int, condition: Condition) -> None:
        counts = json.dumps({kind.value: count for kind, count in sorted(condition.counts.items())})
        fields = condition.rung, condition.below, condition.since_s, condition.good
        self._rows.put(ConditionRow(machine, *fields, counts, condition.cause, condition.before))

    # Records

    def position(self) -> tuple[int, int] | None:
        """The last record of the registry, and of the ledger, that was read; None if none has been read yet."""
        row = self._rows.get(PositionRow, 1)
        return None if row is None else (row.registry, row.ledger)

    def put_position(self, registry: int, ledger: int) -> None:
        self._rows.put(PositionRow(1, registry, ledger))

    # Inspections

    def inspections(self, model: int, machine: int) -> InspectionRow | None:
        return self._rows.get(InspectionRow, model, machine)

    def all_inspections(self) -> list[InspectionRow]:
        return self._rows.find(InspectionRow)

    def put_inspections(self, row: InspectionRow) -> None:
        self._rows.put(row)


# As API, commands and pages show them to the company that knows them


@dataclass(frozen=True, slots=True)
class StepShown(Printable):
    """A step that was taken because of a cause, or that waits."""

    step: str
    """setpoint, derate, withdraw, replan or lift."""
    state: str
    """due, waiting (for the operator), done, refused, settled (nothing was left to do) or failed."""
    at: datetime
    stream: bytes | None
    """Whose entry says it; null as long as there is none."""
    leaf: int | None
    detail: str


@dataclass(frozen=True, slots=True)
class CauseFound(Printable):
    """Something that happened at a machine, and what it led to."""

    cause: bytes
    """What names it."""
    kind: str
    machine: int
    text: str
    began_at: datetime
    """When what was measured began."""
    at: datetime
    """When it became known."""
    record: int | None
    """The record that shows it; null if an entry does."""
    stream: bytes | None
    leaf: int | None
    outcome: str
    """acted, counted (it alone is not enough), earlier (it began before the latest step), exhausted (its kind leads no
    further), elsewhere (another company's machine), refused or dismissed."""
    reason: str
    """Why it was refused or dismissed."""
    rung: int
    """Where the machine stands on the ladder now; 0 if nothing is held against it."""
    efficiency_per_mille: int
    """How fast offers expect it to be, of what its calendar says; 0 if it is not offered."""
    steps: tuple[StepShown, ...]


def show_page(kept: FeedbackRepository, after: bytes | None, most: int) -> list[CauseFound]:
    """Causes in the order of their names, from behind one."""
    return [_show(kept, row) for row in kept.page_of_causes(after, most)]


def show_cause(kept: FeedbackRepository, name: bytes) -> CauseFound:
    """Raises NotFoundError."""
    row = kept.cause(name)
    if row is None:
        raise NotFoundError("no such cause is known here", hint="see `millmark plan causes list`")
    return _show(kept, row)


def _show(kept: FeedbackRepository, row: CauseRow) -> CauseFound:
    condition, cause = kept.condition(row.machine), row.cause
    return CauseFound(
        cause=row.id,
        kind=row.kind,
        machine=row.machine,
        text=row.text,
        began_at=_moment(row.since_s),
        at=_moment(row.at_s),
        record=cause.record,
        stream=cause.stream,
        leaf=cause.leaf,
        outcome=row.outcome,
        reason=row.reason,
        rung=condition.rung,
        efficiency_per_mille=condition.efficiency_per_mille,
        steps=tuple(map(_show_step, kept.steps(row.id))),
    )


def _show_step(row: StepRow) -> StepShown:
    leaf = row.leaf if row.stream else None
    return StepShown(row.step, row.state, _moment(row.at_s), row.stream or None, leaf, row.detail)


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
