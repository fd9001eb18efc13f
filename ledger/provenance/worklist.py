"""What waits for one company: everything that it, and nobody else, has to do next, the most urgent first.

Each query reads an index, and a bounded number of rows. `truncated` says that there may be more beyond a bound. Mostly
that moves up as the rest is done; not so a recall notice that is older than those looked at (case_search).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from millmark.ledger.provenance import answers
from millmark.ledger.provenance.case_search import find_cases
from millmark.ledger.provenance.inspections import WaitingGate, find_waiting
from millmark.ledger.provenance.jsonform import moment
from millmark.ledger.provenance.reader import Reader, unit
from millmark.ledger.provenance.waits import Task, Wait, build_work, find_waits
from millmark.ledger.provenance.words import find_last, find_quarantines, find_words, goes_back, text_of
from millmark.ledger.records import AssignmentState, CertificateState, LotState, ModelState, OrderState, Role
from millmark.ledger.store.rows import (
    AssignmentRow,
    CertificateRow,
    CustodyChangeRow,
    LotRow,
    ModelRow,
    OrderRow,
    ParticipantRow,
    RecoveryRow,
)

__all__ = ["Todo", "WorkList", "find_work"]

R = TypeVar("R")
_MOST = 200
"""Rows of each kind that are looked at."""
_MOST_BROAD = 2_000
"""Rows that are looked at where the index cannot tell which of them concern the company."""
_OPEN = (OrderState.PLACED, OrderState.ACCEPTED, OrderState.IN_PRODUCTION, OrderState.COMPLETED)
_LIVE = (AssignmentState.STARTED, AssignmentState.ACCEPTED, AssignmentState.PROPOSED)
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
        for state in _LIVE:
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
