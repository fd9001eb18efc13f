"""Answers that were given to writes. Times are seconds since 1970."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.store import schema_of


@dataclass(slots=True)
class AnswerRow:
    """The answer to a write, so that the same request is done once and gets the same answer again."""

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


_SCHEMA = schema_of("services")
answers = _SCHEMA.table("answers", AnswerRow, "caller route key", "begun_at")
