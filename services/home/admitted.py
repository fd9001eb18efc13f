"""Which participant a key was admitted for, also before it accepts."""

from __future__ import annotations

from millmark.ledger.events.registry import ParticipantAdmitted
from millmark.ledger.records import Contract
from millmark.ledger.store import Connection, Rows
from millmark.ledger.store.rows import KeyRow, ParticipantRow, RecordRow


def find_admitted(connection: Connection, key: bytes) -> int | None:
    """The participant whose key it is or was, or for which it was admitted as first key; None if there is none."""
    found = Rows(connection).get(KeyRow, key)
    if found is not None:
        return found.participant
    return next((number for number, first in find_unaccepted(connection).items() if first == key), None)


def find_unaccepted(connection: Connection) -> dict[int, bytes]:
    """The first keys of participants that have not accepted any key yet, by participant."""
    rows = Rows(connection)
    found: dict[int, bytes] = {}
    for company in rows.find(ParticipantRow, keys=0):
        record = rows.get(RecordRow, Contract.REGISTRY.value, company.sequence)
        event = None if record is None else record.event()
        if isinstance(event, ParticipantAdmitted) and not rows.find(KeyRow, participant=company.number):
            found[company.number] = event.first_key
    return found
