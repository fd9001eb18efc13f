"""The chain that the index follows, and the participants who may act on it now."""

from __future__ import annotations

from sqlalchemy import Connection

from ledger.store.repository import Rows
from ledger.store.rows import ChainIdentityRow, KeyRow, ParticipantRow

__all__ = ["Registry"]


class Registry:
    """Reads participants and keys from the index, within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._rows = Rows(connection)

    def identity(self) -> ChainIdentityRow | None:
        """The chain and ledger that the index follows; None if it has never followed one."""
        return self._rows.get(ChainIdentityRow, 1)

    def participant(self, number: int) -> ParticipantRow | None:
        """The participant with a number; None if it is suspended, has left, or was never admitted."""
        found = self._rows.get(ParticipantRow, number)
        return None if found is None or found.suspended or found.departed else found

    def participant_of(self, address: bytes) -> ParticipantRow | None:
        """The participant for whom a key signs; None if the key is unknown or revoked, or the participant
        suspended or departed."""
        key = self._rows.get(KeyRow, address)
        return None if key is None or key.revoked_at else self.participant(key.participant)
