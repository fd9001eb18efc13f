"""Tables of the outbox, their rows, and the states of records and transactions, which are read and changed here within
one database transaction (millmark.ledger.store.outbox)."""

from __future__ import annotations

import enum
import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from millmark.ledger.errors import StoreError, SubmitError
from millmark.ledger.store.schema import LEDGER

FORWARDER = "forwarder"
"""`contract` of a record that is a forward request (millmark.ledger.forward_requests). Its payload is the signed
request."""


class OutboxState(enum.StrEnum):
    """State of a record or of a transaction. OutboxWriter's module lists what each one means after a crash."""

    QUEUED = "queued"
    PAUSED = "paused"
    """Held back by the operator."""
    BLOCKED = "blocked"
    """Depends on a record that is failed, cancelled, paused or blocked."""
    NONCED = "nonced"
    SIGNED = "signed"
    SENT = "sent"
    MINED = "mined"
    FINAL = "final"
    FAILED = "failed"
    CANCELLED = "cancelled"
    """By the operator; the record is not on the ledger."""
    REPLACED = "replaced"
    """Only a transaction's: a zero-value transfer was mined with its nonce."""


UNMINED = (OutboxState.NONCED, OutboxState.SIGNED, OutboxState.SENT)
"""States of a transaction that holds a nonce and is in no block, and of its records."""
OPEN = (*UNMINED, OutboxState.MINED)


_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""Numbers that the database assigns. SQLite assigns them to a column of type INTEGER only, which has 64 bits there."""

UNFINISHED = sa.text(f"state NOT IN ('{OutboxState.FINAL}', '{OutboxState.CANCELLED}')")
"""Condition of the records that are still to be done, few of many: an index has them alone. Queries state it in the
same words, without parameters, by which a database sees that the index has all of them."""

outbox_records = sa.Table(
    "outbox_records",
    LEDGER.metadata,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("idempotency_key", sa.String(256), nullable=False, unique=True),
    sa.Column("signer", sa.LargeBinary(20), nullable=False),
    sa.Column("contract", sa.String(16), nullable=False),
    sa.Column("kind", sa.String(64), nullable=False),
    sa.Column("payload", sa.LargeBinary, nullable=False),
    sa.Column("payload_digest", sa.LargeBinary(32), nullable=False),
    sa.Column("depends_on", sa.String(256)),
    sa.Column("cancelling", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("sequence", sa.BigInteger),
    sa.Column("error_name", sa.String(64)),
    sa.Column("error", sa.String),
    sa.Column("error_values", sa.String),
    sa.Column("queued_at_s", sa.Float, nullable=False),
    sa.Column("changed_at_s", sa.Float, nullable=False),
    sa.Index("outbox_records_by_state", "signer", "state", "id"),
    sa.Index("outbox_records_by_dependency", "depends_on"),
    # On PostgreSQL too, as the migration says: naming it here would load that dialect with all its drivers everywhere.
    sa.Index("outbox_records_unfinished", "id", sqlite_where=UNFINISHED),
)

outbox_done = sa.Table(
    "outbox_done",
    LEDGER.metadata,
    sa.Column("state", sa.String(16), primary_key=True),
    sa.Column("records", sa.BigInteger, nullable=False),
)
"""Number of records that are final, and that are cancelled. The database's triggers keep it."""

outbox_transactions = sa.Table(
    "outbox_transactions",
    LEDGER.metadata,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("signer", sa.LargeBinary(20), nullable=False),
    sa.Column("nonce", sa.BigInteger, nullable=False),
    sa.Column("recipient", sa.LargeBinary(20), nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
    sa.Column("gas_limit", sa.BigInteger, nullable=False),
    sa.Column("max_fee_wei", sa.BigInteger),
    sa.Column("priority_fee_wei", sa.BigInteger),
    sa.Column("noop", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("relayed", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("raw", sa.LargeBinary),
    sa.Column("hash", sa.LargeBinary(32), unique=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("block_number", sa.BigInteger),
    sa.Column("block_hash", sa.LargeBinary(32)),
    sa.Column("gas_used", sa.BigInteger),
    sa.Column("error", sa.String),
    sa.Column("changed_at_s", sa.Float, nullable=False),
    sa.Index("outbox_transactions_by_nonce", "signer", "nonce"),
    sa.Index("outbox_transactions_by_state", "signer", "relayed", "state", "nonce"),
    sa.Index("outbox_transactions_by_block", "block_number"),
)

outbox_attempts = sa.Table(
    "outbox_attempts",
    LEDGER.metadata,
    sa.Column("transaction_id", _ID, sa.ForeignKey("outbox_transactions.id"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("record_id", _ID, sa.ForeignKey("outbox_records.id"), nullable=False),
    sa.UniqueConstraint("transaction_id", "record_id"),
)

outbox_replaced = sa.Table(
    "outbox_replaced",
    LEDGER.metadata,
    sa.Column("hash", sa.LargeBinary(32), primary_key=True),
    sa.Column("transaction_id", _ID, sa.ForeignKey("outbox_transactions.id"), nullable=False),
    sa.Column("raw", sa.LargeBinary, nullable=False),
    sa.Column("max_fee_wei", sa.BigInteger, nullable=False),
    sa.Column("noop", sa.Boolean, nullable=False),
    sa.Column("replaced_at_s", sa.Float, nullable=False),
    sa.Index("outbox_replaced_by_transaction", "transaction_id"),
)
"""Earlier signed versions of a transaction. Any of them may still be mined instead of the current one."""

outbox_leases = sa.Table(
    "outbox_leases",
    LEDGER.metadata,
    sa.Column("signer", sa.LargeBinary(20), primary_key=True),
    sa.Column("holder", sa.String, nullable=False),
    sa.Column("fence", sa.BigInteger, nullable=False),
    sa.Column("beat", sa.BigInteger, nullable=False),
)

outbox_nonces = sa.Table(
    "outbox_nonces",
    LEDGER.metadata,
    sa.Column("signer", sa.LargeBinary(20), primary_key=True),
    sa.Column("next_nonce", sa.BigInteger, nullable=False),
)


outbox_relay_nonces = sa.Table(
    "outbox_relay_nonces",
    LEDGER.metadata,
    sa.Column("signer", sa.LargeBinary(20), primary_key=True),
    sa.Column("next_nonce", sa.BigInteger, nullable=False),
)
"""Nonces of forward requests, which the forwarder contract counts for each signer, apart from those of accounts."""

outbox_chain = sa.Table(
    "outbox_chain",
    LEDGER.metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("chain_id", sa.BigInteger, nullable=False),
    sa.Column("ledger", sa.LargeBinary(20), nullable=False),
    sa.Column("ledger_id", sa.LargeBinary(32), nullable=False),
    sa.Column("genesis_hash", sa.LargeBinary(32), nullable=False),
    sa.Column("created_number", sa.BigInteger, nullable=False),
    sa.Column("created_hash", sa.LargeBinary(32), nullable=False),
)
"""One row: the ledger that all records are for."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A record to be queued."""

    idempotency_key: str
    """Chosen by the caller, 1 to 256 characters; the same key always means the same record."""
    contract: str
    """`registry`, `ledger`, or FORWARDER."""
    kind: str
    payload: bytes
    """Calldata of the call that makes the record; for a forward request, the request as it was signed."""
    depends_on: str | None = None
    """Idempotency key of an earlier record of the same signer, before which this one must not be sent."""


@dataclass(frozen=True, slots=True)
class OutboxChain:
    """The ledger that an outbox's records are for, by what no other one shares."""

    chain_id: int
    ledger: bytes
    """Address, 20 bytes."""
    ledger_id: bytes
    genesis_hash: bytes
    created_number: int
    """The block that created the ledger."""
    created_hash: bytes


@dataclass(frozen=True, slots=True)
class QueuedRecord:
    """A record in the outbox."""

    id: int
    idempotency_key: str
    signer: bytes
    contract: str
    kind: str
    payload: bytes
    depends_on: str | None
    cancelling: bool
    """The operator cancelled it when it was in a transaction already; that or a zero-value transfer will be mined."""
    state: OutboxState
    sequence: int | None
    """Its sequence on the chain, once it is mined."""
    error_name: str | None
    """Name of the contract's error; None unless it failed."""
    error: str | None
    error_values: str | None
    """JSON object with the values of the contract's error, by name; bytes as 0x-hex."""
    queued_at_s: float
    changed_at_s: float


@dataclass(frozen=True, slots=True)
class Version:
    """An earlier signed version of a transaction."""

    hash: bytes
    noop: bool
    """Whether it is a zero-value transfer, which makes no record."""


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """Which process submits for a key."""

    signer: bytes
    holder: str
    """The process (millmark.ledger.store.process_identity)."""
    fence: int
    """Grows with each new holder; writes of earlier holders are refused."""
    beat: int
    """Grows with each renewal, by which others see that the holder is alive."""


@dataclass(frozen=True, slots=True)
class SentTransaction:
    """A transaction that holds a nonce, with its records in call order; without records, it only fills a gap."""

    id: int
    signer: bytes
    nonce: int
    recipient: bytes
    data: bytes
    gas_limit: int
    max_fee_wei: int | None
    priority_fee_wei: int | None
    noop: bool
    """Whether its current version is a zero-value transfer to the signer, which uses the nonce up."""
    raw: bytes | None
    """The signed bytes; None until they are signed."""
    hash: bytes | None
    state: OutboxState
    block_number: int | None
    block_hash: bytes | None
    gas_used: int | None
    records: tuple[QueuedRecord, ...]
    replaced: tuple[Version, ...]
    """Earlier versions, the latest first."""


# Reading rows, and changing their states

STUCK = (OutboxState.PAUSED, OutboxState.BLOCKED, OutboxState.FAILED, OutboxState.CANCELLED)
"""States of a record that block those that depend on it."""


def new_id(result: sa.CursorResult[Any]) -> int:
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


def record_ids(connection: sa.Connection, transaction_id: int) -> list[int]:
    """The ids of a transaction's records, in call order."""
    query = (
        sa.select(outbox_attempts.c.record_id)
        .where(outbox_attempts.c.transaction_id == transaction_id)
        .order_by(outbox_attempts.c.position)
    )
    return list(connection.execute(query).scalars())


def set_records(
    connection: sa.Connection,
    ids: Sequence[int],
    before: OutboxState,
    after: OutboxState,
    values: Mapping[str, object] | None = None,
) -> None:
    """Move records from state `before` to another, and set further columns. Raises SubmitError if one is not in
    `before`."""
    # The state is part of the condition, so that two submitters cannot both make the same move.
    changed = {**(values or {}), "state": after, "changed_at_s": time.time()}
    those = sa.update(outbox_records).where(outbox_records.c.id.in_(ids), outbox_records.c.state == before)
    verify_moved(connection.execute(those.values(changed)).rowcount, len(ids), before)


def set_transaction(
    connection: sa.Connection,
    transaction_id: int,
    before: OutboxState,
    after: OutboxState,
    values: Mapping[str, object],
) -> None:
    """Move a transaction from state `before` to another, and set further columns. Raises SubmitError if it is not in
    `before`."""
    changed = {**values, "state": after, "changed_at_s": time.time()}
    that = sa.update(outbox_transactions).where(
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
    connection: sa.Connection,
    transaction_id: int,
    before: OutboxState,
    after: OutboxState,
    values: Mapping[str, object],
) -> None:
    """Close a transaction that made no records: they are queued again or, if the operator cancelled them, finished.
    Raises SubmitError if it or one of them is not in `before`."""
    set_transaction(connection, transaction_id, before, after, values)
    # In call order: if one is cancelled here, a later one that depends on it must be blocked.
    for record in read_transaction(connection, transaction_id).records:
        state = OutboxState.CANCELLED if record.cancelling else waiting_state(connection, record.depends_on)
        set_records(connection, [record.id], before, state, {"cancelling": False})
        if state is not OutboxState.QUEUED:
            block_dependants(connection, record.idempotency_key)


# Dependencies


def waiting_state(connection: sa.Connection, depends_on: str | None) -> OutboxState:
    """The state of a record that is not in a transaction: BLOCKED if what it depends on is STUCK, otherwise QUEUED."""
    if depends_on is None:
        return OutboxState.QUEUED
    # An unknown dependency cannot occur: `enqueue_in` refuses it.
    query = sa.select(outbox_records.c.state).where(outbox_records.c.idempotency_key == depends_on)
    return OutboxState.BLOCKED if connection.execute(query).scalar_one_or_none() in STUCK else OutboxState.QUEUED


def block_dependants(connection: sa.Connection, key: str) -> None:
    """Block the queued records that depend on the record with this idempotency key, directly or not."""
    _move_dependants(connection, [key], OutboxState.QUEUED, OutboxState.BLOCKED)


def free_dependants(connection: sa.Connection, key: str) -> None:
    """Queue the blocked records that depend on the record with this idempotency key, directly or not. Records that the
    operator paused stay, as do those that depend on them."""
    _move_dependants(connection, [key], OutboxState.BLOCKED, OutboxState.QUEUED)


def _move_dependants(connection: sa.Connection, keys: Iterable[str], before: OutboxState, after: OutboxState) -> None:
    while keys := list(keys):  # ends: a record depends only on an earlier one
        those = outbox_records.c.depends_on.in_(keys) & (outbox_records.c.state == before)
        # Read before the update, after which the condition would not find them.
        found = connection.execute(sa.select(outbox_records.c.idempotency_key).where(those)).scalars().all()
        connection.execute(sa.update(outbox_records).where(those).values(state=after, changed_at_s=time.time()))
        keys = found


# Reading


def read_transaction(connection: sa.Connection, transaction_id: int) -> SentTransaction:
    row = (
        connection.execute(sa.select(outbox_transactions).where(outbox_transactions.c.id == transaction_id))
        .mappings()
        .one()
    )
    records = (
        sa.select(outbox_records)
        .join(outbox_attempts, outbox_attempts.c.record_id == outbox_records.c.id)
        .where(outbox_attempts.c.transaction_id == transaction_id)
        .order_by(outbox_attempts.c.position)
    )
    replaced = (
        sa.select(outbox_replaced.c.hash, outbox_replaced.c.noop)
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


def read_record(row: sa.RowMapping) -> QueuedRecord:
    fields = {name: row[name] for name in QueuedRecord.__dataclass_fields__ if name != "state"}
    return QueuedRecord(**fields, state=OutboxState(row["state"]))
