"""Reads and writes stored responses."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection, delete

from ledger.store import Rows
from services.idempotency.tables import AnswerRow, answers

__all__ = ["AnswerRepository"]


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

    def forget_containing(self, text: bytes) -> None:
        """Deletes responses that contain `text`, so that erased content is not returned any more."""
        # A scan: responses are few, kept for days only, and erasing is rare.
        for row in [row for row in self._rows.scan(AnswerRow) if text in row.body]:
            self.drop(row)
