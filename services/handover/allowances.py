"""What a recipient may get because of a record, thing by thing: which names, fields, leaves and measurements."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from millmark.ledger.events import Event
from millmark.ledger.events.lots import LotReworked
from millmark.ledger.records import AssignmentState
from millmark.ledger.store import Rows
from millmark.ledger.store.rows import (
    AssignmentRow,
    CertificateRow,
    LotRow,
    MachineRow,
    ModelRow,
    OrderRow,
    PackingRow,
    RecordHistoryRow,
    RecordRow,
)
from millmark.services.handover import parties
from millmark.services.planning import handing
from millmark.services.planning.repository import What

__all__ = ["WHOLE", "Allowance", "Gets", "add", "roots_of_order"]

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
    SIGNAL = "the signal, opened: minutes by kind of work and week, its own part"


@dataclass(slots=True)
class Allowance:
    """What one hand-over may have."""

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
    _ADDS[gets](rows, record, record.event(), recipient, to)


def _add_order_name(_rows: Rows, record: RecordRow, _event: Event, _recipient: int, to: Allowance) -> None:
    to.names.add(record.subject)


def _add_record_document(_rows: Rows, _record: RecordRow, event: Event, _recipient: int, to: Allowance) -> None:
    for root in event.roots():
        to.add(root, WHOLE)


def _add_order_document(rows: Rows, record: RecordRow, _event: Event, _recipient: int, to: Allowance) -> None:
    for root in roots_of_order(rows, record):
        to.add(root, WHOLE)


def _add_order_part(rows: Rows, record: RecordRow, event: Event, _recipient: int, to: Allowance) -> None:
    operation = getattr(event, "operation", 0)
    prefixes = (("specification",), ("passport",), ("operations", str(operation)))
    for root in roots_of_order(rows, record):
        to.add(root, prefixes)


def roots_of_order(rows: Rows, record: RecordRow) -> list[bytes]:
    order = rows.get(OrderRow, record.subject)
    return [] if order is None else [order.claims_root]


def _machine(rows: Rows, event: Event) -> MachineRow | None:
    assignment = rows.get(AssignmentRow, getattr(event, "assignment", 0))
    return None if assignment is None else rows.get(MachineRow, assignment.machine)


def _add_machine_name(rows: Rows, record: RecordRow, event: Event, _recipient: int, to: Allowance) -> None:
    # A transformation names the operation only; the index has the assignment under which its lots were made.
    works = {getattr(event, "assignment", 0), *(lot.assignment for lot in parties.made(rows, record))}
    machines = {row.machine for row in rows.among(AssignmentRow, "sequence", works)}
    to.names |= {row.subject for row in rows.among(MachineRow, "number", machines)}


def _add_machine_document(rows: Rows, _record: RecordRow, event: Event, _recipient: int, to: Allowance) -> None:
    machine = _machine(rows, event)
    if machine is not None:
        to.add(machine.claims_root, WHOLE)


def _add_lot_names(rows: Rows, record: RecordRow, _event: Event, _recipient: int, to: Allowance) -> None:
    to.names |= {row.subject for row in parties.made(rows, record)}


def _add_lots(rows: Rows, record: RecordRow, _event: Event, _recipient: int, to: Allowance) -> None:
    touched = {row.subject for row in rows.find(RecordHistoryRow, sequence=record.sequence)}
    lots = {row.subject for row in rows.among(LotRow, "subject", touched)}
    to.parts |= lots | _packed(rows, lots, record.sequence)


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


def _add_lot_documents(rows: Rows, record: RecordRow, event: Event, recipient: int, to: Allowance) -> None:
    _add_lots(rows, record, event, recipient, to)
    _add_documents_of(rows, rows.among(LotRow, "subject", to.parts), recipient, to)


def _add_made_documents(rows: Rows, record: RecordRow, _event: Event, recipient: int, to: Allowance) -> None:
    _add_documents_of(rows, parties.made(rows, record), recipient, to)


def _add_rework_document(rows: Rows, _record: RecordRow, event: Event, recipient: int, to: Allowance) -> None:
    """As a lot's own document is handed over: what was done to it is told to whoever is told what it is."""
    if isinstance(event, LotReworked):
        work = event.rework
        to.add(work.claims_root, WHOLE if _orders_with(rows, {work.order}, recipient) else _PASSPORT)


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


def _add_nothing(_rows: Rows, _record: RecordRow, _event: Event, _recipient: int, _to: Allowance) -> None:
    """What the bundle itself decides: see `millmark.services.handover.building`."""


def _add_measurement(_rows: Rows, record: RecordRow, _event: Event, _recipient: int, to: Allowance) -> None:
    to.measured = frozenset({record.sequence})


def _add_card(rows: Rows, record: RecordRow, _event: Event, _recipient: int, to: Allowance) -> None:
    certificate = rows.get(CertificateRow, record.sequence)
    model = None if certificate is None else rows.get(ModelRow, certificate.model)
    if model is not None:
        to.add(model.card_root, WHOLE)


def _add_call(rows: Rows, record: RecordRow, event: Event, recipient: int, to: Allowance) -> None:
    for row in parties.own(rows, record, event, What.CALL):
        if recipient in handing.called(rows, row) | handing.readers(rows, row):
            to.leaves.add(row.leaf)


def _add_objective(rows: Rows, record: RecordRow, event: Event, recipient: int, to: Allowance) -> None:
    for row in parties.own(rows, record, event, What.CALL):
        if recipient in handing.readers(rows, row):
            to.objectives |= {handing.objective_of(rows, row)} - {""}


def _add_offers(rows: Rows, record: RecordRow, event: Event, recipient: int, to: Allowance) -> None:
    for row in parties.own(rows, record, event, *parties.OFFERS):
        if recipient in handing.coordinator_and_readers(rows, row):
            to.leaves.add(row.leaf)
            for machine in handing.machines_of(rows, row):
                to.add(machine.claims_root, _CAPABILITY)


def _add_plan_part(rows: Rows, record: RecordRow, event: Event, recipient: int, to: Allowance) -> None:
    for row in parties.own(rows, record, event, What.PLAN):
        if recipient in handing.owners_and_carriers(rows, row):
            to.leaves.add(row.leaf)
            to.add(*handing.plan_paths(rows, row, recipient))


def _add_plan(rows: Rows, record: RecordRow, event: Event, recipient: int, to: Allowance) -> None:
    for row in parties.own(rows, record, event, What.PLAN):
        if recipient in handing.readers(rows, row):
            to.leaves.add(row.leaf)
            to.add(handing.plan_paths(rows, row, recipient)[0], WHOLE)


def _add_signal(rows: Rows, record: RecordRow, event: Event, recipient: int, to: Allowance) -> None:
    for row in parties.own(rows, record, event, What.SIGNAL):
        if recipient in handing.signalled(rows, row):
            to.leaves.add(row.leaf)


_ADDS: Mapping[Gets, Callable[[Rows, RecordRow, Event, int, Allowance], None]] = {
    Gets.ORDER_NAME: _add_order_name,
    Gets.ORDER_DOCUMENT: _add_order_document,
    Gets.ORDER_PART: _add_order_part,
    Gets.RECORD_DOCUMENT: _add_record_document,
    Gets.MACHINE_NAME: _add_machine_name,
    Gets.MACHINE_DOCUMENT: _add_machine_document,
    Gets.LOT_NAMES: _add_lot_names,
    Gets.MADE_DOCUMENTS: _add_made_documents,
    Gets.REWORK_DOCUMENT: _add_rework_document,
    Gets.LOT_PROOF: _add_lots,
    Gets.PROOF_ALONE: _add_lots,
    Gets.LOT_DOCUMENT: _add_lot_documents,
    Gets.PASSPORTS: _add_nothing,
    Gets.MEASUREMENT: _add_measurement,
    Gets.CARD: _add_card,
    Gets.CALL: _add_call,
    Gets.OBJECTIVE: _add_objective,
    Gets.OFFERS: _add_offers,
    Gets.PLAN_PART: _add_plan_part,
    Gets.PLAN: _add_plan,
    Gets.SIGNAL: _add_signal,
}
