"""Notes on orders and lots (contracts/src/history/Notes.sol)."""

from __future__ import annotations

from ledger.events import Recorded, notes
from ledger.index.state import State, on


def note_recorded(_record: Recorded[notes.NoteRecorded], _state: State) -> None:
    """Changes no row: the histories that it enters lead to the record."""


PROJECTIONS = dict([on(notes.NoteRecorded, note_recorded)])
