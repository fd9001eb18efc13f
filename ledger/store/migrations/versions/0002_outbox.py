"""The outbox: records, transactions, attempts, nonces."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "outbox_records",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("idempotency_key", sa.String(256), nullable=False, unique=True),
        sa.Column("signer", sa.LargeBinary(20), nullable=False),
        sa.Column("contract", sa.String(16), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("payload_digest", sa.LargeBinary(32), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("sequence", sa.BigInteger),
        sa.Column("error_name", sa.String(64)),
        sa.Column("error", sa.String),
        sa.Column("queued_at_s", sa.Float, nullable=False),
        sa.Column("changed_at_s", sa.Float, nullable=False),
    )
    op.create_index("outbox_records_by_state", "outbox_records", ["signer", "state", "id"])
    op.create_table(
        "outbox_transactions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("signer", sa.LargeBinary(20), nullable=False),
        sa.Column("nonce", sa.BigInteger, nullable=False),
        sa.Column("recipient", sa.LargeBinary(20), nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.Column("gas_limit", sa.BigInteger, nullable=False),
        sa.Column("max_fee_wei", sa.BigInteger),
        sa.Column("raw", sa.LargeBinary),
        sa.Column("hash", sa.LargeBinary(32), unique=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("block_number", sa.BigInteger),
        sa.Column("block_hash", sa.LargeBinary(32)),
        sa.Column("gas_used", sa.BigInteger),
        sa.Column("error", sa.String),
        sa.Column("changed_at_s", sa.Float, nullable=False),
    )
    op.create_index("outbox_transactions_by_nonce", "outbox_transactions", ["signer", "nonce"])
    op.create_table(
        "outbox_attempts",
        sa.Column("transaction_id", sa.Integer, sa.ForeignKey("outbox_transactions.id"), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("record_id", sa.Integer, sa.ForeignKey("outbox_records.id"), nullable=False),
        sa.UniqueConstraint("transaction_id", "record_id"),
    )
    op.create_table(
        "outbox_nonces",
        sa.Column("signer", sa.LargeBinary(20), primary_key=True),
        sa.Column("next_nonce", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    for table in ("outbox_nonces", "outbox_attempts", "outbox_transactions", "outbox_records"):
        op.drop_table(table)
