"""What records that were requested over HTTP create."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.store import schema_of


@dataclass(slots=True)
class RecordingRow:
    """What a record that was requested over HTTP creates."""

    key: str
    """Its idempotency key in the outbox."""
    caller: int
    """Participant; 0 for whoever runs a gateway that is open on the loopback."""
    subjects: str
    """JSON list of 0x-hex: the new things that it names, in its own order."""


_SCHEMA = schema_of("services")
recordings = _SCHEMA.table("recordings", RecordingRow, "key")
