"""Stored responses: their table, and all access to it. Times are seconds since 1970."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import Connection, delete

from millmark.ledger.store import Rows, schema_of


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


_SCHEMA = schema_of("millmark.services")
answers = _SCHEMA.table("answers", AnswerRow, "caller route key", "begun_at")


class AnswerRepository:
    """Reads and writes stored responses in the caller's transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows = Rows(connection)

    def find(self, caller: int, route: str, key: str) -> AnswerRow | None:
        return self._rows.get(AnswerRow, caller, route, key)

    def begin(self, row: AnswerRow) -> None:
        """Stores that a request is in progress, replacing any row under its key."""
        self._rows.put(row)

    def finish(self, row: AnswerRow, status: int, headers: str, body: bytes) -> None:
        self._rows.put(replace(row, status=status, headers=headers, body=body))

    def drop(self, row: AnswerRow) -> None:
        """Deletes the row of a request, for example after it failed."""
        columns = (answers.c.caller == row.caller, answers.c.route == row.route, answers.c.key == row.key)
        self._connection.execute(delete(answers).where(*columns))

    def forget(self, before_s: int) -> None:
        """Deletes the rows of requests that began before a time."""
        self._connection.execute(delete(answers).where(answers.c.begun_at < before_s))

    def forget_answered(self) -> None:
        """Deletes all stored responses, so that erased content is not returned any more, and no salt of it can be made
        anew from the request. Requests in progress stay; work that was done is known by its token."""
        self._connection.execute(delete(answers).where(answers.c.status != 0))
