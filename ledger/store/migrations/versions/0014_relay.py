"""Requests that somebody else sends: told apart from own transactions, with nonces of their own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("outbox_transactions", sa.Column("relayed", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_table(
        "outbox_relay_nonces",
        sa.Column("signer", sa.LargeBinary(20), primary_key=True),
        sa.Column("next_nonce", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("outbox_relay_nonces")
    op.drop_column("outbox_transactions", "relayed")
