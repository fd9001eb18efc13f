"""What each company is handed, and because of which record: the one table from which hand-overs are made, and against
which they are checked when they arrive. HANDOVER.md shows the same.

A hand-over is due while the record's matter stands: not once an offer was declined, an assignment cancelled, an order
rejected.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from millmark.ledger.events import Event
from millmark.ledger.events.evidence import StreamAnchored
from millmark.ledger.records import Contract
from millmark.ledger.store import Rows
from millmark.ledger.store.rows import RecordRow
from millmark.services.handover import notices, parties
from millmark.services.handover.allowances import WHOLE, Allowance, Gets, add
from millmark.services.planning import handing
from millmark.services.planning.repository import What

__all__ = [
    "TABLE",
    "WHOLE",
    "Allowance",
    "Entry",
    "Gets",
    "allow",
    "allow_incoming",
    "find_record",
    "is_handed_over",
    "is_standing",
    "recipients_of",
]


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the table."""

    kinds: tuple[str, ...]
    """Kinds of records of the ledger."""
    sender: str
    recipient: str
    gets: frozenset[Gets]
    find_sender: Callable[[Rows, RecordRow, Event], int]
    find_recipients: Callable[[Rows, RecordRow, Event], set[int]]
    stands: Callable[[Rows, RecordRow], bool]
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


_LOTS = frozenset({Gets.LOT_PROOF, Gets.LOT_DOCUMENT, Gets.PASSPORTS, Gets.RECORD_DOCUMENT})
_VERDICT = frozenset({Gets.RECORD_DOCUMENT, Gets.MEASUREMENT, Gets.CARD})

TABLE: tuple[Entry, ...] = (
    Entry(
        ("OrderPlaced",),
        "buyer",
        "the coordinator that the terms name",
        frozenset({Gets.ORDER_NAME, Gets.RECORD_DOCUMENT}),
        parties.actor,
        parties.coordinator,
        parties.order_stands,
    ),
    Entry(
        ("RevisionProposed", "RevisionAccepted"),
        "who records it",
        "buyer and coordinator, also the one that the terms name",
        frozenset({Gets.ORDER_NAME, Gets.ORDER_DOCUMENT, Gets.RECORD_DOCUMENT}),
        parties.actor,
        parties.other_parties,
        parties.order_stands,
    ),
    Entry(
        ("AssignmentProposed",),
        "coordinator",
        "the machine's owner",
        frozenset({Gets.ORDER_NAME, Gets.ORDER_PART, Gets.RECORD_DOCUMENT}),
        parties.actor,
        parties.owner,
        parties.assignment_stands,
    ),
    Entry(
        ("AssignmentAccepted",),
        "the machine's owner",
        "the order's coordinator",
        frozenset({Gets.MACHINE_NAME, Gets.MACHINE_DOCUMENT, Gets.RECORD_DOCUMENT}),
        parties.actor,
        parties.coordinator_of,
        parties.assignment_stands,
    ),
    Entry(
        ("LotCommissioned", "LotsTransformed"),
        "maker",
        "buyer, coordinator and inspectors of the lots' order",
        frozenset({Gets.LOT_NAMES, Gets.MACHINE_NAME, Gets.MADE_DOCUMENTS}),
        parties.actor,
        parties.parties_of_lots,
        parties.always,
    ),
    Entry(
        ("LotReworked",),
        "who reworks it",
        "buyer, coordinator and inspectors of the lot's order",
        frozenset({Gets.MACHINE_NAME, Gets.REWORK_DOCUMENT}),
        parties.actor,
        parties.parties_of_reworked,
        parties.always,
    ),
    Entry(
        ("CustodyOffered", "ReturnOffered"),
        "custodian",
        "to whom it is offered",
        _LOTS,
        parties.actor,
        parties.offered_to,
        parties.offer_stands,
    ),
    Entry(
        ("CustodyAccepted", "CustodyAcceptedInPart"),
        "the custodian before",
        "who accepted",
        _LOTS - {Gets.RECORD_DOCUMENT},
        parties.giver,
        parties.taker,
        parties.always,
    ),
    Entry(
        ("CertificateIssued",),
        "inspector",
        "the order's buyer",
        _VERDICT | {Gets.LOT_PROOF},
        parties.actor,
        parties.buyers,
        parties.always,
    ),
    Entry(
        ("CertificateIssued",),
        "inspector",
        "auditors",
        _VERDICT | {Gets.PROOF_ALONE},
        parties.actor,
        parties.auditors_alone,
        parties.always,
    ),
    Entry(
        ("NoteRecorded",),
        "who records a recall notice",
        "who made, has or had any of the lots that it names, or of what was made from them",
        frozenset({Gets.RECORD_DOCUMENT}),
        parties.actor,
        notices.called_back,
        parties.always,
    ),
    Entry(
        ("NoteRecorded",),
        "who notes that a machine drifts",
        "owners of the machines that made the lots that it names",
        frozenset({Gets.RECORD_DOCUMENT}),
        parties.actor,
        notices.makers,
        parties.always,
    ),
    Entry(
        ("NoteRecorded",),
        "who acknowledges a recall notice, or resolves lots that it reaches",
        "who recorded the notice",
        frozenset({Gets.RECORD_DOCUMENT}),
        parties.actor,
        notices.authors,
        parties.always,
    ),
    Entry(
        ("StreamAnchored",),
        "coordinator, of a call in its stream",
        "the companies that it calls",
        frozenset({Gets.CALL}),
        parties.actor,
        parties.find(handing.called, What.CALL),
        parties.always,
    ),
    Entry(
        ("StreamAnchored",),
        "coordinator, of a call in its stream",
        "readers that the call names",
        frozenset({Gets.CALL, Gets.OBJECTIVE}),
        parties.actor,
        parties.find(handing.readers, What.CALL),
        parties.always,
    ),
    Entry(
        ("StreamAnchored",),
        "the machine's owner, of offers in its stream",
        "coordinator of the call, and readers that it names",
        frozenset({Gets.OFFERS}),
        parties.actor,
        parties.find(handing.coordinator_and_readers, *parties.OFFERS),
        parties.always,
    ),
    Entry(
        ("StreamAnchored",),
        "coordinator, of a plan in its stream",
        "owners who offered, and carriers of its legs",
        frozenset({Gets.PLAN_PART}),
        parties.actor,
        parties.find(handing.owners_and_carriers, What.PLAN),
        parties.always,
    ),
    Entry(
        ("StreamAnchored",),
        "coordinator, of a plan in its stream",
        "readers that the call names",
        frozenset({Gets.PLAN}),
        parties.actor,
        parties.find(handing.readers, What.PLAN),
        parties.always,
    ),
    Entry(
        ("StreamAnchored",),
        "coordinator, of a capacity signal in its stream",
        "the owner of machines that it is for",
        frozenset({Gets.SIGNAL}),
        parties.actor,
        parties.find(handing.signalled, What.SIGNAL),
        parties.always,
    ),
)

_BY_KIND: Mapping[str, list[Entry]] = {
    kind: [entry for entry in TABLE if kind in entry.kinds] for entry in TABLE for kind in entry.kinds
}
