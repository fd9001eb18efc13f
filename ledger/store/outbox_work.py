"""The work of one key's submitter, as it reads it in every step: what is queued, and what is open."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sqlalchemy import Connection, RowMapping, false, select

from millmark.ledger.store.database import Store
from millmark.ledger.store.outbox_rows import read_record, read_transaction
from millmark.ledger.store.outbox_tables import (
    OPEN,
    UNMINED,
    OutboxState,
    QueuedRecord,
    SentTransaction,
    outbox_attempts,
    outbox_records,
    outbox_transactions,
)

__all__ = ["Work"]

_CHANGING = ("state", "hash", "noop", "block_number", "block_hash", "gas_used")
"""What a transaction's progress changes, beside its versions, which change with the hash."""


class Work:
    """The queued records and open transactions of a key that sends transactions itself.

    Remembers what it has read. Signed bytes and records of a transaction never change, so that for a transaction that
    is known only its progress is read again.
    """

    def __init__(self, store: Store, signer: bytes) -> None:
        self._store = store
        self._signer = signer
        self._known: dict[int, SentTransaction] = {}

    def queued(self, most: int) -> list[QueuedRecord]:
        """The oldest queued records, at most `most`."""
        query = (
            select(outbox_records)
            .where(outbox_records.c.signer == self._signer, outbox_records.c.state == OutboxState.QUEUED)
            .order_by(outbox_records.c.id)
            .limit(most)
        )
        with self._store.reading() as connection:
            return [read_record(row) for row in connection.execute(query).mappings()]

    def open_transactions(self) -> list[SentTransaction]:
        """Like `Outbox.open_transactions`. Of their records, the states may be earlier ones."""
        columns = (outbox_transactions.c[name] for name in ("id", *_CHANGING))
        query = select(*columns).where(
            outbox_transactions.c.signer == self._signer,
            outbox_transactions.c.relayed == false(),
            outbox_transactions.c.state.in_(OPEN),
        )
        with self._store.reading() as connection:
            rows = connection.execute(query).mappings().all()
            cancelling = self._cancelling(connection) if rows else set()
            found = [self._read(connection, row, row["id"] in cancelling) for row in rows]
        # Sorted here: asked for the order, SQLite reads all transactions of the key in it, final ones too.
        found.sort(key=lambda transaction: (transaction.nonce, transaction.id))
        self._known = {transaction.id: transaction for transaction in found}
        return found

    def remember(self, transactions: Iterable[SentTransaction]) -> None:
        """Transactions as they were stored a moment ago, which need not be read again."""
        self._known |= {transaction.id: transaction for transaction in transactions}

    def _cancelling(self, connection: Connection) -> set[int]:
        """The transactions with a record that the operator cancelled meanwhile."""
        query = (
            select(outbox_attempts.c.transaction_id)
            .join(outbox_records, outbox_records.c.id == outbox_attempts.c.record_id)
            .where(
                outbox_records.c.signer == self._signer,
                outbox_records.c.state.in_(UNMINED),
                outbox_records.c.cancelling,
            )
        )
        return set(connection.execute(query).scalars())

    def _read(self, connection: Connection, row: RowMapping, cancelling: bool) -> SentTransaction:
        known = self._known.get(row["id"])
        if known is None or known.hash != row["hash"] or cancelling:
            return read_transaction(connection, row["id"])
        if known.state == row["state"] and known.block_hash == row["block_hash"]:
            return known
        return replace(known, **{**row, "state": OutboxState(row["state"])})
