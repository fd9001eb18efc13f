"""What the index says of the chain that it follows, and of who may act on it."""

from __future__ import annotations

from sqlalchemy import Connection

from ledger.store.repository import Rows
from ledger.store.rows import ChainIdentityRow, KeyRow, ParticipantRow

__all__ = ["Registry"]


class Registry:
    """Reads within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._rows = Rows(connection)

    def identity(self) -> ChainIdentityRow | None:
        """The chain and ledger that the index follows; None when none was ever followed."""
        return self._rows.get(ChainIdentityRow, 1)

    def participant(self, number: int) -> ParticipantRow | None:
        """None when it is suspended, or was never admitted."""
        found = self._rows.get(ParticipantRow, number)
        return None if found is None or found.suspended else found

    def participant_of(self, address: bytes) -> ParticipantRow | None:
        """For whom the key signs now: None when it is unknown or revoked, or its participant suspended."""
        key = self._rows.get(KeyRow, address)
        return None if key is None or key.revoked_at else self.participant(key.participant)
