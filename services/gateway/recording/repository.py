"""Stores records that were requested over HTTP, together with the subjects that they create."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection

from ledger.store import Rows
from ledger.store.outbox import Entry, enqueue_in
from services.gateway.recording.tables import RecordingRow

__all__ = ["RecordingRepository"]


class RecordingRepository:
    """Reads and writes recordings in the caller's transaction, which may do more."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows = Rows(connection)

    def queue(self, signer: bytes, entry: Entry, row: RecordingRow) -> int:
        """Puts a record into the outbox and stores what it creates, replacing an earlier row under its key. Returns its
        id in the outbox. Raises as Outbox.enqueue does."""
        self._rows.put(row)
        return enqueue_in(self._connection, signer, entry)

    def get(self, key: str) -> RecordingRow | None:
        return self._rows.get(RecordingRow, key)

    def naming(self, subjects: Collection[str]) -> list[RecordingRow]:
        """Recordings that create exactly one of these lists of subjects, each encoded as in RecordingRow."""
        return self._rows.among(RecordingRow, "subjects", subjects)
