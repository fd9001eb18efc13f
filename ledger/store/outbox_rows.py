"""Reads the outbox's rows and changes their states, within one database transaction."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, CursorResult, RowMapping, select, update

from millmark.ledger.errors import StoreError, SubmitError
from millmark.ledger.store.outbox_tables import (
    OutboxState,
    QueuedRecord,
    SentTransaction,
    Version,
    outbox_attempts,
    outbox_records,
    outbox_replaced,
    outbox_transactions,
)

__all__ = [
    "STUCK",
    "block_dependants",
    "free_dependants",
    "new_id",
    "payload_digest",
    "read_record",
    "read_transaction",
    "record_ids",
    "release_records",
    "set_records",
    "set_transaction",
    "verify_moved",
    "waiting_state",
]

STUCK = (OutboxState.PAUSED, OutboxState.BLOCKED, OutboxState.FAILED, OutboxState.CANCELLED)
"""States of a record that block those that depend on it."""


def new_id(result: CursorResult[Any]) -> int:
    """The id that the database gave a new row. Raises StoreError if it gave none."""
    key = result.inserted_primary_key
    if key is None:
        raise StoreError(
            "the database did not assign an id to a new row", hint="report this, with the database and its version"
        )
    return int(key[0])


def payload_digest(contract: str, signer: bytes, payload: bytes) -> bytes:
    """Digest by which a repeated idempotency key is checked to come with the same record. 32 bytes."""
    return hashlib.sha256(contract.encode() + b"\0" + signer + payload).digest()


def record_ids(connection: Connection, transaction_id: int) -> list[int]:
    """The ids of a transaction's records, in call order."""
    query = (
        select(outbox_attempts.c.record_id)
        .where(outbox_attempts.c.transaction_id == transaction_id)
        .order_by(outbox_attempts.c.position)
    )
    return list(connection.execute(query).scalars())


def set_records(
    connection: Connection,
    ids: Sequence[int],
    before: OutboxState,
    after: OutboxState,
    values: Mapping[str, object] | None = None,
) -> None:
    """Move records from state `before` to another, and set further columns. Raises SubmitError if one is not in
    `before`.
    """
    # The state is part of the condition, so that two submitters cannot both make the same move.
    changed = {**(values or {}), "state": after, "changed_at_s": time.time()}
    those = update(outbox_records).where(outbox_records.c.id.in_(ids), outbox_records.c.state == before)
    verify_moved(connection.execute(those.values(changed)).rowcount, len(ids), before)


def set_transaction(
    connection: Connection,
    transaction_id: int,
    before: OutboxState,
    after: OutboxState,
    values: Mapping[str, object],
) -> None:
    """Move a transaction from state `before` to another, and set further columns. Raises SubmitError if it is not in
    `before`.
    """
    changed = {**values, "state": after, "changed_at_s": time.time()}
    that = update(outbox_transactions).where(
        outbox_transactions.c.id == transaction_id, outbox_transactions.c.state == before
    )
    verify_moved(connection.execute(that.values(changed)).rowcount, 1, before)


def verify_moved(moved: int, expected: int, before: OutboxState) -> None:
    """Raises SubmitError unless as many rows moved from state `before` as were to."""
    if moved != expected:
        raise SubmitError(
            f"a record or transaction is no longer {before}: another submitter works for the same key",
            hint="run one submitter for each key; nothing was lost",
        )


def release_records(
    connection: Connection,
    transaction_id: int,
    before: OutboxState,
    after: OutboxState,
    values: Mapping[str, object],
) -> None:
    """Close a transaction that made no records: they are queued again or, if the operator cancelled them, finished.
    Raises SubmitError if it or one of them is not in `before`.
    """
    set_transaction(connection, transaction_id, before, after, values)
    # In call order: if one is cancelled here, a later one that depends on it must be blocked.
    for record in read_transaction(connection, transaction_id).records:
        state = OutboxState.CANCELLED if record.cancelling else waiting_state(connection, record.depends_on)
        set_records(connection, [record.id], before, state, {"cancelling": False})
        if state is not OutboxState.QUEUED:
            block_dependants(connection, record.idempotency_key)


# Dependencies


def waiting_state(connection: Connection, depends_on: str | None) -> OutboxState:
    """The state of a record that is not in a transaction: BLOCKED if what it depends on is STUCK, otherwise QUEUED."""
    if depends_on is None:
        return OutboxState.QUEUED
    # An unknown dependency cannot occur: `enqueue_in` refuses it.
    query = select(outbox_records.c.state).where(outbox_records.c.idempotency_key == depends_on)
    return OutboxState.BLOCKED if connection.execute(query).scalar_one_or_none() in STUCK else OutboxState.QUEUED


def block_dependants(connection: Connection, key: str) -> None:
    """Block the queued records that depend on the record with this idempotency key, directly or not."""
    _move_dependants(connection, [key], OutboxState.QUEUED, OutboxState.BLOCKED)


def free_dependants(connection: Connection, key: str) -> None:
    """Queue the blocked records that depend on the record with this idempotency key, directly or not.

    Records that the operator paused stay, as do those that depend on them.
    """
    _move_dependants(connection, [key], OutboxState.BLOCKED, OutboxState.QUEUED)


def _move_dependants(connection: Connection, keys: Iterable[str], before: OutboxState, after: OutboxState) -> None:
    while keys := list(keys):  # ends: a record depends only on an earlier one
        those = outbox_records.c.depends_on.in_(keys) & (outbox_records.c.state == before)
        # Read before the update, after which the condition would not find them.
        found = connection.execute(select(outbox_records.c.idempotency_key).where(those)).scalars().all()
        connection.execute(update(outbox_records).where(those).values(state=after, changed_at_s=time.time()))
        keys = found


# Reading


def read_transaction(connection: Connection, transaction_id: int) -> SentTransaction:
    row = (
        connection.execute(select(outbox_transactions).where(outbox_transactions.c.id == transaction_id))
        .mappings()
        .one()
    )
    records = (
        select(outbox_records)
        .join(outbox_attempts, outbox_attempts.c.record_id == outbox_records.c.id)
        .where(outbox_attempts.c.transaction_id == transaction_id)
        .order_by(outbox_attempts.c.position)
    )
    replaced = (
        select(outbox_replaced.c.hash, outbox_replaced.c.noop)
        .where(outbox_replaced.c.transaction_id == transaction_id)
        .order_by(outbox_replaced.c.replaced_at_s.desc())
    )
    skipped = ("records", "replaced", "state")
    fields = {name: row[name] for name in SentTransaction.__dataclass_fields__ if name not in skipped}
    return SentTransaction(
        **fields,
        state=OutboxState(row["state"]),
        records=tuple(read_record(entry) for entry in connection.execute(records).mappings()),
        replaced=tuple(Version(*entry) for entry in connection.execute(replaced)),
    )


def read_record(row: RowMapping) -> QueuedRecord:
    fields = {name: row[name] for name in QueuedRecord.__dataclass_fields__ if name != "state"}
    return QueuedRecord(**fields, state=OutboxState(row["state"]))
