"""Transactions that were final, in blocks that the chain lost: it was set back by its validators, or restored.

Their records are sent again as they were, with the same nonces, and where possible the same bytes: should a block have
them after all, they are found there, and nothing is made twice. All functions work in the caller's transaction.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, delete, select

from millmark.ledger.store.outbox_rows import record_ids, set_records, set_transaction
from millmark.ledger.store.outbox_tables import OutboxState, outbox_attempts, outbox_replaced, outbox_transactions

__all__ = ["FinalTransaction", "final_transactions", "forget_unused", "reopen"]

_GONE = {"block_number": None, "block_hash": None, "gas_used": None}


@dataclass(frozen=True, slots=True)
class FinalTransaction:
    """A final transaction, and the block that it was in."""

    id: int
    nonce: int
    block_number: int
    block_hash: bytes


def final_transactions(connection: Connection, signer: bytes, below: int | None, most: int) -> list[FinalTransaction]:
    """The final transactions of a signer with the highest nonces; only those `below` a nonce, if it is not None."""
    columns = outbox_transactions.c
    query = select(columns.id, columns.nonce, columns.block_number, columns.block_hash)
    query = query.where(*_sent_by(signer), columns.state == OutboxState.FINAL, columns.block_hash.is_not(None))
    if below is not None:
        query = query.where(columns.nonce < below)
    return [FinalTransaction(*row) for row in connection.execute(query.order_by(columns.nonce.desc()).limit(most))]


def reopen(connection: Connection, transaction_id: int) -> int:
    """Have a final transaction sent again. Returns the number of its records. Raises SubmitError if it is not final any
    more."""
    ids = record_ids(connection, transaction_id)
    if not ids:  # taken in from the ledger, in another form than the submitter's: nobody here can make its records
        set_transaction(connection, transaction_id, OutboxState.FINAL, OutboxState.FAILED, _GONE)
        return 0
    query = select(outbox_transactions.c.raw).where(outbox_transactions.c.id == transaction_id)
    # One that was taken in from the ledger has no bytes here: the same call is signed again.
    has_bytes = connection.execute(query).scalar_one() is not None
    after, gone = (OutboxState.SENT, _GONE) if has_bytes else (OutboxState.NONCED, {**_GONE, "hash": None})
    set_transaction(connection, transaction_id, OutboxState.FINAL, after, gone)
    set_records(connection, ids, OutboxState.FINAL, after, {"sequence": None})
    return len(ids)


def forget_unused(connection: Connection, signer: bytes, first: int) -> None:
    """Forget the closed transactions that made no records, from nonce `first` on, which is unused now: what fills these
    nonces is signed anew."""
    closed = (OutboxState.REPLACED, OutboxState.FAILED)
    those = select(outbox_transactions.c.id).where(
        *_sent_by(signer), outbox_transactions.c.state.in_(closed), outbox_transactions.c.nonce >= first
    )
    ids = list(connection.execute(those).scalars())
    for table in (outbox_attempts, outbox_replaced):
        connection.execute(delete(table).where(table.c.transaction_id.in_(ids)))
    connection.execute(delete(outbox_transactions).where(outbox_transactions.c.id.in_(ids)))


def _sent_by(signer: bytes) -> tuple[ColumnElement[bool], ...]:
    return outbox_transactions.c.signer == signer, outbox_transactions.c.relayed.is_(False)
