"""The tables of the outbox, their rows, and the states of what is in them (ledger.store.outbox)."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    UniqueConstraint,
    false,
)

from ledger.store.tables import LEDGER

__all__ = [
    "FORWARDER",
    "Entry",
    "LeaseRow",
    "OutboxState",
    "QueuedRecord",
    "SentTransaction",
    "Version",
    "outbox_attempts",
    "outbox_leases",
    "outbox_nonces",
    "outbox_records",
    "outbox_relay_nonces",
    "outbox_replaced",
    "outbox_transactions",
]


FORWARDER = "forwarder"
"""Contract of a record that is a forward request (ledger.forward_requests): its payload is the signed request."""


class OutboxState(enum.StrEnum):
    QUEUED = "queued"
    PAUSED = "paused"
    """Held back by the operator."""
    BLOCKED = "blocked"
    """Waits for a record that failed, was cancelled, or is held back itself."""
    NONCED = "nonced"
    SIGNED = "signed"
    SENT = "sent"
    MINED = "mined"
    FINAL = "final"
    FAILED = "failed"
    CANCELLED = "cancelled"
    """Given up by the operator; it is not on the ledger."""
    REPLACED = "replaced"
    """Of a transaction: its nonce went to a transfer of nothing."""


outbox_records = Table(
    "outbox_records",
    LEDGER.metadata,
    Column("id", Integer, primary_key=True),
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
)

outbox_transactions = Table(
    "outbox_transactions",
    LEDGER.metadata,
    Column("id", Integer, primary_key=True),
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
)

outbox_attempts = Table(
    "outbox_attempts",
    LEDGER.metadata,
    Column("transaction_id", Integer, ForeignKey("outbox_transactions.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("record_id", Integer, ForeignKey("outbox_records.id"), nullable=False),
    UniqueConstraint("transaction_id", "record_id"),
)

outbox_replaced = Table(
    "outbox_replaced",
    LEDGER.metadata,
    Column("hash", LargeBinary(32), primary_key=True),
    Column("transaction_id", Integer, ForeignKey("outbox_transactions.id"), nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("max_fee_wei", BigInteger, nullable=False),
    Column("noop", Boolean, nullable=False),
    Column("replaced_at_s", Float, nullable=False),
    Index("outbox_replaced_by_transaction", "transaction_id"),
)
"""Earlier signed bytes of a transaction: any of them may still be the one that is mined."""

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
"""At the forwarder, which counts for itself: see `Outbox`."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A record on its way in."""

    idempotency_key: str
    """The caller's, 1 to 256 characters; the same key always means the same record."""
    contract: str
    kind: str
    payload: bytes
    """Calldata of the call that makes the record; of a forward request, the request as it was signed."""
    depends_on: str | None = None
    """Idempotency key of an earlier record of the same signer, without which this one is not to be sent."""


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
    """The operator gave it up while it was under way: it ends on the ledger or cancelled, whichever comes first."""
    state: OutboxState
    sequence: int | None
    """On the chain, once mined."""
    error_name: str | None
    error: str | None
    error_values: str | None
    """JSON: what the contract said with its error, by name; bytes as 0x-hex."""
    queued_at_s: float
    changed_at_s: float


@dataclass(frozen=True, slots=True)
class Version:
    """Signed bytes that went out for a nonce once."""

    hash: bytes
    noop: bool
    """Whether they record nothing."""


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """Who submits for a key."""

    signer: bytes
    holder: str
    fence: int
    """Grows with each new holder; what an older one writes is refused."""
    beat: int
    """Grows while the holder lives."""


@dataclass(frozen=True, slots=True)
class SentTransaction:
    """A transaction that holds a nonce, with its records in call order; none when it only fills a gap."""

    id: int
    signer: bytes
    nonce: int
    recipient: bytes
    data: bytes
    gas_limit: int
    max_fee_wei: int | None
    priority_fee_wei: int | None
    noop: bool
    """Whether the bytes that go out now are a transfer of nothing to the signer, which gives the nonce up."""
    raw: bytes | None
    hash: bytes | None
    state: OutboxState
    block_number: int | None
    block_hash: bytes | None
    gas_used: int | None
    records: tuple[QueuedRecord, ...]
    replaced: tuple[Version, ...]
    """Earlier bytes, the latest first."""
