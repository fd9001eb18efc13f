"""The subjects that records requested over HTTP create."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.store import schema_of


@dataclass(slots=True)
class RecordingRow:
    """The subjects created by one record that was requested over HTTP."""

    key: str
    """The record's idempotency key in the outbox."""
    caller: int
    """Participant; 0 for the operator of a gateway that is open on loopback."""
    subjects: str
    """JSON list of 0x-hex: the new subjects, in the order in which the record names them."""


_SCHEMA = schema_of("services")
recordings = _SCHEMA.table("recordings", RecordingRow, "key")
