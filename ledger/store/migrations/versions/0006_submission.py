"""Submission: fees and replacement of signed bytes, dependencies, cancelling, leases."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("outbox_records", sa.Column("depends_on", sa.String(256)))
    op.add_column("outbox_records", sa.Column("cancelling", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_index("outbox_records_by_dependency", "outbox_records", ["depends_on"])
    op.add_column("outbox_transactions", sa.Column("priority_fee_wei", sa.BigInteger))
    op.add_column("outbox_transactions", sa.Column("noop", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_table(
        "outbox_replaced",
        sa.Column("hash", sa.LargeBinary(32), primary_key=True),
        sa.Column("transaction_id", sa.Integer, sa.ForeignKey("outbox_transactions.id"), nullable=False),
        sa.Column("raw", sa.LargeBinary, nullable=False),
        sa.Column("max_fee_wei", sa.BigInteger, nullable=False),
        sa.Column("noop", sa.Boolean, nullable=False),
        sa.Column("replaced_at_s", sa.Float, nullable=False),
    )
    op.create_index("outbox_replaced_by_transaction", "outbox_replaced", ["transaction_id"])
    op.create_table(
        "outbox_leases",
        sa.Column("signer", sa.LargeBinary(20), primary_key=True),
        sa.Column("holder", sa.String, nullable=False),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("beat", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("outbox_leases")
    op.drop_table("outbox_replaced")
    op.drop_column("outbox_transactions", "noop")
    op.drop_column("outbox_transactions", "priority_fee_wei")
    op.drop_index("outbox_records_by_dependency", "outbox_records")
    op.drop_column("outbox_records", "cancelling")
    op.drop_column("outbox_records", "depends_on")
