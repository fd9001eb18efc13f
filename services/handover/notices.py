"""Who is told what a recall notice or a drift note says, and who what an answer to a notice says
(ledger/provenance/cases.py)."""

from __future__ import annotations

from millmark.ledger.events import Event
from millmark.ledger.events.notes import NoteRecorded
from millmark.ledger.provenance.cases import carried_in, find_concerned, packed_in, walk
from millmark.ledger.records import NoteKind
from millmark.ledger.store import Rows
from millmark.ledger.store.rows import (
    AssignmentRow,
    LotInputRow,
    LotOutputRow,
    LotRow,
    NoteRow,
    RecordHistoryRow,
    RecordRow,
)

__all__ = ["authors", "called_back", "makers"]

_MOST_NOTICES = 1_000
"""Notices that an answer may be about, the latest."""
_ANSWERS = (NoteKind.ACKNOWLEDGEMENT, NoteKind.RESOLUTION)


def called_back(rows: Rows, record: RecordRow, event: Event) -> set[int]:
    """Who made, has or ever had any of what a recall notice reaches."""
    if not isinstance(event, NoteRecorded) or event.kind_ != NoteKind.RECALL_NOTICE:
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


def _named(rows: Rows, record: RecordRow) -> set[bytes]:
    """The lots that a note is about; of an order, all its lots."""
    about = {row.subject for row in rows.find(RecordHistoryRow, sequence=record.sequence)}
    lots = {row.subject for row in rows.among(LotRow, "subject", about)}
    return lots | {row.subject for row in rows.among(LotRow, "order", about - lots)}


def _origins(rows: Rows, lots: set[bytes]) -> set[bytes]:
    made: set[int] = rows.values(LotOutputRow, "sequence", "lot", lots)
    taken: set[bytes] = rows.values(LotInputRow, "lot", "sequence", made)
    return taken
