"""What a key has spent: gas and records of its latest final transactions."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from millmark.ledger.store.outbox_tables import OutboxState, outbox_attempts, outbox_records, outbox_transactions

__all__ = ["Spending", "find_spending", "known_signers"]

_TRANSACTIONS = 100
_RECORDS = 20_000
_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Spending:
    """How fast a key spends."""

    gas_per_record: int | None
    """Over the latest hundred final transactions with records; None before the first."""
    records_per_day: int
    """Over the latest final records: 20,000 of them, or fewer; at least over a day, if there are fewer."""


def find_spending(connection: Connection, signer: bytes, now_s: float) -> Spending:
    """Return how fast a signer spends. `now_s` is Unix time."""
    return Spending(_gas_per_record(connection, signer), _records_per_day(connection, signer, now_s))


def known_signers(connection: Connection) -> list[bytes]:
    """The keys that ever sent a transaction from this outbox, in ascending order."""
    query = select(outbox_transactions.c.signer).distinct().order_by(outbox_transactions.c.signer)
    return list(connection.execute(query).scalars())


def _gas_per_record(connection: Connection, signer: bytes) -> int | None:
    columns = outbox_transactions.c
    latest = (
        select(columns.id, columns.gas_used)
        .where(columns.signer == signer, columns.state == OutboxState.FINAL, columns.gas_used.is_not(None))
        .order_by(columns.nonce.desc())
        .limit(_TRANSACTIONS)
        .subquery()
    )
    # Counted by transaction first: joined with its records, its gas would count once for each.
    records = (
        select(latest.c.id, func.max(latest.c.gas_used).label("gas"), func.count().label("records"))
        .join(outbox_attempts, outbox_attempts.c.transaction_id == latest.c.id)
        .group_by(latest.c.id)
        .subquery()
    )
    gas, count = connection.execute(select(func.sum(records.c.gas), func.sum(records.c.records))).one()
    return None if not count else -(-int(gas) // int(count))


def _records_per_day(connection: Connection, signer: bytes, now_s: float) -> int:
    columns = outbox_records.c
    latest = (
        select(columns.queued_at_s)
        .where(columns.signer == signer, columns.state == OutboxState.FINAL)
        .order_by(columns.id.desc())
        .limit(_RECORDS)
        .subquery()
    )
    count, first_s = connection.execute(select(func.count(), func.min(latest.c.queued_at_s)).select_from(latest)).one()
    if not count:
        return 0
    span_s = max(now_s - float(first_s), 1.0)
    if count < _RECORDS:
        span_s = max(span_s, _DAY_S)  # the key is newer than a day
    return -(-int(count * _DAY_S) // int(span_s))
