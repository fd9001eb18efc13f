"""What records say of the things that their paths name, out of the index: nobody has to send what is known."""

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
"""Fields of a record, as the record has them."""
Find: TypeAlias = "Callable[[Reader, Given], Given]"
"""From the places of a path, and the extra members of a body, to fields."""


def subject(name: str) -> Find:
    """The path's subject as the field `name`. Whether there is such a thing, the contract judges: it may be on its
    way."""
    return lambda _, asked: {name: bytes.fromhex(asked["subject"][2:])}


def number(name: str) -> Find:
    """The path's number as the field `name`."""
    return lambda _, asked: {name: asked["id"]}


def find_assigned(reader: Reader, asked: Given) -> Given:
    """Raises NotFoundError when there is no such assignment in the index."""
    row = find_assignment(reader, asked["id"])
    return {"order": row.order, "operation": row.operation, "assignment": row.sequence}


def find_certified(reader: Reader, asked: Given) -> Given:
    """Raises NotFoundError when there is no such certificate in the index."""
    row = find_certificate_row(reader, asked["id"])
    return {"lot": row.lot, "order": row.order or bytes(32), "certificate": row.sequence}


def find_superseded(reader: Reader, asked: Given) -> Given:
    """Raises InputError when the record is not in the history."""
    name = bytes.fromhex(asked["subject"][2:])
    return {"subject": name, "opening": find_opening(reader, name, asked["sequence"])}


def find_proposal(reader: Reader, asked: Given) -> Given:
    """The revision that a record proposed. Raises NotFoundError for another record."""
    order, sequence = bytes.fromhex(asked["subject"][2:]), asked["id"]
    row = reader.rows.get(RecordRow, Contract.LEDGER.value, sequence)
    proposed = None if row is None else row.event()
    if row is None or not isinstance(proposed, RevisionProposed) or row.subject != order:
        raise NotFoundError(f"record {sequence} proposed no revision of that order", hint="see the order's trace")
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
