"""Records that were requested over HTTP, with the subjects that they create: their table, and all access to it."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection

from millmark.ledger.store import Rows, outbox, outbox_records, schema_of


@dataclass(slots=True)
class RecordingRow:
    """The subjects created by one record that was requested over HTTP."""

    key: str
    """The record's idempotency key in the outbox."""
    caller: int
    """Participant; 0 for the operator of a gateway that is open on loopback."""
    subjects: str
    """JSON list of 0x-hex: the new subjects, in the order in which the record names them."""


_SCHEMA = schema_of("millmark.services")
recordings = _SCHEMA.table("recordings", RecordingRow, "key")


class RecordingRepository:
    """Reads and writes recordings in the caller's transaction, which may do more."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows = Rows(connection)

    def queue(self, signer: bytes, entry: outbox_records.Entry, row: RecordingRow) -> int:
        """Puts a record into the outbox and stores what it creates, replacing an earlier row under its key. Returns its
        id in the outbox. Raises as Outbox.enqueue does."""
        self.put(row)
        return outbox.enqueue_in(self._connection, signer, entry)

    def put(self, row: RecordingRow) -> None:
        """Stores what a record creates, replacing an earlier row under its key."""
        self._rows.put(row)

    def get(self, key: str) -> RecordingRow | None:
        return self._rows.get(RecordingRow, key)

    def naming(self, subjects: Collection[str]) -> list[RecordingRow]:
        """Recordings that create exactly one of these lists of subjects, each encoded as in RecordingRow."""
        return self._rows.among(RecordingRow, "subjects", subjects)


def describe_subjects(subjects: list[bytes]) -> str:
    """Encodes subjects as in RecordingRow."""
    return json.dumps(["0x" + one.hex() for one in subjects])
