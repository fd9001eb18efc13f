"""How far the index has come."""

from __future__ import annotations

from dataclasses import dataclass

from millmark.ledger.store import Rows, Store
from millmark.ledger.store.rows import ChainIdentityRow, CursorRow

_ONLY = 1


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """How far the index has come, and which ledger it follows."""

    chain_id: int
    registry: bytes
    ledger: bytes
    block_number: int
    block_hash: bytes
    block_time: int
    """Seconds since 1970; 0 before the first block."""
    registry_sequence: int
    """Number of indexed records of the registry; the ledger's records are numbered apart."""
    ledger_sequence: int
    digest: bytes
    """32 bytes; equal for two indexes that have indexed the same records in the same order."""


def fetch_status(store: Store) -> IndexStatus | None:
    """How far the index has come; None if no chain has been followed yet."""
    with store.reading() as connection:
        rows = Rows(connection)
        identity, cursor = rows.get(ChainIdentityRow, _ONLY), rows.get(CursorRow, _ONLY)
    if identity is None or cursor is None:
        return None
    return IndexStatus(
        chain_id=identity.chain_id,
        registry=identity.registry,
        ledger=identity.ledger,
        block_number=cursor.block_number,
        block_hash=cursor.block_hash,
        block_time=cursor.block_time,
        registry_sequence=cursor.registry_sequence,
        ledger_sequence=cursor.ledger_sequence,
        digest=cursor.digest,
    )
