"""Notes on orders and lots (INotes)."""

from __future__ import annotations

from dataclasses import dataclass

from millmark.ledger.records._base import U16, Bytes32, LedgerRecord

__all__ = ["Note"]


@dataclass(frozen=True, slots=True)
class Note(LedgerRecord):
    """Says something about orders and lots, without a change of state."""

    event = "NoteRecorded"
    subjects: tuple[Bytes32, ...]
    """Strictly ascending."""
    grounds: tuple[Bytes32, ...]
    """For each subject, what shows the caller's part in it: of a lot, for its maker the identifier hash, for a party of
    its order that order; otherwise zeros."""
    kind: U16
    """A `NoteKind`, or a number that the consortium agreed on; not 0."""
    claims_root: Bytes32
