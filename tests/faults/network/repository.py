"""What the judge reads of an outbox: where each record is, and how often one went out."""

from __future__ import annotations

from sqlalchemy import Connection, distinct, func, select

from millmark.ledger.store.outbox_records import OutboxState, outbox_attempts, outbox_records

__all__ = ["OutboxRepository"]


class OutboxRepository:
    """Reads an outbox in the caller's transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def states(self) -> dict[str, tuple[OutboxState, int | None]]:
        """State of each record, and its sequence on the chain once it is mined, by idempotency key."""
        columns = outbox_records.c
        query = select(columns.idempotency_key, columns.state, columns.sequence)
        return {key: (OutboxState(state), sequence) for key, state, sequence in self._connection.execute(query)}

    def count_sent_again(self) -> int:
        """Number of records that were in several transactions, each of which has a nonce of its own."""
        tries = func.count(distinct(outbox_attempts.c.transaction_id))
        query = select(outbox_attempts.c.record_id).group_by(outbox_attempts.c.record_id).having(tries > 1)
        return len(self._connection.execute(query).all())
