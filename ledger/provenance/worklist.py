"""What waits for one company: everything that it, and nobody else, has to do next, the most urgent first.

Each query reads an index, and a bounded number of rows. `truncated` says that there may be more beyond a bound. Mostly
that moves up as the rest is done; not so a recall notice that is older than those looked at (case_search).
"""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from millmark.ledger.events.orders import EndProposed, RevisionAccepted, RevisionProposed
from millmark.ledger.ids import SubjectKind
from millmark.ledger.provenance import answers
from millmark.ledger.provenance.answers import moment
from millmark.ledger.provenance.cases import find_cases, find_last, find_quarantines, find_words, goes_back, text_of
from millmark.ledger.provenance.reader import Reader, unit
from millmark.ledger.provenance.traces import build_lot, build_waivers
from millmark.ledger.records import (
    AssignmentState,
    CertificateState,
    CertificateStatus,
    Contract,
    Gate,
    LotState,
    ModelState,
    OrderState,
    Role,
)
from millmark.ledger.store.rows import (
    AssignmentRow,
    CertificateRow,
    CustodyChangeRow,
    LotRow,
    ModelRow,
    OperationRow,
    OrderRow,
    ParticipantRow,
    RecordRow,
    RecoveryRow,
    StandingRow,
    gates_of,
)

# What waits for inspectors: lots without a verdict that counts at a gate of their order, and demanded openings.

_LIVE_ORDERS = (OrderState.ACCEPTED, OrderState.IN_PRODUCTION, OrderState.COMPLETED)
_MAX_ORDERS = 1_000
"""Orders of each state that are looked at."""


@dataclass(frozen=True, slots=True)
class WaitingGate:
    """A lot that custody of cannot pass to the buyer, because one gate of its order has no verdict that counts."""

    lot: answers.Lot
    order: bytes
    order_identifier: str | None
    buyer: answers.Party
    inspector: answers.Party
    model: int | None
    """None if the gate is by a procedure."""
    since: datetime | None
    """When the lot was made or, if it was reworked since, reworked."""
    due_at: datetime | None
    earlier: CertificateStatus
    """The status of the inspector's latest certificate, which does not count any more; `NONE` if there is none."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Lots that wait, those that are due first in front."""

    items: tuple[WaitingGate, ...]
    truncated: bool
    """Whether there are more, or orders were left out."""


@dataclass(frozen=True, slots=True)
class Demand:
    """A certificate whose inference must be opened."""

    certificate: answers.Certificate
    overdue: bool
    """Whether the deadline has passed, so that the certificate does not count."""


def find_waiting(reader: Reader, most: int) -> Waiting:
    """The lots that are visible to the reader's participant, unspent and not with the buyer, made by the order's last
    operation or by none, at gates where no certificate counts and the buyer waived nothing."""
    orders = {row.subject: row for row in _live_orders(reader)}
    rows = [row for row in _lots(reader, orders) if row.state != LotState.SPENT]
    seen = reader.visible(SubjectKind.LOT, [row.subject for row in rows])
    rows = [row for row in rows if row.subject in seen]
    reader.load(row.subject for row in rows)
    reader.name(orders)
    rows = [row for row in rows if row.order and reader.holder(row.subject) != orders[row.order].buyer]
    rows.sort(key=lambda row: (orders[row.order or b""].due_at or 2**63, row.number))
    found: list[WaitingGate] = []
    for row in rows:
        found += find_gates(reader, row, orders[row.order or b""])
        if len(found) > most:
            break
    return Waiting(tuple(found[:most]), len(found) > most or len(orders) >= _MAX_ORDERS)


def find_demands(reader: Reader, most: int) -> tuple[Demand, ...]:
    """Certificates on visible lots whose opening is demanded and has not happened, the earliest deadline first."""
    rows = _visible(reader, reader.rows.find(CertificateRow, state=int(CertificateState.DEMANDED)))
    rows.sort(key=lambda row: (row.opening_deadline, row.sequence))
    now = reader.cursor.block_time
    built = {one.certificate: one for one in reader.certificates(rows[:most])}
    return tuple(Demand(built[row.sequence], row.opening_deadline <= now) for row in rows[:most])


def find_challenged(reader: Reader, most: int) -> tuple[answers.Certificate, ...]:
    """Certificates on visible lots whose inference was opened, upheld or refuted, the latest first."""
    decided = (int(CertificateState.UPHELD), int(CertificateState.REFUTED))
    rows = _visible(reader, reader.rows.among(CertificateRow, "state", decided))
    rows.sort(key=lambda row: (row.opened_at, row.sequence), reverse=True)
    return reader.certificates(rows[:most])[::-1]


def _live_orders(reader: Reader) -> list[OrderRow]:
    rows = [
        row for state in _LIVE_ORDERS for row in reader.rows.latest(OrderRow, "sequence", _MAX_ORDERS, state=int(state))
    ]
    seen = reader.visible(SubjectKind.ORDER, [row.subject for row in rows if row.gates])
    return [row for row in rows if row.subject in seen]


def _lots(reader: Reader, orders: dict[bytes, OrderRow]) -> list[LotRow]:
    """Lots of the orders that are finished: made in the order's last operation, or in none that the ledger knows."""
    rows = reader.rows.among(LotRow, "order", orders)
    made = {row.assignment for row in rows if row.assignment}
    operations = {row.sequence: row.operation for row in reader.rows.among(AssignmentRow, "sequence", made)}
    return [
        row
        for row in rows
        if row.order
        and operations.get(row.assignment, orders[row.order].operations) >= orders[row.order].operations - 1
    ]


def find_gates(reader: Reader, lot: LotRow, order: OrderRow) -> Iterator[WaitingGate]:
    """The gates of its order that keep a lot from the buyer. The reader has loaded the lot, and named the order."""
    standings = {row.inspector: row for row in reader.rows.find(StandingRow, lot=lot.subject)}
    waived = {one.inspector.participant for one in build_waivers(reader, lot.subject) if one.holds}
    for gate in gates_of(order):
        standing = standings.get(gate.inspector)
        latest = None if standing is None else reader.rows.get(CertificateRow, standing.latest)
        status = CertificateStatus.NONE if latest is None else reader.status(latest, lot)
        # A failing verdict from before a rework says nothing of what the lot is now.
        outdated = latest is not None and latest.sequence < lot.reworked
        if gate.inspector not in waived and (outdated or status is not CertificateStatus.VALID):
            yield _waiting(reader, lot, order, gate, CertificateStatus.VOIDED if outdated else status)


def _waiting(reader: Reader, lot: LotRow, order: OrderRow, gate: Gate, status: CertificateStatus) -> WaitingGate:
    reworked = reader.rows.get(RecordRow, Contract.LEDGER.value, lot.reworked) if lot.reworked else None
    return WaitingGate(
        lot=build_lot(reader, lot),
        order=order.subject,
        order_identifier=reader.identifier(order.subject),
        buyer=reader.party(order.buyer),
        inspector=reader.party(gate.inspector),
        model=gate.model or None,
        since=moment(lot.created_at if reworked is None else reworked.block_time),
        due_at=moment(order.due_at),
        earlier=status,
    )


def _visible(reader: Reader, rows: Collection[CertificateRow]) -> list[CertificateRow]:
    seen = reader.visible(SubjectKind.LOT, {row.lot for row in rows})
    return [row for row in rows if row.lot in seen]


# What an order waits for, and whom: from the index, for one order or for many at once.

_LIVE = (AssignmentState.PROPOSED, AssignmentState.ACCEPTED, AssignmentState.STARTED)
_CLOSED = (OrderState.DELIVERED, OrderState.CANCELLED, OrderState.ENDED)
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
        for one in sorted(live, key=lambda one: one.operation):
            yield build_work(reader, one, row.due_at)
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


R = TypeVar("R")
_MOST = 200
"""Rows of each kind that are looked at."""
_MOST_BROAD = 2_000
"""Rows that are looked at where the index cannot tell which of them concern the company."""
_OPEN = (OrderState.PLACED, OrderState.ACCEPTED, OrderState.IN_PRODUCTION, OrderState.COMPLETED)
_UNFINISHED = (AssignmentState.STARTED, AssignmentState.ACCEPTED, AssignmentState.PROPOSED)
_NEVER = datetime.max.replace(tzinfo=UTC)
_AT_ONCE = datetime.min.replace(tzinfo=UTC)
_MOST_CASES = 20
"""Cases that are listed, the latest."""


@dataclass(frozen=True, slots=True)
class Todo:
    """One thing to do. What does not apply is None; a thing without an identifier has its subject alone."""

    task: Task
    until: datetime | None
    since: datetime | None
    overdue: bool
    order: bytes | None = None
    order_identifier: str | None = None
    lot: bytes | None = None
    lot_identifier: str | None = None
    quantity: int | None = None
    unit: str = ""
    operations: tuple[int, ...] = ()
    """Indexes of operations."""
    assignment: int | None = None
    machine: answers.Machine | None = None
    certificate: int | None = None
    model: int | None = None
    proposal: int | None = None
    case: int | None = None
    who: answers.Party | None = None
    """The other company: who asks for it, or holds it."""
    record: int | None = None
    """The record that asks for it, if words may have come with that."""
    says: str | None = None
    """What was written beside it."""
    again: bool = False
    """Whether it was done before, and came to nothing: a return that the maker declined, or that was withdrawn."""
    named: tuple[answers.RelatedLot, ...] = ()
    """The lots that a recall notice names, as far as they are visible."""
    reached: tuple[answers.RelatedLot, ...] = ()
    """The lots that the company has and that a recall notice reaches."""
    inside: tuple[tuple[bytes, str | None], ...] = ()
    """What is packed in the lot: subjects, with identifiers where these are known."""


@dataclass(frozen=True, slots=True)
class WorkList:
    """A page of what there is to do."""

    items: tuple[Todo, ...]
    count: int
    """Number of all that was found, on all pages."""
    truncated: bool
    """Whether there may be more than was looked at."""


def find_work(reader: Reader, company: int, first: int, most: int) -> WorkList:
    """`most` things that `company` has to do, from the place `first` on. The reader is the company's own, or sees no
    more than the company may."""
    found = _Finder(reader, company)
    todos = sorted(found.all(), key=lambda one: (_deadline(one), _PLACES[one.task], one.since or _NEVER))
    shown = _named(reader, todos[first : first + most])
    return WorkList(shown, len(todos), found.truncated)


def _deadline(todo: Todo) -> datetime:
    """Who has something that was called back has to know it before anything else."""
    return _AT_ONCE if todo.task is Task.ANSWER_NOTICE else todo.until or _NEVER


_PLACES = {task: place for place, task in enumerate(Task)}


class _Finder:
    def __init__(self, reader: Reader, company: int) -> None:
        self._reader, self._company, self.truncated = reader, company, False
        self._now = reader.cursor.block_time
        row = reader.rows.get(ParticipantRow, company)
        self._roles = Role(0 if row is None else row.roles)

    def all(self) -> Iterator[Todo]:
        yield from self._orders()
        yield from self._assignments()
        yield from self._lots()
        yield from self._returns()
        yield from self._certificates()
        yield from self._registry()
        yield from self._cases()

    def _bounded(self, rows: list[R], most: int | None = None) -> list[R]:
        self.truncated |= len(rows) >= (_MOST if most is None else most)
        return rows

    def _orders(self) -> Iterator[Todo]:
        rows: dict[bytes, OrderRow] = {}
        for side in ("buyer", "coordinator"):
            for state in _OPEN:
                sided: dict[str, Any] = {side: self._company, "state": int(state)}
                found = self._reader.rows.page(OrderRow, "sequence", None, _MOST, **sided)
                rows |= {row.subject: row for row in self._bounded(found)}
        for wait in find_waits(self._reader, list(rows.values()), whole=False):
            if wait.who.participant == self._company:
                yield self._of_wait(wait, self._other(wait, rows[wait.order]))

    def _other(self, wait: Wait, row: OrderRow) -> answers.Party | None:
        """Who else is concerned: the holder of what failed, or the order's other side."""
        if wait.lot is not None:
            return self._reader.party(self._reader.lot(wait.lot).custodian)
        other = row.buyer if row.coordinator == self._company else row.coordinator
        return self._reader.party(other) if other != self._company else None

    def _of_wait(self, wait: Wait, who: answers.Party | None) -> Todo:
        return Todo(
            wait.task,
            wait.until,
            wait.since,
            wait.until is not None and wait.until.timestamp() <= self._now,
            order=wait.order,
            lot=wait.lot,
            operations=wait.operations,
            assignment=wait.assignment,
            machine=wait.machine,
            proposal=wait.proposal,
            who=who,
        )

    def _assignments(self) -> Iterator[Todo]:
        rows: list[AssignmentRow] = []
        for state in _UNFINISHED:
            rows += self._bounded(
                self._reader.rows.page(AssignmentRow, "sequence", None, _MOST, owner=self._company, state=int(state))
            )
        orders = {row.subject: row for row in self._reader.rows.among(OrderRow, "subject", {one.order for one in rows})}
        for row in rows:
            order = orders[row.order]
            # A proposal for an order that is not made any more cannot be accepted, and is nothing to do.
            if order.state in (OrderState.ACCEPTED, OrderState.IN_PRODUCTION):
                yield self._of_wait(build_work(self._reader, row, order.due_at), self._reader.party(order.coordinator))

    def _lots(self) -> Iterator[Todo]:
        offered = self._lots_in("counterparty", LotState.OFFERED)
        for row in offered:
            if row.parent is None:
                yield replace(self._of_lot(Task.ACCEPT_CUSTODY, row, row.custodian), record=row.offer)
        yield from self._apart()
        yield from self._handing_over()

    def _apart(self) -> Iterator[Todo]:
        """Lots in quarantine that the company holds: those that it means to return, and all others."""
        rows = self._lots_in("custodian", LotState.QUARANTINED)
        own = [row.subject for row in rows if row.counterparty == self._company]
        written = find_quarantines(self._reader, own)
        apart, asked = (find_last(self._reader, written, kind) for kind in ("LotQuarantined", "ReturnOffered"))
        for row in rows:
            document = written.get(row.subject)
            if goes_back(document):
                maker = self._reader.book.identity(row.subject)
                todo = self._of_lot(Task.SEND_BACK, row, 0 if maker is None else maker.creator)
                again = row.subject in asked and asked[row.subject].sequence > apart[row.subject].sequence
                yield replace(todo, says=text_of(document), again=again)
            else:
                yield self._of_lot(Task.REWORK, row, row.counterparty)

    def _handing_over(self) -> Iterator[Todo]:
        """Lots that the company holds, of completed orders whose buyers lack them. Begins at the company's lots, the
        newest first: what waits in the whole network would hide its own, and of what it holds, the old is mostly what
        it bought."""
        held = self._bounded(
            self._reader.rows.latest(LotRow, "number", _MOST_BROAD, custodian=self._company, state=int(LotState.HELD)),
            _MOST_BROAD,
        )
        rows, wanted = {one.subject: one for one in held}, {one.order for one in held}
        found = self._reader.rows.among(OrderRow, "subject", wanted, state=int(OrderState.COMPLETED))
        orders = {one.subject: one for one in self._bounded(sorted(found, key=lambda one: one.sequence)[:_MOST])}
        for wait in find_waits(self._reader, list(orders.values()), whole=True):
            lot = rows.get(wait.lot or b"")
            if wait.task is Task.HAND_OVER and lot is not None:
                yield self._of_lot(Task.HAND_OVER, lot, orders[wait.order].buyer)

    def _lots_in(self, side: str, state: LotState) -> list[LotRow]:
        sided: dict[str, Any] = {side: self._company, "state": int(state)}
        return self._bounded(self._reader.rows.page(LotRow, "number", None, _MOST, **sided))

    def _returns(self) -> Iterator[Todo]:
        """Lots in quarantine that are offered to their maker. The lot's row says who quarantined it, not to whom it is
        offered, so this looks at all that are being returned now."""
        rows = self._bounded(
            self._reader.rows.page(LotRow, "number", None, _MOST_BROAD, state=int(LotState.RETURNING)), _MOST_BROAD
        )
        offers = self._reader.rows.among(
            CustodyChangeRow, "sequence", {row.offer for row in rows}, to_participant=self._company
        )
        own = {(one.sequence, one.lot) for one in offers}
        yield from (
            replace(self._of_lot(Task.ACCEPT_RETURN, row, row.custodian), record=row.offer)
            for row in rows
            if (row.offer, row.subject) in own
        )

    def _of_lot(self, task: Task, row: LotRow, who: int, until: datetime | None = None) -> Todo:
        order = None if row.order is None else self._reader.rows.get(OrderRow, row.order)
        # An order that is over waits for nothing: what comes back from its buyer is not due when it was.
        due = moment(order.due_at) if until is None and order is not None and order.state in _OPEN else until
        return Todo(
            task,
            due,
            self._since(row),
            due is not None and due.timestamp() <= self._now,
            order=row.order,
            lot=row.subject,
            quantity=row.quantity,
            unit=unit(row.unit),
            who=self._reader.some_party(who),
        )

    def _since(self, row: LotRow) -> datetime | None:
        change = self._reader.rows.get(CustodyChangeRow, row.offer, row.subject) if row.offer else None
        return moment(row.created_at if change is None else change.changed_at)

    def _certificates(self) -> Iterator[Todo]:
        if Role.INSPECTOR in self._roles:
            waiting = find_waiting(self._reader, _MOST)
            self.truncated |= waiting.truncated
            for gate in waiting.items:
                if gate.inspector.participant == self._company and not LotState(gate.lot.state).is_quarantined:
                    yield self._of_gate(gate)
        demanded = self._bounded(
            self._reader.rows.page(
                CertificateRow, "sequence", None, _MOST, issuer=self._company, state=int(CertificateState.DEMANDED)
            )
        )
        for row in demanded:
            until = moment(row.opening_deadline)
            overdue = row.opening_deadline <= self._now
            yield Todo(
                Task.OPEN_CERTIFICATE, until, None, overdue, order=row.order, lot=row.lot, certificate=row.sequence
            )

    def _of_gate(self, gate: WaitingGate) -> Todo:
        overdue = gate.due_at is not None and gate.due_at.timestamp() <= self._now
        return Todo(
            Task.INSPECT,
            gate.due_at,
            gate.since,
            overdue,
            order=gate.order,
            lot=gate.lot.subject,
            quantity=gate.lot.quantity,
            unit=gate.lot.unit,
            model=gate.model,
            who=gate.lot.holder,
        )

    def _cases(self) -> Iterator[Todo]:
        cases = find_cases(self._reader, _MOST_CASES, awaiting=self._company)
        self.truncated |= cases.truncated or len(cases.items) >= _MOST_CASES
        for case in cases.items:
            own = tuple(one.lot for one in case.lots if one.is_open and one.lot.holder.participant == self._company)
            yield Todo(
                Task.ANSWER_NOTICE,
                None,
                case.time,
                False,
                case=case.number,
                who=case.raised_by,
                says=text_of(case.document),
                named=case.named,
                reached=own,
            )

    def _registry(self) -> Iterator[Todo]:
        for recovery in self._reader.rows.find(RecoveryRow, accepted_at=0):
            own = recovery.participant == self._company
            if (own or Role.AUDITOR in self._roles) and not recovery.objected:
                until = moment(recovery.effective_at)
                overdue = recovery.effective_at <= self._now
                party = self._reader.party(recovery.participant)
                yield Todo(Task.RECOVERY, until, moment(recovery.proposed_at), overdue, who=party)
        if Role.AUDITOR in self._roles:
            models = self._reader.rows.page(ModelRow, "number", None, _MOST, state=int(ModelState.REGISTERED))
            for model in self._bounded(models):
                since, inspector = moment(model.registered_at), self._reader.party(model.inspector)
                if model.inspector != self._company:
                    yield Todo(Task.APPROVE_MODEL, None, since, False, model=model.number, who=inspector)


def _named(reader: Reader, todos: Sequence[Todo]) -> tuple[Todo, ...]:
    """With the identifiers of their things, and what was written beside them, looked up at once."""
    inside: dict[bytes, list[bytes]] = defaultdict(list)
    for row in reader.rows.among(LotRow, "parent", {todo.lot for todo in todos if todo.lot is not None}):
        inside[row.parent or b""].append(row.subject)
    things = [one for todo in todos for one in (todo.order, todo.lot) if one is not None]
    reader.name([*things, *(one for found in inside.values() for one in found)])

    def name(subject: bytes | None) -> str | None:
        return None if subject is None else reader.identifier(subject)

    written = find_words(reader, {todo.record for todo in todos if todo.record})
    return tuple(
        replace(
            todo,
            order_identifier=name(todo.order),
            lot_identifier=name(todo.lot),
            says=todo.says or text_of(written.get(todo.record or 0)),
            inside=tuple((one, reader.identifier(one)) for one in inside.get(todo.lot or b"", ())),
        )
        for todo in todos
    )
