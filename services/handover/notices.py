"""Who is told what a recall notice or a drift note says, and who what an answer to a notice says
(ledger/provenance/cases.py)."""

from __future__ import annotations

from collections.abc import Callable, Collection

from ledger.events import Event
from ledger.events.notes import NoteRecorded
from ledger.records import Contract, NoteKind
from ledger.store import Rows
from ledger.store.rows import (
    AssignmentRow,
    CustodyChangeRow,
    LotInputRow,
    LotOutputRow,
    LotRow,
    NoteRow,
    PackingRow,
    RecordHistoryRow,
    RecordRow,
)

__all__ = ["authors", "called_back", "makers"]

_MOST_LOTS, _MOST_NOTICES = 2_000, 1_000
"""Lots that are followed, and notices that an answer may be about, the latest."""
_ANSWERS = (NoteKind.ACKNOWLEDGEMENT, NoteKind.RESOLUTION)


def called_back(rows: Rows, record: RecordRow, event: Event) -> set[int]:
    """Who made, has or ever had any of what a recall notice reaches. Nobody leaves the set, so that sender and receiver
    agree on it although one of them may have newer records."""
    if not isinstance(event, NoteRecorded) or event.kind_ != NoteKind.RECALL_NOTICE:
        return set()
    reached = _walk(_named(rows, record), lambda lots: _packed_in(rows, lots) | _made_from(rows, lots))
    made = {row.sequence for row in rows.among(LotRow, "subject", reached)}
    found = {row.participant for row in rows.among(RecordRow, "sequence", made, contract=Contract.LEDGER.value)}
    changes = [(row, 0, 0) for row in rows.among(CustodyChangeRow, "lot", reached)]
    packings = rows.among(PackingRow, "child", reached)
    moved = _changes_of(rows, {one.parent for one in packings})
    for one in packings:
        changes += [(row, one.packed_by, one.unpacked_by) for row in moved.get(one.parent, [])]
    return found | {
        row.to_participant
        for row, since, until in changes
        if row.kind.startswith("CustodyAccepted") and row.sequence > since and (not until or row.sequence < until)
    }


def authors(rows: Rows, record: RecordRow, event: Event) -> set[int]:
    """Who recorded the notices that an acknowledgement or resolution answers: those from before that reach its lots."""
    if not isinstance(event, NoteRecorded) or event.kind_ not in _ANSWERS:
        return set()
    notices = rows.latest(NoteRow, "sequence", _MOST_NOTICES, note_kind=int(NoteKind.RECALL_NOTICE))
    earlier = {one.sequence: one.participant for one in notices if one.sequence < record.sequence}
    inside = _walk(_named(rows, record), lambda lots: _packed_in(rows, lots))
    origins = _walk(inside, lambda lots: _origins(rows, lots) | _carriers(rows, lots))
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


def _walk(start: Collection[bytes], step: Callable[[set[bytes]], set[bytes]]) -> set[bytes]:
    found, layer = set(start), set(start)
    while layer and len(found) < _MOST_LOTS:
        layer = step(layer) - found
        found |= layer
    return found


def _made_from(rows: Rows, lots: set[bytes]) -> set[bytes]:
    taken: set[int] = rows.values(LotInputRow, "sequence", "lot", lots)
    made: set[bytes] = rows.values(LotOutputRow, "lot", "sequence", taken)
    return made


def _origins(rows: Rows, lots: set[bytes]) -> set[bytes]:
    made: set[int] = rows.values(LotOutputRow, "sequence", "lot", lots)
    taken: set[bytes] = rows.values(LotInputRow, "lot", "sequence", made)
    return taken


def _packed_in(rows: Rows, lots: set[bytes]) -> set[bytes]:
    return {row.subject for row in rows.among(LotRow, "parent", lots)}


def _carriers(rows: Rows, lots: set[bytes]) -> set[bytes]:
    return {row.parent for row in rows.among(LotRow, "subject", lots) if row.parent is not None}


def _changes_of(rows: Rows, lots: Collection[bytes]) -> dict[bytes, list[CustodyChangeRow]]:
    found: dict[bytes, list[CustodyChangeRow]] = {}
    for row in rows.among(CustodyChangeRow, "lot", lots):
        found.setdefault(row.lot, []).append(row)
    return found
