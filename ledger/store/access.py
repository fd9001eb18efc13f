"""Who may ask: credentials that were given out, nonces that are spent, and what the registry says of a key."""

from __future__ import annotations

from sqlalchemy import Connection, delete, select, update

from ledger.store.access_rows import CredentialRow, SpentNonceRow
from ledger.store.repository import Rows
from ledger.store.rows import ChainIdentityRow, KeyRow, ParticipantRow
from ledger.store.tables import credentials, spent_nonces

__all__ = ["AccessRepository"]


class AccessRepository:
    """Reads and writes within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows = Rows(connection)

    def chain_id(self) -> int | None:
        """Of the chain that the index follows; None when none was ever followed."""
        identity = self._rows.get(ChainIdentityRow, 1)
        return None if identity is None else identity.chain_id

    def participant(self, number: int) -> ParticipantRow | None:
        """Unless it is suspended, or was never admitted."""
        found = self._rows.get(ParticipantRow, number)
        return None if found is None or found.suspended else found

    def participant_of(self, address: bytes) -> ParticipantRow | None:
        """For whom the key signs now: None when it is unknown or revoked, or its participant suspended."""
        key = self._rows.get(KeyRow, address)
        return None if key is None or key.revoked_at else self.participant(key.participant)

    def spend_nonce(self, nonce: str, expires_at: int, now_s: int) -> bool:
        """Whether it was unspent; it is spent now. Forgets those that have expired."""
        self._connection.execute(delete(spent_nonces).where(spent_nonces.c.expires_at < now_s))
        if self._rows.get(SpentNonceRow, nonce) is not None:
            return False
        self._rows.insert([SpentNonceRow(nonce, expires_at)])  # writers take turns: nobody was here since
        return True

    def add_credential(self, row: CredentialRow) -> None:
        """Raises StoreError when its id is taken."""
        self._rows.insert([row])

    def credential(self, id_: str) -> CredentialRow | None:
        return self._rows.get(CredentialRow, id_)

    def credentials(self, kind: str) -> list[CredentialRow]:
        """All of one kind, the oldest first."""
        query = (
            select(credentials).where(credentials.c.kind == kind).order_by(credentials.c.issued_at, credentials.c.id)
        )
        return [CredentialRow(*row) for row in self._connection.execute(query)]

    def revoke_credential(self, id_: str, kind: str, now_s: int) -> bool:
        """Whether there was one of that kind that was not revoked yet."""
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
