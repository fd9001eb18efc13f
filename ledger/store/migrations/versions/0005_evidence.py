"""What opens evidence and inferences: part of the private book."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "evidence",
        sa.Column("stream", sa.LargeBinary, nullable=False),
        sa.Column("index", sa.BigInteger, nullable=False),
        sa.Column("salt", sa.LargeBinary, nullable=False),
        sa.Column("entry", sa.Text, nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("stream", "index", name="pk_evidence"),
    )
    op.create_table(
        "inferences",
        sa.Column("certificate", sa.BigInteger, nullable=False),
        sa.Column("salt", sa.LargeBinary, nullable=False),
        sa.Column("input", sa.LargeBinary, nullable=False),
        sa.Column("logits", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("certificate", name="pk_inferences"),
    )
