"""Causes and what they led to, as API, commands and pages show them to the company that knows them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from millmark.ledger.errors import NotFoundError
from millmark.ledger.provenance.answers import Printable
from millmark.services.planning.feedback.repository import CauseRow, FeedbackRepository, StepRow


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
