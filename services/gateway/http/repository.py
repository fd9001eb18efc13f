"""Secrets that the gateway generates for itself: their table, and all access to it."""

from __future__ import annotations

from dataclasses import dataclass
from secrets import token_bytes

from sqlalchemy import Connection

from millmark.ledger.store import Rows, Store, schema_of


@dataclass(slots=True)
class SecretRow:
    """Random bytes, generated once."""

    name: str
    value: bytes


_SCHEMA = schema_of("millmark.services")
secrets = _SCHEMA.table("secrets", SecretRow, "name")


_SECRET_BYTES = 32


class SecretRepository:
    """Reads and creates secrets in the caller's transaction."""

    def __init__(self, connection: Connection) -> None:
        self._rows = Rows(connection)

    def find(self, name: str) -> bytes | None:
        """The secret; None if it was not created yet."""
        found = self._rows.get(SecretRow, name)
        return None if found is None else found.value

    def secret(self, name: str) -> bytes:
        """32 random bytes, created by the first call and stored. Needs a transaction that may write."""
        found = self._rows.get(SecretRow, name)
        if found is None:
            found = SecretRow(name, token_bytes(_SECRET_BYTES))
            self._rows.insert([found])
        return found.value


class StoredSecret:
    """A secret that all processes on one database share. Thread-safe."""

    def __init__(self, store: Store, name: str) -> None:
        self._store, self._name = store, name
        self._found: bytes | None = None

    def __call__(self) -> bytes:
        # Created at first use, because it may need a write transaction.
        if self._found is None:
            with self._store.transaction() as connection:
                self._found = SecretRepository(connection).secret(self._name)
        return self._found
