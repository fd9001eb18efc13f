"""How other companies are reached: what the directory in force says, checked at each use."""

from __future__ import annotations

from dataclasses import dataclass

from millmark.ledger.store import Registry, Store
from millmark.services.directory.errors import RecipientKeyError
from millmark.services.directory.recipient_keys import verify_statement
from millmark.services.directory.repository import DirectoryRepository

__all__ = ["Addressee", "find_addressee"]


@dataclass(frozen=True, slots=True)
class Addressee:
    """A company of the directory."""

    name: str
    gateway: str | None
    """URL of its gateway; None if it has none."""
    key: bytes | None
    """Its X25519 key, 32 bytes; None if it has none that an active key of it signed."""


def find_addressee(store: Store, participant: int) -> Addressee | None:
    """Looks a company up; None if the directory does not list it."""
    with store.reading() as connection:
        entry = DirectoryRepository(connection).entry(participant)
        if entry is None:
            return None
        statement = entry.recipient_key
        try:
            if statement is not None:
                verify_statement(Registry(connection), participant, statement)
        except RecipientKeyError:
            statement = None
    return Addressee(entry.name, entry.gateway, None if statement is None else statement.public_key)
