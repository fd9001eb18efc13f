"""What writes were answered, and the gateway's own secrets."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import replace

from sqlalchemy import Connection, delete

from ledger.store.answer_rows import AnswerRow, RecordingRow, SecretRow
from ledger.store.repository import Rows
from ledger.store.tables import answers

__all__ = ["AnswerRepository"]

_SECRET_BYTES = 32


class AnswerRepository:
    """Reads and writes within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows = Rows(connection)

    def find(self, caller: int, route: str, key: str) -> AnswerRow | None:
        return self._rows.get(AnswerRow, caller, route, key)

    def begin(self, row: AnswerRow) -> None:
        """Notes that somebody works on a request; replaces what was noted under its key."""
        self._rows.put(row)

    def finish(self, row: AnswerRow, status: int, headers: str, body: bytes) -> None:
        self._rows.put(replace(row, status=status, headers=headers, body=body))

    def drop(self, row: AnswerRow) -> None:
        """Forgets a request that came to nothing."""
        columns = (answers.c.caller == row.caller, answers.c.route == row.route, answers.c.key == row.key)
        self._connection.execute(delete(answers).where(*columns))

    def forget(self, before_s: int) -> None:
        """Deletes what was begun before a moment."""
        self._connection.execute(delete(answers).where(answers.c.begun_at < before_s))

    def add_recording(self, row: RecordingRow) -> None:
        """Notes what a record makes; replaces what was noted under its key."""
        self._rows.put(row)

    def recording(self, key: str) -> RecordingRow | None:
        return self._rows.get(RecordingRow, key)

    def recordings_of(self, subjects: Collection[str]) -> list[RecordingRow]:
        """Those that name exactly these new things, as RecordingRow has them."""
        return self._rows.among(RecordingRow, "subjects", subjects)

    def forget_saying(self, text: bytes) -> None:
        """Deletes answers that have `text` in them: what is erased must not be answered again."""
        for row in [row for row in self._rows.scan(AnswerRow) if text in row.body]:
            self.drop(row)

    def secret(self, name: str) -> bytes:
        """32 random bytes, the same at each call, also after a restart. Within a writing transaction."""
        found = self._rows.get(SecretRow, name)
        if found is None:
            found = SecretRow(name, secrets.token_bytes(_SECRET_BYTES))
            self._rows.insert([found])
        return found.value
