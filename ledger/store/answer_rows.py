"""One class per table of what the gateway remembers of its own answers. Times are seconds since 1970."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class AnswerRow:
    """What a write was answered, so that its repetition is answered the same and done once."""

    caller: int
    """Participant; 0 for whoever runs a gateway that is open on the loopback."""
    route: str
    """Method and path, as the router has it."""
    key: str
    """The caller's own name for the request."""
    request: bytes
    """SHA-256 of what was asked."""
    holder: str
    """The process that works on it."""
    begun_at: int
    status: int
    """Of the answer; 0 while there is none."""
    headers: str
    """JSON, by lower-case name."""
    body: bytes


@dataclass(slots=True)
class SecretRow:
    """Random bytes that the gateway made for itself, once."""

    name: str
    value: bytes


@dataclass(slots=True)
class RecordingRow:
    """What a record that was asked for over HTTP makes."""

    key: str
    """Its idempotency key in the outbox."""
    caller: int
    """Participant; 0 for whoever runs a gateway that is open on the loopback."""
    subjects: str
    """JSON list of 0x-hex: the new things that it names, in its own order."""
