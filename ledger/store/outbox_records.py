"""Tables of the outbox, their rows, and the states of records and transactions, which are read and changed here within
one database transaction (millmark.ledger.store.outbox)."""

from __future__ import annotations

import enum
import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    CursorResult,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    RowMapping,
    String,
    Table,
    UniqueConstraint,
    false,
    select,
    text,
    update,
)

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


_ID = BigInteger().with_variant(Integer, "sqlite")
"""Numbers that the database assigns. SQLite assigns them to a column of type INTEGER only, which has 64 bits there."""

UNFINISHED = text(f"state NOT IN ('{OutboxState.FINAL}', '{OutboxState.CANCELLED}')")
"""Condition of the records that are still to be done, few of many: an index has them alone. Queries state it in the
same words, without parameters, by which a database sees that the index has all of them."""

outbox_records = Table(
    "outbox_records",
    LEDGER.metadata,
    Column("id", _ID, primary_key=True),
    Column("idempotency_key", String(256), nullable=False, unique=True),
    Column("signer", LargeBinary(20), nullable=False),
    Column("contract", String(16), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("payload_digest", LargeBinary(32), nullable=False),
    Column("depends_on", String(256)),
    Column("cancelling", Boolean, nullable=False, server_default=false()),
    Column("state", String(16), nullable=False),
    Column("sequence", BigInteger),
    Column("error_name", String(64)),
    Column("error", String),
    Column("error_values", String),
    Column("queued_at_s", Float, nullable=False),
    Column("changed_at_s", Float, nullable=False),
    Index("outbox_records_by_state", "signer", "state", "id"),
    Index("outbox_records_by_dependency", "depends_on"),
    Index("outbox_records_unfinished", "id", sqlite_where=UNFINISHED, postgresql_where=UNFINISHED),
)

outbox_done = Table(
    "outbox_done",
    LEDGER.metadata,
    Column("state", String(16), primary_key=True),
    Column("records", BigInteger, nullable=False),
)
"""Number of records that are final, and that are cancelled. The database's triggers keep it."""

outbox_transactions = Table(
    "outbox_transactions",
    LEDGER.metadata,
    Column("id", _ID, primary_key=True),
    Column("signer", LargeBinary(20), nullable=False),
    Column("nonce", BigInteger, nullable=False),
    Column("recipient", LargeBinary(20), nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("gas_limit", BigInteger, nullable=False),
    Column("max_fee_wei", BigInteger),
    Column("priority_fee_wei", BigInteger),
    Column("noop", Boolean, nullable=False, server_default=false()),
    Column("relayed", Boolean, nullable=False, server_default=false()),
    Column("raw", LargeBinary),
    Column("hash", LargeBinary(32), unique=True),
    Column("state", String(16), nullable=False),
    Column("block_number", BigInteger),
    Column("block_hash", LargeBinary(32)),
    Column("gas_used", BigInteger),
    Column("error", String),
    Column("changed_at_s", Float, nullable=False),
    Index("outbox_transactions_by_nonce", "signer", "nonce"),
    Index("outbox_transactions_by_state", "signer", "relayed", "state", "nonce"),
    Index("outbox_transactions_by_block", "block_number"),
)

outbox_attempts = Table(
    "outbox_attempts",
    LEDGER.metadata,
    Column("transaction_id", _ID, ForeignKey("outbox_transactions.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("record_id", _ID, ForeignKey("outbox_records.id"), nullable=False),
    UniqueConstraint("transaction_id", "record_id"),
)

outbox_replaced = Table(
    "outbox_replaced",
    LEDGER.metadata,
    Column("hash", LargeBinary(32), primary_key=True),
    Column("transaction_id", _ID, ForeignKey("outbox_transactions.id"), nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("max_fee_wei", BigInteger, nullable=False),
    Column("noop", Boolean, nullable=False),
    Column("replaced_at_s", Float, nullable=False),
    Index("outbox_replaced_by_transaction", "transaction_id"),
)
"""Earlier signed versions of a transaction. Any of them may still be mined instead of the current one."""

outbox_leases = Table(
    "outbox_leases",
    LEDGER.metadata,
    Column("signer", LargeBinary(20), primary_key=True),
    Column("holder", String, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("beat", BigInteger, nullable=False),
)

outbox_nonces = Table(
    "outbox_nonces",
    LEDGER.metadata,
    Column("signer", LargeBinary(20), primary_key=True),
    Column("next_nonce", BigInteger, nullable=False),
)


outbox_relay_nonces = Table(
    "outbox_relay_nonces",
    LEDGER.metadata,
    Column("signer", LargeBinary(20), primary_key=True),
    Column("next_nonce", BigInteger, nullable=False),
)
"""Nonces of forward requests, which the forwarder contract counts for each signer, apart from those of accounts."""

outbox_chain = Table(
    "outbox_chain",
    LEDGER.metadata,
    Column("id", Integer, primary_key=True),
    Column("chain_id", BigInteger, nullable=False),
    Column("ledger", LargeBinary(20), nullable=False),
    Column("ledger_id", LargeBinary(32), nullable=False),
    Column("genesis_hash", LargeBinary(32), nullable=False),
    Column("created_number", BigInteger, nullable=False),
    Column("created_hash", LargeBinary(32), nullable=False),
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
