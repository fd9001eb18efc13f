"""What a record means for feedback: a cause, or a verdict that a machine did well. Reads index and book alone.

A record counts only if it is of somebody who can say it: a certificate or a drift note of an inspector at a gate of
the lot's order. Whatever else the ledger lets others record about a lot moves no machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from millmark.ledger.errors import FootprintError, PlanError
from millmark.ledger.events.certificates import CertificateIssued
from millmark.ledger.events.notes import NoteRecorded
from millmark.ledger.events.orders import AssignmentDeclined, AssignmentFinished
from millmark.ledger.footprint import parse_register_entry, wh_between
from millmark.ledger.plans.call import Call
from millmark.ledger.plans.plan import CauseKind, Row
from millmark.ledger.records import NoteKind, Verdict
from millmark.ledger.store import Book, Rows
from millmark.ledger.store.feed import Feed
from millmark.ledger.store.rows import AssignmentRow, LotRow, MachineRow, OrderRow, RecordRow, gates_of
from millmark.services.planning.consent import find_row
from millmark.services.planning.errors import RowRefusedError
from millmark.services.planning.feedback.causes import MachineCause
from millmark.services.planning.feedback.sentences import Sentence
from millmark.services.planning.papers import find_call
from millmark.services.planning.reading import assemble, find_claims
from millmark.services.planning.repository import PlanRow

TOLERANCE_PER_MILLE = 1100
"""How much longer, or how much more energy, than was agreed is a cause."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a record says about one machine."""

    machine: int
    owner: int
    coordinator: int
    """Coordinator of the order; 0 if it has none."""
    since_s: int
    """When the work began."""
    at_s: int
    cause: MachineCause | None = None
    good: bool | None = None
    """A verdict; None if it is none."""
    refused: str = ""
    """Why it does not count."""


def find_all(rows: Rows, book: Book, feed: Feed, record: RecordRow) -> Iterator[Finding]:
    """What a final record of the ledger says about machines."""
    event = record.event()
    if isinstance(event, CertificateIssued):
        yield from _of_certificate(rows, feed, record, event)
    elif isinstance(event, NoteRecorded) and event.kind_ == NoteKind.DRIFT:
        yield from _of_note(rows, feed, record)
    elif isinstance(event, NoteRecorded) and event.kind_ == NoteKind.MAINTENANCE:
        yield from _of_maintenance(rows, book, record, event)
    elif isinstance(event, AssignmentDeclined):
        yield from _of_decline(rows, book, record, event)
    elif isinstance(event, AssignmentFinished):
        assignment = rows.get(AssignmentRow, event.assignment)
        if assignment is not None:
            yield from judge_finish(rows, book, record, assignment)


def _of_certificate(rows: Rows, feed: Feed, record: RecordRow, event: CertificateIssued) -> Iterator[Finding]:
    fails = event.statement.verdict == Verdict.FAIL
    # One verdict, over however many lots.
    for about in _by_machine(rows, feed, record):
        place = about.place(record)
        refused = about.why_not(record.participant)
        if not fails:
            yield Finding(*place, good=not refused or None, refused=refused)
            continue
        text = Sentence.FAILED.write(certificate=record.sequence)
        cause = MachineCause(
            CauseKind.CERTIFICATE, about.machine, text, about.since_s, record.block_time, record.sequence
        )
        yield Finding(*place, cause, None if refused else False, refused)


def _of_note(rows: Rows, feed: Feed, record: RecordRow) -> Iterator[Finding]:
    for about in _by_machine(rows, feed, record):
        text = Sentence.DRIFTS.write(participant=record.participant)
        cause = MachineCause(CauseKind.DRIFT, about.machine, text, about.since_s, record.block_time, record.sequence)
        yield Finding(*about.place(record), cause, refused=about.why_not(record.participant))


def _of_maintenance(rows: Rows, book: Book, record: RecordRow, event: NoteRecorded) -> Iterator[Finding]:
    """That a machine is down, as its operator's page records it. What the note says is in the book of who wrote it."""
    claims = find_claims(book, event.claims_root)
    try:
        said = None if claims is None else assemble(claims, "cause")
    except PlanError:
        return  # a field of it was erased
    if not isinstance(said, Mapping) or said.get("kind") != CauseKind.MACHINE_DOWN:
        return
    number = said.get("machine")
    machine = rows.get(MachineRow, number) if isinstance(number, int) else None
    if machine is None:
        return
    at_s, text = record.block_time, "".join(filter(str.isprintable, str(said.get("text", ""))))[:200]
    cause = MachineCause(CauseKind.MACHINE_DOWN, machine.number, text, at_s, at_s, record.sequence)
    refused = "" if record.participant == machine.owner else Sentence.NO_OWNER.write(participant=record.participant)
    yield Finding(machine.number, machine.owner, 0, at_s, at_s, cause, refused=refused)


def _of_decline(rows: Rows, book: Book, record: RecordRow, event: AssignmentDeclined) -> Iterator[Finding]:
    assignment = rows.get(AssignmentRow, event.assignment)
    if assignment is None or _row(book, assignment) is None:
        return
    text = Sentence.DECLINED.write(assignment=assignment.sequence)
    at_s = record.block_time
    # What names it is the assignment, as in plans: it was declined, so its own record says the rest.
    cause = MachineCause(CauseKind.DECLINED, assignment.machine, text, at_s, at_s, assignment.sequence)
    yield Finding(assignment.machine, assignment.owner, _coordinator(rows, assignment.order), at_s, at_s, cause)


def judge_finish(rows: Rows, book: Book, record: RecordRow, assignment: AssignmentRow) -> Iterator[Finding]:
    """Whether an operation took longer, or more energy, than both sides agreed to. Compared is how long it took, not
    when it ended: a machine is not to blame for what arrived late."""
    row = _row(book, assignment)
    if row is None:
        return
    place = assignment.machine, assignment.owner, _coordinator(rows, assignment.order), assignment.started_at
    since_s, at_s = assignment.started_at, record.block_time
    slot_s = _slot_s(rows, book, assignment)
    if slot_s is not None:
        agreed_s, took_s = (row.end - row.start) * slot_s, at_s - since_s
        # Registers are read at slots' ends at best, so one slot more says nothing.
        if took_s > agreed_s + slot_s and took_s * 1000 > agreed_s * TOLERANCE_PER_MILLE:
            text = Sentence.LATE.write(assignment=assignment.sequence, minutes=took_s // 60, agreed=agreed_s // 60)
            cause = MachineCause(CauseKind.LATE, row.machine, text, since_s, at_s, record.sequence)
            yield Finding(*place, at_s, cause)
    used_wh = _used_wh(book, assignment)
    if used_wh is not None and used_wh * 1000 > row.wh * TOLERANCE_PER_MILLE:
        text = Sentence.ENERGY.write(assignment=assignment.sequence, wh=used_wh, offered=row.wh)
        cause = MachineCause(CauseKind.ENERGY, row.machine, text, since_s, at_s, record.sequence)
        yield Finding(*place, at_s, cause)


@dataclass(frozen=True, slots=True)
class _Work:
    """A lot, and the machine that made it."""

    machine: int
    owner: int
    coordinator: int
    inspectors: frozenset[int]
    since_s: int

    def place(self, record: RecordRow) -> tuple[int, int, int, int, int]:
        return self.machine, self.owner, self.coordinator, self.since_s, record.block_time

    def why_not(self, participant: int) -> str:
        """Why somebody's word on the lot does not count; empty if it does."""
        if participant in self.inspectors:
            return ""
        return Sentence.NO_GATE.write(participant=participant)


def _by_machine(rows: Rows, feed: Feed, record: RecordRow) -> list[_Work]:
    """One of the lots that a record is about for each machine: of those on which its author's word counts, the one
    that was begun first, since what was measured began with that."""
    works = _works(rows, feed.histories([record.sequence])[record.sequence], record)
    first: dict[int, _Work] = {}
    for about in sorted(works, key=lambda one: (bool(one.why_not(record.participant)), one.since_s)):
        first.setdefault(about.machine, about)
    return [first[machine] for machine in sorted(first)]


def _works(rows: Rows, subjects: Sequence[bytes], record: RecordRow) -> list[_Work]:
    found = []
    for subject in subjects:
        lot = rows.get(LotRow, subject)
        assignment = None if lot is None or not lot.assignment else rows.get(AssignmentRow, lot.assignment)
        if lot is None or assignment is None or lot.order is None:
            continue
        order = rows.get(OrderRow, lot.order)
        inspectors = frozenset(gate.inspector for gate in gates_of(order)) if order else frozenset[int]()
        coordinator = order.coordinator if order else 0
        since_s = min(assignment.started_at or lot.created_at, record.block_time)
        found.append(_Work(assignment.machine, assignment.owner, coordinator, inspectors, since_s))
    return found


def _row(book: Book, assignment: AssignmentRow) -> Row | None:
    """The row of a plan that both sides committed to; None if there is none, or if it cannot be read here."""
    try:
        proposed = find_row(book, assignment)
    except RowRefusedError:
        return None
    return None if proposed is None else proposed.row


def _slot_s(rows: Rows, book: Book, assignment: AssignmentRow) -> int | None:
    proposed = find_row(book, assignment)
    plan = None if proposed is None else rows.get(PlanRow, proposed.plan)
    call: Call | None = None if plan is None else find_call(rows, plan.call)
    return None if call is None else call.slot


def _used_wh(book: Book, assignment: AssignmentRow) -> int | None:
    """What the registers say that an operation used; None where the readings are not here."""
    if assignment.stream is None:
        return None
    last = book.evidence_entry(assignment.stream, assignment.leaf_index)
    try:
        finish = None if last is None else parse_register_entry(last.entry)
        first = None if finish is None or finish.start is None else book.evidence_entry(assignment.stream, finish.start)
        start = None if first is None else parse_register_entry(first.entry)
        return None if start is None or finish is None else wh_between(start, finish)
    except FootprintError:
        return None  # readings that contradict each other are the footprint's matter


def _coordinator(rows: Rows, order: bytes) -> int:
    found = rows.get(OrderRow, order)
    return 0 if found is None else found.coordinator
