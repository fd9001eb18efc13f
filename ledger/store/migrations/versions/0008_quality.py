"""Model files, and what became of inspected parts: part of the private book."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "model_files",
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("card", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_model_files"),
    )
    op.create_table(
        "findings",
        sa.Column("certificate", sa.BigInteger, nullable=False),
        sa.Column("defect", sa.Boolean, nullable=False),
        sa.Column("found_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("certificate", name="pk_findings"),
    )
