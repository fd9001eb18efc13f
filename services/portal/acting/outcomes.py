"""What is so once a record is final, for the sentence that says it: who has the thing, since when, who acts next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from millmark.ledger.provenance.answers import Party, moment
from millmark.ledger.provenance.reader import Reader
from millmark.ledger.store.rows import CustodyChangeRow, RecordHistoryRow, RecordRow
from millmark.services.portal.acting.summaries import Value, named

__all__ = ["Outcome", "find_outcome"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The values of `act.NAME.done` in the catalogue."""

    thing: Value
    """What the record is about."""
    own: Party
    """The company that recorded it."""
    giver: Party | None
    """Who had it before, or has it while it is offered; None if the record changed nothing about that."""
    taker: Party | None
    """Who has it now, or is asked to take it."""
    at: datetime | None
    """Time of the record's block."""


def find_outcome(reader: Reader, row: RecordRow, *, lasts: bool) -> Outcome | None:
    """What came of a record of the ledger that is in the index. None, unless its sentence `lasts`, once something else
    was recorded about the same thing: it may then not be so any more."""
    last = reader.rows.latest(RecordHistoryRow, "sequence", 1, subject=row.subject)
    if last and last[0].sequence > row.sequence and not lasts:
        return None
    change = reader.rows.get(CustodyChangeRow, row.sequence, row.subject)
    return Outcome(
        thing=Value("thing", named(reader, row.subject)),
        own=reader.party(row.participant),
        giver=None if change is None else reader.some_party(change.from_participant),
        taker=None if change is None else reader.some_party(change.to_participant),
        at=moment(row.block_time),
    )
