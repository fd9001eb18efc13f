"""What each company is handed, and because of which record: the one table from which hand-overs are made, and against
which they are checked when they arrive. HANDOVER.md shows the same.

A hand-over is due while the record's matter stands: not once an offer was declined, an assignment cancelled, an order
rejected.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field

from millmark.ledger.events import Event
from millmark.ledger.events.certificates import CertificateIssued, NoteRecorded, StreamAnchored
from millmark.ledger.events.lots import CustodyOffered, LotReworked, ReturnOffered
from millmark.ledger.events.orders import AssignmentProposed, OrderPlaced, RevisionAccepted, RevisionProposed
from millmark.ledger.provenance.cases import carried_in, find_concerned, packed_in, walk
from millmark.ledger.records import AssignmentState, Contract, LotState, NoteKind, OrderState, Role
from millmark.ledger.store import Rows
from millmark.ledger.store.rows import (
    AssignmentRow,
    CertificateRow,
    CustodyChangeRow,
    LotInputRow,
    LotOutputRow,
    LotRow,
    MachineRow,
    ModelRow,
    NoteRow,
    OrderRow,
    PackingRow,
    ParticipantRow,
    RecordHistoryRow,
    RecordRow,
    gates_of,
)
from millmark.services.planning import stream_entries
from millmark.services.planning.repository import LeafRow, What, own_leaves

# Who sends and who receives


def actor(_rows: Rows, record: RecordRow, _event: Event) -> int:
    return record.participant


def giver(rows: Rows, record: RecordRow, _event: Event) -> int:
    """Who held the lot before."""
    return next((one.from_participant for one in rows.find(CustodyChangeRow, sequence=record.sequence)), 0)


def coordinator(_rows: Rows, _record: RecordRow, event: Event) -> set[int]:
    return {event.terms.coordinator} if isinstance(event, OrderPlaced) else set()


def other_parties(rows: Rows, record: RecordRow, event: Event) -> set[int]:
    """Buyer and coordinator of the order, also the coordinator that revised terms name."""
    order = rows.get(OrderRow, record.subject)
    named = {event.terms.coordinator} if isinstance(event, RevisionProposed | RevisionAccepted) else set()
    return named if order is None else named | {order.buyer, order.coordinator}


def coordinator_of(rows: Rows, record: RecordRow, _event: Event) -> set[int]:
    order = rows.get(OrderRow, record.subject)
    return set() if order is None else {order.coordinator}


def owner(_rows: Rows, _record: RecordRow, event: Event) -> set[int]:
    return {event.owner} if isinstance(event, AssignmentProposed) else set()


def offered_to(_rows: Rows, _record: RecordRow, event: Event) -> set[int]:
    return {event.to} if isinstance(event, CustodyOffered | ReturnOffered) else set()


def taker(_rows: Rows, record: RecordRow, _event: Event) -> set[int]:
    return {record.participant}


def buyers(rows: Rows, _record: RecordRow, event: Event) -> set[int]:
    if not isinstance(event, CertificateIssued):
        return set()
    orders = {item.order for item in event.statement.items}
    return {row.buyer for row in rows.among(OrderRow, "subject", orders)}


def auditors(rows: Rows, _record: RecordRow, _event: Event) -> set[int]:
    found = rows.find(ParticipantRow, suspended=False, departed=False)
    return {row.number for row in found if Role(row.roles) & Role.AUDITOR}


def auditors_alone(rows: Rows, record: RecordRow, event: Event) -> set[int]:
    # An auditor who also bought the part gets what a buyer gets.
    return auditors(rows, record, event) - buyers(rows, record, event)


def parties_of_lots(rows: Rows, record: RecordRow, _event: Event) -> set[int]:
    """Buyer, coordinator and inspectors of the orders for which the record made lots."""
    return _parties_of(rows, {lot.order for lot in made(rows, record) if lot.order is not None})


def parties_of_reworked(rows: Rows, _record: RecordRow, event: Event) -> set[int]:
    """Buyer, coordinator and inspectors of the order of the lot that was reworked; nobody if it has none."""
    return _parties_of(rows, {event.rework.order}) if isinstance(event, LotReworked) else set()


def _parties_of(rows: Rows, orders: set[bytes]) -> set[int]:
    found = rows.among(OrderRow, "subject", orders)
    return {one for row in found for one in (row.buyer, row.coordinator, *(gate.inspector for gate in gates_of(row)))}


def made(rows: Rows, record: RecordRow) -> list[LotRow]:
    touched = {row.subject for row in rows.find(RecordHistoryRow, sequence=record.sequence)}
    return [row for row in rows.among(LotRow, "subject", touched) if row.sequence == record.sequence]


def own(rows: Rows, record: RecordRow, event: Event, *kinds: str) -> list[LeafRow]:
    """The company's entries of these kinds that an anchor is the first to cover."""
    size = event.size if isinstance(event, StreamAnchored) else 0
    found = own_leaves(rows, record.subject, record.sequence, size)
    return [row for row in found if row.what in kinds]


def find(find: Callable[[Rows, LeafRow], set[int]], *kinds: str) -> Callable[[Rows, RecordRow, Event], set[int]]:
    """The recipients of an anchor's entries of these kinds."""
    return lambda rows, record, event: {one for row in own(rows, record, event, *kinds) for one in find(rows, row)}


OFFERS = What.OFFER, What.WITHDRAWAL


# How long it is due


def order_stands(rows: Rows, record: RecordRow) -> bool:
    order = rows.get(OrderRow, record.subject)
    return order is not None and order.state != OrderState.CANCELLED


def assignment_stands(rows: Rows, record: RecordRow) -> bool:
    number = getattr(record.event(), "assignment", record.sequence)
    row = rows.get(AssignmentRow, number)
    return row is not None and row.state not in (AssignmentState.DECLINED, AssignmentState.CANCELLED)


def offer_stands(rows: Rows, record: RecordRow) -> bool:
    """While it is offered, and once it was accepted."""
    lot = rows.get(LotRow, record.subject)
    if lot is None:
        return False
    if lot.offer == record.sequence and lot.state in (LotState.OFFERED, LotState.RETURNING):
        return True
    to = {one.to_participant for one in rows.find(CustodyChangeRow, sequence=record.sequence)}
    later = [one for one in rows.find(CustodyChangeRow, lot=record.subject) if one.sequence > record.sequence]
    first = min(later, key=lambda one: one.sequence, default=None)
    return first is not None and first.kind == "CustodyAccepted" and first.to_participant in to


def always(_rows: Rows, _record: RecordRow) -> bool:
    return True


# Who is told what a recall notice or a drift note says, and who what an answer to a notice says
# (ledger/provenance/cases.py).

_MOST_NOTICES = 1_000
"""Notices that an answer may be about, the latest."""
_REACHING = (NoteKind.RECALL_NOTICE, NoteKind.CORRECTION)
_ANSWERS = (NoteKind.ACKNOWLEDGEMENT, NoteKind.RESOLUTION)


def called_back(rows: Rows, record: RecordRow, event: Event) -> set[int]:
    """Who made, has or ever had any of what a recall notice or a correction reaches."""
    if not isinstance(event, NoteRecorded) or event.kind_ not in _REACHING:
        return set()
    return find_concerned(rows, _named(rows, record), record.sequence)


def authors(rows: Rows, record: RecordRow, event: Event) -> set[int]:
    """Who recorded the notices that an acknowledgement or resolution answers: those from before that reach its lots."""
    if not isinstance(event, NoteRecorded) or event.kind_ not in _ANSWERS:
        return set()
    notices = rows.latest(NoteRow, "sequence", _MOST_NOTICES, note_kind=int(NoteKind.RECALL_NOTICE))
    earlier = {one.sequence: one.participant for one in notices if one.sequence < record.sequence}
    at = record.sequence  # so that nobody leaves the set as records are added
    inside = walk(_named(rows, record), lambda lots: packed_in(rows, lots, at))
    origins = walk(inside, lambda lots: _origins(rows, lots) | carried_in(rows, lots, at))
    orders = {row.order for row in rows.among(LotRow, "subject", origins) if row.order is not None}
    links = rows.among(RecordHistoryRow, "sequence", earlier)
    return {earlier[one.sequence] for one in links if one.subject in origins or one.subject in orders}


def makers(rows: Rows, record: RecordRow, event: Event) -> set[int]:
    """Owners of the machines that made the lots which a drift note names."""
    if not isinstance(event, NoteRecorded) or event.kind_ != NoteKind.DRIFT:
        return set()
    works = {row.assignment for row in rows.among(LotRow, "subject", _named(rows, record))}
    return {row.owner for row in rows.among(AssignmentRow, "sequence", works)}


def givers(rows: Rows, record: RecordRow, event: Event) -> set[int]:
    """Who handed the lots of a complaint over to who complains: the last time before it, lot by lot."""
    if not isinstance(event, NoteRecorded) or event.kind_ != NoteKind.COMPLAINT:
        return set()
    taken = rows.among(
        CustodyChangeRow, "lot", _named(rows, record), kind="CustodyAccepted", to_participant=record.participant
    )
    earlier = sorted((one for one in taken if one.sequence < record.sequence), key=lambda one: one.sequence)
    return set({one.lot: one.from_participant for one in earlier}.values())


def _named(rows: Rows, record: RecordRow) -> set[bytes]:
    """The lots that a note is about; of an order, all its lots."""
    about = {row.subject for row in rows.find(RecordHistoryRow, sequence=record.sequence)}
    lots = {row.subject for row in rows.among(LotRow, "subject", about)}
    return lots | {row.subject for row in rows.among(LotRow, "order", about - lots)}


def _origins(rows: Rows, lots: set[bytes]) -> set[bytes]:
    made: set[int] = rows.values(LotOutputRow, "sequence", "lot", lots)
    taken: set[bytes] = rows.values(LotInputRow, "lot", "sequence", made)
    return taken


# What a recipient may get because of a record, thing by thing: which names, fields, leaves and measurements.

WHOLE: tuple[tuple[str, ...], ...] = ((),)
"""Every field of a document, as a prefix of all paths."""
_PASSPORT: tuple[tuple[str, ...], ...] = (("passport",),)
_CAPABILITY: tuple[tuple[str, ...], ...] = (("capability",),)
_NOTHING = bytes(32)


class Gets(enum.Enum):
    """A thing that a recipient gets."""

    ORDER_NAME = "the order's name"
    ORDER_DOCUMENT = "the order's document"
    ORDER_PART = "of the order's document: specification, passport, and the entry of operations for this operation"
    RECORD_DOCUMENT = "the record's document"
    MACHINE_NAME = "the machine's name"
    MACHINE_DOCUMENT = "the machine's document"
    LOT_NAMES = "the names of the lots that it made"
    MADE_DOCUMENTS = "the documents of the lots that it made"
    REWORK_DOCUMENT = "the rework's document"
    LOT_PROOF = "a bundle of the lots and what is packed in them, with all names that the recipient may see (ACCESS.md)"
    PROOF_ALONE = "a bundle of the lots, with their names"
    LOT_DOCUMENT = "the lots' documents"
    PASSPORTS = (
        "the passport of every document in the bundle, and the register readings of which its footprints are made"
    )
    MEASUREMENT = "the certificate's evidence entry and inference"
    CARD = "the model's card"
    CALL = "the call, opened"
    OBJECTIVE = "the call's objective"
    OFFERS = "its offers and withdrawals, opened; of the machines' documents: capability"
    PLAN_PART = (
        "the plan's seal, opened; of the plan's document: the list of offers, the slot prices, its rows and legs"
    )
    PLAN = "the plan's seal, opened; the plan's document"


@dataclass(slots=True)
class Allowance:
    """The data that one hand-over may contain."""

    gets: frozenset[Gets]
    names: set[bytes] = field(default_factory=set)
    """Subjects of the things whose names it may have outside its bundle."""
    documents: dict[bytes, tuple[tuple[str, ...], ...]] = field(default_factory=dict)
    """Prefixes of the paths that it may have of a document, by claims root."""
    parts: set[bytes] = field(default_factory=set)
    """The lots that its bundle is about; if empty, it has none."""
    measured: frozenset[int] = frozenset()
    """Sequences of the certificates whose entries and inferences its bundle may have."""
    leaves: set[bytes] = field(default_factory=set)
    """Leaf hashes of the stream's entries that are opened in it."""
    objectives: set[str] = field(default_factory=set)
    """Canonical JSON."""
    is_anchor: bool = False
    """Whether entries of the anchored stream may come with it, each of which says what it is."""

    def add(self, root: bytes, prefixes: tuple[tuple[str, ...], ...]) -> None:
        if root != _NOTHING:
            known = self.documents.get(root, ())
            self.documents[root] = tuple(dict.fromkeys((*known, *prefixes)))


def add(gets: Gets, rows: Rows, record: RecordRow, recipient: int, to: Allowance) -> None:
    """Adds what a thing is, because of this record and for this recipient."""
    event = record.event()
    match gets:
        case Gets.ORDER_NAME:
            to.names.add(record.subject)
        case Gets.RECORD_DOCUMENT:
            for root in event.roots():
                to.add(root, WHOLE)
        case Gets.ORDER_DOCUMENT:
            for root in roots_of_order(rows, record):
                to.add(root, WHOLE)
        case Gets.ORDER_PART:
            operation = str(getattr(event, "operation", 0))
            for root in roots_of_order(rows, record):
                to.add(root, (("specification",), ("passport",), ("operations", operation)))
        case Gets.MACHINE_NAME:
            # A transformation names the operation only; the index has the assignment under which its lots were made.
            works = {getattr(event, "assignment", 0), *(lot.assignment for lot in made(rows, record))}
            machines = {row.machine for row in rows.among(AssignmentRow, "sequence", works)}
            to.names |= {row.subject for row in rows.among(MachineRow, "number", machines)}
        case Gets.MACHINE_DOCUMENT:
            assignment = rows.get(AssignmentRow, getattr(event, "assignment", 0))
            machine = None if assignment is None else rows.get(MachineRow, assignment.machine)
            to.add(_NOTHING if machine is None else machine.claims_root, WHOLE)
        case Gets.LOT_NAMES:
            to.names |= {row.subject for row in made(rows, record)}
        case Gets.MADE_DOCUMENTS:
            _add_documents_of(rows, made(rows, record), recipient, to)
        case Gets.REWORK_DOCUMENT:
            # As a lot's own document is handed over: what was done to it is told to whoever is told what it is.
            if isinstance(event, LotReworked):
                work = event.rework
                to.add(work.claims_root, WHOLE if _orders_with(rows, {work.order}, recipient) else _PASSPORT)
        case Gets.LOT_PROOF | Gets.PROOF_ALONE | Gets.LOT_DOCUMENT:
            touched = {row.subject for row in rows.find(RecordHistoryRow, sequence=record.sequence)}
            lots = {row.subject for row in rows.among(LotRow, "subject", touched)}
            to.parts |= lots | _packed(rows, lots, record.sequence)
            if gets is Gets.LOT_DOCUMENT:
                _add_documents_of(rows, rows.among(LotRow, "subject", to.parts), recipient, to)
        case Gets.PASSPORTS:
            pass  # the bundle itself decides: see `millmark.services.handover.delivering`
        case Gets.MEASUREMENT:
            to.measured = frozenset({record.sequence})
        case Gets.CARD:
            certificate = rows.get(CertificateRow, record.sequence)
            model = None if certificate is None else rows.get(ModelRow, certificate.model)
            to.add(_NOTHING if model is None else model.card_root, WHOLE)
        case _:
            _add_entries(gets, rows, record, event, recipient, to)


def roots_of_order(rows: Rows, record: RecordRow) -> list[bytes]:
    order = rows.get(OrderRow, record.subject)
    return [] if order is None else [order.claims_root]


def _packed(rows: Rows, lots: set[bytes], sequence: int) -> set[bytes]:
    """What was packed in the lots at a record, at any depth: it moves with them, without an entry of its own."""
    found: set[bytes] = set()
    level = lots
    while level:
        packings = rows.among(PackingRow, "parent", level)
        level = {
            row.child
            for row in packings
            if row.packed_by < sequence and (row.unpacked_by == 0 or row.unpacked_by > sequence)
        } - found
        found |= level
    return found


def _add_documents_of(rows: Rows, lots: Iterable[LotRow], recipient: int, to: Allowance) -> None:
    """All fields for those who have a part in the lot's order; a lot of no order has no secrets from its holder."""
    lots = list(lots)
    orders = _orders_with(rows, {row.order for row in lots if row.order is not None}, recipient)
    for lot in lots:
        to.add(lot.claims_root, WHOLE if lot.order is None or lot.order in orders else _PASSPORT)


def _orders_with(rows: Rows, subjects: Iterable[bytes], recipient: int) -> set[bytes]:
    """The orders of which the recipient is buyer or coordinator, or for which it does work."""
    wanted = set(subjects)
    found = {
        row.subject for row in rows.among(OrderRow, "subject", wanted) if recipient in (row.buyer, row.coordinator)
    }
    over = (AssignmentState.DECLINED, AssignmentState.CANCELLED)
    work = rows.among(AssignmentRow, "order", wanted)
    return found | {row.order for row in work if row.owner == recipient and row.state not in over}


def _add_entries(gets: Gets, rows: Rows, record: RecordRow, event: Event, recipient: int, to: Allowance) -> None:
    """Entries of an anchored stream, and what they are about."""
    find, kinds = _OF_ENTRIES[gets]
    for row in own(rows, record, event, *kinds):
        if recipient not in find(rows, row):
            continue
        if gets is Gets.OBJECTIVE:
            to.objectives |= {stream_entries.objective_of(rows, row)} - {""}
            continue
        to.leaves.add(row.leaf)
        if gets is Gets.OFFERS:
            for machine in stream_entries.machines_of(rows, row):
                to.add(machine.claims_root, _CAPABILITY)
        elif gets is Gets.PLAN_PART:
            to.add(*stream_entries.plan_paths(rows, row, recipient))
        elif gets is Gets.PLAN:
            to.add(stream_entries.plan_paths(rows, row, recipient)[0], WHOLE)


_OF_ENTRIES: Mapping[Gets, tuple[Callable[[Rows, LeafRow], set[int]], tuple[str, ...]]] = {
    Gets.CALL: (
        lambda rows, row: stream_entries.called(rows, row) | stream_entries.readers(rows, row),
        (What.CALL,),
    ),
    Gets.OBJECTIVE: (stream_entries.readers, (What.CALL,)),
    Gets.OFFERS: (stream_entries.coordinator_and_readers, OFFERS),
    Gets.PLAN_PART: (stream_entries.owners_and_carriers, (What.PLAN,)),
    Gets.PLAN: (stream_entries.readers, (What.PLAN,)),
}
"""Who gets such a thing of an entry, and which kinds of entries have it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the table."""

    kinds: tuple[str, ...]
    """Kinds of records of the ledger."""
    sender: str
    recipient: str
    gets: Set[Gets]
    find_recipients: Callable[[Rows, RecordRow, Event], set[int]]
    find_sender: Callable[[Rows, RecordRow, Event], int] = actor
    stands: Callable[[Rows, RecordRow], bool] = always
    """Whether the record's matter is not over."""


def find_record(rows: Rows, sequence: int) -> RecordRow | None:
    """A record of the ledger; None if the index does not have it."""
    return next(iter(rows.find(RecordRow, contract=Contract.LEDGER.value, sequence=sequence)), None)


def is_handed_over(kind: str) -> bool:
    """Whether anything is handed over because of records of this kind."""
    return kind in _BY_KIND


def is_standing(rows: Rows, record: RecordRow) -> bool:
    """Whether a hand-over because of this record is still due."""
    return any(entry.stands(rows, record) for entry in _BY_KIND.get(record.kind, ()))


def recipients_of(rows: Rows, record: RecordRow, sender: int) -> dict[int, list[Entry]]:
    """To whom `sender` hands over because of a record, and by which rows: several where an anchor covers several
    entries."""
    event = record.event()
    found: dict[int, list[Entry]] = {}
    for entry in _BY_KIND.get(record.kind, ()):
        if entry.find_sender(rows, record, event) == sender:
            for recipient in entry.find_recipients(rows, record, event) - {sender, 0}:
                found.setdefault(recipient, []).append(entry)
    return found


def allow(rows: Rows, record: RecordRow, sender: int, recipient: int) -> Allowance | None:
    """What `sender` hands to `recipient` because of a record; None if nothing."""
    entries = recipients_of(rows, record, sender).get(recipient)
    if not entries:
        return None
    allowed = Allowance(frozenset(one for entry in entries for one in entry.gets))
    for gets in sorted(allowed.gets, key=list(Gets).index):
        add(gets, rows, record, recipient, allowed)
    return allowed


def allow_incoming(rows: Rows, record: RecordRow, sender: int, recipient: int) -> Allowance | None:
    """What `recipient` takes from `sender` because of a record; None if nothing.

    To whom an anchor's entries go is written in the entries, which only their author has: the recipient judges each
    of them when it is opened (millmark.services.planning.arriving).
    """
    if record.kind != StreamAnchored.__name__:
        return allow(rows, record, sender, recipient)
    entries = _BY_KIND[record.kind]
    if record.participant != sender:
        return None
    return Allowance(frozenset(one for entry in entries for one in entry.gets), is_anchor=True)


_LOTS = {Gets.LOT_PROOF, Gets.LOT_DOCUMENT, Gets.PASSPORTS, Gets.RECORD_DOCUMENT}
_VERDICT = {Gets.RECORD_DOCUMENT, Gets.MEASUREMENT, Gets.CARD}

TABLE: tuple[Entry, ...] = (
    Entry(
        ("OrderPlaced",),
        "buyer",
        "the coordinator that the terms name",
        {Gets.ORDER_NAME, Gets.RECORD_DOCUMENT},
        coordinator,
        stands=order_stands,
    ),
    Entry(
        ("RevisionProposed", "RevisionAccepted"),
        "who records it",
        "buyer and coordinator, also the one that the terms name",
        {Gets.ORDER_NAME, Gets.ORDER_DOCUMENT, Gets.RECORD_DOCUMENT},
        other_parties,
        stands=order_stands,
    ),
    Entry(
        ("AssignmentProposed",),
        "coordinator",
        "the machine's owner",
        {Gets.ORDER_NAME, Gets.ORDER_PART, Gets.RECORD_DOCUMENT},
        owner,
        stands=assignment_stands,
    ),
    Entry(
        ("AssignmentAccepted",),
        "the machine's owner",
        "the order's coordinator",
        {Gets.MACHINE_NAME, Gets.MACHINE_DOCUMENT, Gets.RECORD_DOCUMENT},
        coordinator_of,
        stands=assignment_stands,
    ),
    Entry(
        ("LotCommissioned", "LotsTransformed"),
        "maker",
        "buyer, coordinator and inspectors of the lots' order",
        {Gets.LOT_NAMES, Gets.MACHINE_NAME, Gets.MADE_DOCUMENTS},
        parties_of_lots,
    ),
    Entry(
        ("LotReworked",),
        "who reworks it",
        "buyer, coordinator and inspectors of the lot's order",
        {Gets.MACHINE_NAME, Gets.REWORK_DOCUMENT},
        parties_of_reworked,
    ),
    Entry(
        ("CustodyOffered", "ReturnOffered"),
        "custodian",
        "to whom it is offered",
        _LOTS,
        offered_to,
        stands=offer_stands,
    ),
    Entry(
        ("CustodyAccepted",),
        "the custodian before",
        "who accepted",
        _LOTS - {Gets.RECORD_DOCUMENT},
        taker,
        find_sender=giver,
    ),
    Entry(("CertificateIssued",), "inspector", "the order's buyer", _VERDICT | {Gets.LOT_PROOF}, buyers),
    Entry(("CertificateIssued",), "inspector", "auditors", _VERDICT | {Gets.PROOF_ALONE}, auditors_alone),
    Entry(
        ("NoteRecorded",),
        "who records a recall notice, or corrects a record",
        "who made, has or had any of the lots that it names, or of what was made from them",
        {Gets.RECORD_DOCUMENT},
        called_back,
    ),
    Entry(
        ("NoteRecorded",),
        "who notes that a machine drifts",
        "owners of the machines that made the lots that it names",
        {Gets.RECORD_DOCUMENT},
        makers,
    ),
    Entry(
        ("NoteRecorded",),
        "who acknowledges a recall notice, or resolves lots that it reaches",
        "who recorded the notice",
        {Gets.RECORD_DOCUMENT},
        authors,
    ),
    Entry(
        ("NoteRecorded",),
        "who complains of lots that it accepted",
        "who handed them over",
        {Gets.RECORD_DOCUMENT},
        givers,
    ),
    Entry(
        ("StreamAnchored",),
        "coordinator, of a call in its stream",
        "the companies that it calls",
        {Gets.CALL},
        find(stream_entries.called, What.CALL),
    ),
    Entry(
        ("StreamAnchored",),
        "coordinator, of a call in its stream",
        "readers that the call names",
        {Gets.CALL, Gets.OBJECTIVE},
        find(stream_entries.readers, What.CALL),
    ),
    Entry(
        ("StreamAnchored",),
        "the machine's owner, of offers in its stream",
        "coordinator of the call, and readers that it names",
        {Gets.OFFERS},
        find(stream_entries.coordinator_and_readers, *OFFERS),
    ),
    Entry(
        ("StreamAnchored",),
        "coordinator, of a plan in its stream",
        "owners who offered, and carriers of its legs",
        {Gets.PLAN_PART},
        find(stream_entries.owners_and_carriers, What.PLAN),
    ),
    Entry(
        ("StreamAnchored",),
        "coordinator, of a plan in its stream",
        "readers that the call names",
        {Gets.PLAN},
        find(stream_entries.readers, What.PLAN),
    ),
)

_BY_KIND: Mapping[str, list[Entry]] = {
    kind: [entry for entry in TABLE if kind in entry.kinds] for entry in TABLE for kind in entry.kinds
}
