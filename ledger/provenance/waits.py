"""What an order waits for, and whom: from the index, for one order or for many at once."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from millmark.ledger.events.orders import EndProposed, RevisionAccepted, RevisionProposed
from millmark.ledger.provenance import answers
from millmark.ledger.provenance.inspections import find_gates
from millmark.ledger.provenance.jsonform import moment
from millmark.ledger.provenance.reader import Reader
from millmark.ledger.records import AssignmentState, LotState, OrderState
from millmark.ledger.store.rows import AssignmentRow, LotRow, OperationRow, OrderRow, RecordRow

__all__ = ["Task", "Wait", "find_proposals", "find_waits"]

_LIVE = (AssignmentState.PROPOSED, AssignmentState.ACCEPTED, AssignmentState.STARTED)
_CLOSED = (OrderState.REJECTED, OrderState.DELIVERED, OrderState.CANCELLED, OrderState.ENDED)
_MADE = (OrderState.ACCEPTED, OrderState.IN_PRODUCTION)
_PROPOSALS = ("RevisionProposed", "RevisionAccepted", "EndProposed")
_MAX_LOTS = 200


class Task(enum.Enum):
    """What somebody has to do next."""

    ANSWER_NOTICE = "answer_notice"
    """Acknowledge a recall notice that reaches lots which the company has."""
    RECOVERY = "recovery"
    """Object to a recovery of the company's keys, if it is not the company's."""
    OPEN_CERTIFICATE = "open_certificate"
    """Open the inference behind a certificate before the deadline."""
    ACCEPT_ORDER = "accept_order"
    AGREE_REVISION = "agree_revision"
    AGREE_END = "agree_end"
    SEND_BACK = "send_back"
    """Return a lot to its maker that the company put in quarantine for that."""
    REWORK = "rework"
    """Rework, scrap or return a lot that is in quarantine."""
    ASSIGN_REWORK = "assign_rework"
    """Give the rework of a lot in quarantine to its holder, or agree that it is scrapped."""
    REASSIGN = "reassign"
    """Give operations that were declined or cancelled to other machines."""
    ASSIGN = "assign"
    """Give operations to machines."""
    ACCEPT_WORK = "accept_work"
    START_WORK = "start_work"
    FINISH_WORK = "finish_work"
    INSPECT = "inspect"
    ACCEPT_CUSTODY = "accept_custody"
    ACCEPT_RETURN = "accept_return"
    COMPLETE_ORDER = "complete_order"
    HAND_OVER = "hand_over"
    """Offer the lots of a completed order to its buyer."""
    CONFIRM_DELIVERY = "confirm_delivery"
    APPROVE_MODEL = "approve_model"


@dataclass(frozen=True, slots=True)
class Wait:
    """Something that an order waits for. What does not apply is None."""

    task: Task
    who: answers.Party
    """Who has to do it."""
    order: bytes
    until: datetime | None
    """When the order is due."""
    since: datetime | None = None
    operations: tuple[int, ...] = ()
    """Indexes of operations."""
    assignment: int | None = None
    machine: answers.Machine | None = None
    lot: bytes | None = None
    proposal: int | None = None
    """Sequence of the record that proposes it."""


@dataclass(slots=True)
class _Batch:
    """What is known of several orders."""

    reader: Reader
    orders: dict[bytes, OrderRow]
    current: dict[bytes, list[AssignmentRow]]
    """The current assignments of each order."""
    finished: set[tuple[bytes, int]]
    """Operations that were finished once."""
    lots: dict[bytes, list[LotRow]]
    proposals: dict[bytes, tuple[Wait, ...]]


def find_waits(reader: Reader, rows: Sequence[OrderRow], *, whole: bool) -> tuple[Wait, ...]:
    """What these orders wait for, in the order of `rows`. With `whole`, also what their makers, inspectors and holders
    have to do; without, only what buyers and coordinators have."""
    batch = _load(reader, rows)
    return tuple(wait for row in rows for wait in _of_order(batch, row, whole))


def find_proposals(reader: Reader, rows: Sequence[OrderRow]) -> dict[bytes, tuple[Wait, ...]]:
    """The latest proposal about each order that has one, with whom it waits for; by order."""
    open_rows = {row.subject: row for row in rows if row.state not in _CLOSED}
    latest: dict[bytes, RecordRow] = {}
    accepted: dict[bytes, list[RecordRow]] = {}
    for kind in _PROPOSALS:
        for record in reader.rows.among(RecordRow, "subject", open_rows, kind=kind, contract="ledger"):
            if kind == "RevisionAccepted":
                accepted.setdefault(record.subject, []).append(record)
            elif record.subject not in latest or record.sequence > latest[record.subject].sequence:
                latest[record.subject] = record
    waits = {
        one: tuple(_awaiting(reader, open_rows[one], record, accepted.get(one, []))) for one, record in latest.items()
    }
    return {subject: found for subject, found in waits.items() if found}


def _awaiting(reader: Reader, row: OrderRow, proposed: RecordRow, accepted: Sequence[RecordRow]) -> Iterator[Wait]:
    """A wait for each side whose agreement is missing; none if the proposal is in force, or is no longer possible."""
    event = proposed.event()
    sides = [row.buyer, row.coordinator]
    if isinstance(event, RevisionProposed):
        task = Task.AGREE_REVISION
        sides.append(event.terms.coordinator)
    elif isinstance(event, EndProposed) and row.state in (OrderState.IN_PRODUCTION, OrderState.COMPLETED):
        task = Task.AGREE_END
    else:
        return
    agreed = {proposed.participant}
    for record in accepted:
        step = record.event()
        if isinstance(step, RevisionAccepted) and step.proposal == proposed.sequence:
            agreed.add(record.participant)
            if not step.awaited:
                return
    # Who is all sides itself, or the last of them, still has to put it in force.
    for side in [one for one in dict.fromkeys(sides) if one not in agreed] or [proposed.participant]:
        yield Wait(
            task,
            reader.party(side),
            row.subject,
            moment(row.due_at),
            moment(proposed.block_time),
            proposal=proposed.sequence,
        )


def _load(reader: Reader, rows: Sequence[OrderRow]) -> _Batch:
    orders = {row.subject: row for row in rows}
    made = [row.subject for row in rows if row.state in _MADE]
    operations = reader.rows.among(OperationRow, "order", made)
    assignments = reader.rows.among(AssignmentRow, "sequence", [one.assignment for one in operations])
    current: dict[bytes, list[AssignmentRow]] = {}
    for one in assignments:
        current.setdefault(one.order, []).append(one)
    lots: dict[bytes, list[LotRow]] = {}
    for lot in reader.rows.among(LotRow, "order", [row.subject for row in rows if row.state not in _CLOSED]):
        if lot.order is not None and lot.state != LotState.SPENT:
            lots.setdefault(lot.order, []).append(lot)
    finished = {(one.order, one.operation) for one in operations if one.finished_once}
    return _Batch(reader, orders, current, finished, lots, find_proposals(reader, rows))


def _of_order(batch: _Batch, row: OrderRow, whole: bool) -> Iterator[Wait]:
    reader, until = batch.reader, moment(row.due_at)
    yield from batch.proposals.get(row.subject, ())
    if row.state == OrderState.PLACED:
        yield Wait(Task.ACCEPT_ORDER, reader.party(row.coordinator), row.subject, until, moment(row.placed_at))
    elif row.state in _MADE:
        yield from _making(batch, row, whole)
    elif row.state == OrderState.COMPLETED:
        yield from _delivering(batch, row, whole)


def _making(batch: _Batch, row: OrderRow, whole: bool) -> Iterator[Wait]:
    reader, until = batch.reader, moment(row.due_at)
    current = batch.current.get(row.subject, [])
    live = [one for one in current if one.state in _LIVE]
    coordinator = reader.party(row.coordinator)
    apart = [lot for lot in batch.lots.get(row.subject, []) if LotState(lot.state).is_quarantined]
    yield from _quarantined(batch, row, apart[:_MAX_LOTS], live, whole)
    busy = {one.operation for one in live}
    missing = [one for one in range(row.operations) if one not in busy and (row.subject, one) not in batch.finished]
    ended = {
        one.operation: one for one in current if one.state in (AssignmentState.DECLINED, AssignmentState.CANCELLED)
    }
    again = tuple(one for one in missing if one in ended)
    if again:
        since = moment(max(ended[one].ended_at for one in again))
        yield Wait(Task.REASSIGN, coordinator, row.subject, until, since, again)
    new = tuple(one for one in missing if one not in ended)
    if new:
        yield Wait(Task.ASSIGN, coordinator, row.subject, until, moment(row.placed_at), new)
    if whole:
        yield from _working(batch, row, live)
        yield from _inspecting(batch, row)
    # What failed has to be made good first, though the contract would let the order be completed.
    if row.state == OrderState.IN_PRODUCTION and not missing and not live and not apart:
        yield Wait(Task.COMPLETE_ORDER, coordinator, row.subject, until)


def _quarantined(
    batch: _Batch, row: OrderRow, apart: Sequence[LotRow], live: Sequence[AssignmentRow], whole: bool
) -> Iterator[Wait]:
    """What a lot in quarantine waits for that its holder can rework under an assignment, or not before it has one."""
    reader, until = batch.reader, moment(row.due_at)
    for lot in apart:
        may = any(one.owner == lot.custodian for one in live)
        if may and whole:
            yield Wait(Task.REWORK, reader.party(lot.custodian), row.subject, until, lot=lot.subject)
        elif not may:
            yield Wait(Task.ASSIGN_REWORK, reader.party(row.coordinator), row.subject, until, lot=lot.subject)


_WORK = {
    AssignmentState.PROPOSED: (Task.ACCEPT_WORK, "proposed_at"),
    AssignmentState.ACCEPTED: (Task.START_WORK, "accepted_at"),
    AssignmentState.STARTED: (Task.FINISH_WORK, "started_at"),
}


def _working(batch: _Batch, row: OrderRow, live: Sequence[AssignmentRow]) -> Iterator[Wait]:
    for one in sorted(live, key=lambda one: one.operation):
        yield build_work(batch.reader, one, row.due_at)


def build_work(reader: Reader, one: AssignmentRow, due_at: int) -> Wait:
    """What the owner of the machine has to do about a live assignment."""
    task, since = _WORK[AssignmentState(one.state)]
    return Wait(
        task,
        reader.party(one.owner),
        one.order,
        moment(due_at),
        moment(getattr(one, since)),
        (one.operation,),
        assignment=one.sequence,
        machine=reader.machine(one.machine),
    )


def _inspecting(batch: _Batch, row: OrderRow) -> Iterator[Wait]:
    """Gates of lots that the last operation made; of lots in quarantine, nothing before they were reworked."""
    reader = batch.reader
    if not row.gates:
        return
    last = [one for one in batch.current.get(row.subject, []) if one.operation == row.operations - 1]
    made = {one.sequence for one in last}
    lots = [one for one in batch.lots.get(row.subject, []) if one.assignment in made or not one.assignment]
    free = [one for one in lots if not LotState(one.state).is_quarantined and one.custodian != row.buyer]
    reader.load(one.subject for one in free)
    reader.name([row.subject])
    for lot in free[:_MAX_LOTS]:
        for gate in find_gates(reader, lot, row):
            yield Wait(Task.INSPECT, gate.inspector, row.subject, gate.due_at, gate.since, lot=lot.subject)


def _delivering(batch: _Batch, row: OrderRow, whole: bool) -> Iterator[Wait]:
    """The buyer confirms once it holds what was ordered. Until then, that has to be handed over."""
    reader, until = batch.reader, moment(row.due_at)
    lots = [one for one in batch.lots.get(row.subject, []) if one.parent is None]
    held = [one for one in lots if one.custodian == row.buyer and one.state == LotState.HELD]
    away = [one for one in lots if one.custodian != row.buyer]
    delivered = sum(one.quantity for one in held if one.unit == row.unit)
    if delivered >= row.quantity if row.quantity else held or not away:
        yield Wait(Task.CONFIRM_DELIVERY, reader.party(row.buyer), row.subject, until)
    elif not away:
        yield Wait(Task.HAND_OVER, reader.party(row.coordinator), row.subject, until)
    elif whole:
        inspected = list(_inspecting(batch, row))
        yield from inspected
        kept = {one.lot for one in inspected}
        # Of an order with a quantity, only what counts for that; nothing that a gate keeps from the buyer.
        fit = [one for one in away if one.subject not in kept and (not row.quantity or one.unit == row.unit)]
        for lot in fit[:_MAX_LOTS]:
            offered = lot.state == LotState.OFFERED
            task = Task.ACCEPT_CUSTODY if offered else Task.HAND_OVER
            who = lot.counterparty if offered else lot.custodian
            yield Wait(task, reader.party(who), row.subject, until, lot=lot.subject)
