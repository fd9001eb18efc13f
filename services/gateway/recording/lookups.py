"""Fields of records that the index supplies for the resource named in a path, so that callers need not send them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from ledger.errors import NotFoundError
from ledger.events.orders import RevisionProposed
from ledger.heads import start_of
from ledger.provenance import find_opening
from ledger.provenance.listings import find_assignment
from ledger.provenance.reader import Reader
from ledger.provenance.traces import find_certificate_row
from ledger.records import Contract
from ledger.store.rows import RecordHistoryRow, RecordRow

__all__ = ["Find", "Given", "find_assigned", "find_certified", "find_proposal", "find_superseded", "number", "subject"]

Given: TypeAlias = "Mapping[str, Any]"
"""Fields of a record, by name, in the types of the record."""
Find: TypeAlias = "Callable[[Reader, Given], Given]"
"""Maps the parameters of a path and the additional members of a body to fields."""


def subject(name: str) -> Find:
    """Supplies the subject in the path as the field `name`. Whether the subject exists is for the contract to judge: it
    may not be indexed yet."""
    return lambda _, asked: {name: bytes.fromhex(asked["subject"][2:])}


def number(name: str) -> Find:
    """Supplies the number in the path as the field `name`."""
    return lambda _, asked: {name: asked["id"]}


def find_assigned(reader: Reader, asked: Given) -> Given:
    """Fields that name an assignment. Raises NotFoundError if it is not in the index."""
    row = find_assignment(reader, asked["id"])
    return {"order": row.order, "operation": row.operation, "assignment": row.sequence}


def find_certified(reader: Reader, asked: Given) -> Given:
    """Fields that name a certificate and its lot. Raises NotFoundError if it is not in the index."""
    row = find_certificate_row(reader, asked["id"])
    return {"lot": row.lot, "order": row.order or bytes(32), "certificate": row.sequence}


def find_superseded(reader: Reader, asked: Given) -> Given:
    """The fields of a correction: the subject in the path, and the opening that proves to the contract that the
    corrected record is in the subject's history. Raises InputError if the record is not in that history."""
    name = bytes.fromhex(asked["subject"][2:])
    return {"subject": name, "opening": find_opening(reader, name, asked["sequence"])}


def find_proposal(reader: Reader, asked: Given) -> Given:
    """The fields that name a proposed revision of an order. Raises NotFoundError if the record proposed no revision of
    it.
    """
    order, sequence = bytes.fromhex(asked["subject"][2:]), asked["id"]
    row = reader.rows.get(RecordRow, Contract.LEDGER.value, sequence)
    proposed = None if row is None else row.event()
    if row is None or not isinstance(proposed, RevisionProposed) or row.subject != order:
        raise NotFoundError(
            f"record {sequence} does not propose a revision of this order", hint="see the trace of the order"
        )
    # The head that the proposal was made on: history moved on since, at least by the proposal itself.
    links = reader.rows.find(RecordHistoryRow, subject=order)
    before = [link.head for link in links if link.sequence < sequence]
    start = start_of(reader.identity.chain_id, reader.identity.ledger, order)
    return {
        "order": order,
        "terms": proposed.terms,
        "previous_head": before[-1] if before else start,
        "proposal": sequence,
        "proposer": row.key,
        "proposed_at": row.block_time,
    }
