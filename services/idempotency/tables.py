"""The table of stored responses. Times are seconds since 1970."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.store import schema_of


@dataclass(slots=True)
class AnswerRow:
    """The response to a write, stored so that a repeated request takes effect once and gets the same response."""

    caller: int
    """Participant; 0 for the operator of a gateway that is open on loopback."""
    route: str
    """Method and path template, as registered with the router."""
    key: str
    """The caller's idempotency key."""
    request: bytes
    """SHA-256 of the request."""
    holder: str
    """The process that works on the request."""
    begun_at: int
    status: int
    """Status of the response; 0 while the request is in progress."""
    headers: str
    """JSON object; names are in lower case."""
    body: bytes


_SCHEMA = schema_of("services")
answers = _SCHEMA.table("answers", AnswerRow, "caller route key", "begun_at")
