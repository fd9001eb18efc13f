"""Reads and creates the gateway's secrets."""

from __future__ import annotations

import secrets

from sqlalchemy import Connection

from ledger.store import Rows
from services.gateway.http.tables import SecretRow

__all__ = ["SecretRepository"]

_SECRET_BYTES = 32


class SecretRepository:
    """Reads and creates secrets in the caller's transaction."""

    def __init__(self, connection: Connection) -> None:
        self._rows = Rows(connection)

    def secret(self, name: str) -> bytes:
        """32 random bytes, created by the first call and stored. Needs a transaction that may write."""
        found = self._rows.get(SecretRow, name)
        if found is None:
            found = SecretRow(name, secrets.token_bytes(_SECRET_BYTES))
            self._rows.insert([found])
        return found.value
