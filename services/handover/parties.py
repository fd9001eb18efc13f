"""Who hands over and who receives because of a record, and for how long that is due."""

from __future__ import annotations

from collections.abc import Callable

from millmark.ledger.events import Event
from millmark.ledger.events.certificates import CertificateIssued
from millmark.ledger.events.custody import CustodyOffered, ReturnOffered
from millmark.ledger.events.evidence import StreamAnchored
from millmark.ledger.events.lots import LotReworked
from millmark.ledger.events.orders import AssignmentProposed, OrderPlaced, RevisionAccepted, RevisionProposed
from millmark.ledger.records import AssignmentState, LotState, OrderState, Role
from millmark.ledger.store import Rows
from millmark.ledger.store.rows import (
    AssignmentRow,
    CustodyChangeRow,
    LotRow,
    OrderRow,
    ParticipantRow,
    RecordHistoryRow,
    RecordRow,
    gates_of,
)
from millmark.services.planning import handing
from millmark.services.planning.repository import LeafRow, What

__all__ = [
    "OFFERS",
    "actor",
    "always",
    "assignment_stands",
    "auditors",
    "auditors_alone",
    "buyers",
    "coordinator",
    "coordinator_of",
    "find",
    "giver",
    "made",
    "offer_stands",
    "offered_to",
    "order_stands",
    "other_parties",
    "own",
    "owner",
    "parties_of_lots",
    "parties_of_reworked",
    "taker",
]


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
    found = handing.covered(rows, record.subject, record.sequence, size)
    return [row for row in found if row.what in kinds]


def find(find: Callable[[Rows, LeafRow], set[int]], *kinds: str) -> Callable[[Rows, RecordRow, Event], set[int]]:
    """The recipients of an anchor's entries of these kinds."""
    return lambda rows, record, event: {one for row in own(rows, record, event, *kinds) for one in find(rows, row)}


OFFERS = What.OFFER, What.WITHDRAWAL


# How long it is due


def order_stands(rows: Rows, record: RecordRow) -> bool:
    order = rows.get(OrderRow, record.subject)
    return order is not None and order.state not in (OrderState.REJECTED, OrderState.CANCELLED)


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
    return first is not None and first.kind.startswith("CustodyAccepted") and first.to_participant in to


def always(_rows: Rows, _record: RecordRow) -> bool:
    return True
