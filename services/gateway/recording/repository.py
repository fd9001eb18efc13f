"""Records that are requested over HTTP, queued together with what they create."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection

from ledger.store import Rows
from ledger.store.outbox import Entry, enqueue_in
from services.gateway.recording.tables import RecordingRow

__all__ = ["RecordingRepository"]


class RecordingRepository:
    """Reads and writes within one transaction, which may do more."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows = Rows(connection)

    def queue(self, signer: bytes, entry: Entry, row: RecordingRow) -> int:
        """Puts a record into the outbox, and notes what it creates in place of what was noted under its key; returns
        its id in the outbox. Raises as Outbox.enqueue."""
        self._rows.put(row)
        return enqueue_in(self._connection, signer, entry)

    def get(self, key: str) -> RecordingRow | None:
        return self._rows.get(RecordingRow, key)

    def naming(self, subjects: Collection[str]) -> list[RecordingRow]:
        """Recordings that create exactly one of these lists of things, each as in RecordingRow."""
        return self._rows.among(RecordingRow, "subjects", subjects)
