"""Who is in the consortium, as the index has it."""

from __future__ import annotations

from ledger.errors import NotFoundError
from ledger.provenance import answers
from ledger.provenance.jsonform import moment
from ledger.provenance.reader import open_reader
from ledger.records import Role
from ledger.store import Store
from ledger.store.rows import KeyRow, ParticipantRow

__all__ = ["participant", "participants"]


def participant(store: Store, number: int) -> answers.Participant:
    """Raises NotFoundError when there is none of that number."""
    for found in participants(store):
        if found.participant == number:
            return found
    raise NotFoundError(f"there is no participant {number}", hint="see the list")


def participants(store: Store) -> tuple[answers.Participant, ...]:
    """All participants, by number. Raises NotFoundError when nothing is indexed yet."""
    with open_reader(store) as reader:
        keys = reader.rows.find(KeyRow, revoked_at=0)
        names = reader.book.names()
        rows = sorted(reader.rows.find(ParticipantRow), key=lambda row: row.number)
    return tuple(
        answers.Participant(
            participant=row.number,
            name=names.get(row.number),
            roles=tuple(str(role.name).lower() for role in Role if role & row.roles),
            suspended=row.suspended,
            keys=tuple(key.address for key in keys if key.participant == row.number),
            admitted_at=moment(row.admitted_at),
        )
        for row in rows
    )
