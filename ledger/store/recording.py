"""Records queued together with whatever they need: all of it durable, or nothing."""

from __future__ import annotations

from sqlalchemy import Connection

from ledger.store.answer_rows import RecordingRow
from ledger.store.answers import AnswerRepository
from ledger.store.book import Book
from ledger.store.outbox import enqueue_in
from ledger.store.outbox_tables import Entry

__all__ = ["RecordingRepository"]


class RecordingRepository:
    """Within one transaction, which may do more."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.book = Book(connection)
        """For what the records' hashes and roots are of."""

    def queue(self, signer: bytes, entry: Entry, row: RecordingRow) -> int:
        """Its id in the outbox. Raises what Outbox.enqueue raises."""
        AnswerRepository(self._connection).add_recording(row)
        return enqueue_in(self._connection, signer, entry)
