"""Notes on orders and lots (contracts/src/history/Notes.sol)."""

from __future__ import annotations

from millmark.ledger.events import Recorded, notes
from millmark.ledger.index.state import State, on
from millmark.ledger.store.rows import NoteRow


def note_recorded(record: Recorded[notes.NoteRecorded], state: State) -> None:
    """Changes no other row: the histories that it enters lead to the record."""
    event = record.event
    state.add(NoteRow(record.sequence, event.kind_, record.participant, record.block_time, event.claims_root))


PROJECTIONS = dict([on(notes.NoteRecorded, note_recorded)])
