"""Notes: something said about orders and lots, without a change of state (INotes)."""

from __future__ import annotations

from dataclasses import dataclass

from millmark.ledger.events._base import LedgerEvent
from millmark.ledger.records import U16, ClaimsRoot


@dataclass(frozen=True, slots=True)
class NoteRecorded(LedgerEvent):
    """A note enters the histories of all subjects it is about. A note of the registry's owner has the participant 0."""

    kind_: U16
    """A `NoteKind`, or a number that the consortium agreed on."""
    claims_root: ClaimsRoot
