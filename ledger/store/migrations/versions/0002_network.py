"""The ledger that the outbox's records are for, and an index by which the latest block of its transactions is found.

Existing outboxes are for the ledger that the next submitter works for, if their index does not follow another one.
"""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"
branch_labels = depends_on = None


def upgrade() -> None:
    op.create_table(
        "outbox_chain",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("chain_id", sa.BigInteger, nullable=False),
        sa.Column("ledger", sa.LargeBinary(20), nullable=False),
        sa.Column("ledger_id", sa.LargeBinary(32), nullable=False),
        sa.Column("genesis_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("created_number", sa.BigInteger, nullable=False),
        sa.Column("created_hash", sa.LargeBinary(32), nullable=False),
    )
    op.create_index("outbox_transactions_by_block", "outbox_transactions", ["block_number"])
