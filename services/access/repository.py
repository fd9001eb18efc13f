"""Credentials that were issued, and nonces that are spent."""

from __future__ import annotations

from sqlalchemy import Connection, delete, select, update

from ledger.store import Rows
from services.access.tables import CredentialRow, SpentNonceRow, credentials, spent_nonces

__all__ = ["AccessRepository"]


class AccessRepository:
    """Reads and writes within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows = Rows(connection)

    def spend_nonce(self, nonce: str, expires_at: int, now_s: int) -> bool:
        """Spends a nonce; False if it was spent before. Deletes those that have expired."""
        self._connection.execute(delete(spent_nonces).where(spent_nonces.c.expires_at < now_s))
        if self._rows.get(SpentNonceRow, nonce) is not None:
            return False
        self._rows.insert(
            [SpentNonceRow(nonce, expires_at)]
        )  # writers take turns, so nobody spent it since the look above
        return True

    def add_credential(self, row: CredentialRow) -> None:
        """Raises StoreError when its id is taken."""
        self._rows.insert([row])

    def credential(self, id_: str) -> CredentialRow | None:
        return self._rows.get(CredentialRow, id_)

    def credentials(self, kind: str) -> list[CredentialRow]:
        """All of one kind, oldest first."""
        query = (
            select(credentials).where(credentials.c.kind == kind).order_by(credentials.c.issued_at, credentials.c.id)
        )
        return [CredentialRow(*row) for row in self._connection.execute(query)]

    def revoke_credential(self, id_: str, kind: str, now_s: int) -> bool:
        """False if there is none of that kind, or it is revoked already."""
        statement = (
            update(credentials)
            .where(credentials.c.id == id_, credentials.c.kind == kind, credentials.c.revoked_at == 0)
            .values(revoked_at=now_s)
        )
        return self._connection.execute(statement).rowcount == 1

    def forget_credentials(self, kind: str, before_s: int) -> None:
        """Deletes those that expired before a moment."""
        gone = (credentials.c.kind == kind, credentials.c.expires_at < before_s)
        self._connection.execute(delete(credentials).where(*gone))
