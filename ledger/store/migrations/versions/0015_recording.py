"""What records that were asked for over HTTP make, and with which values a contract refused one."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("outbox_records", sa.Column("error_values", sa.String))
    op.create_table(
        "recordings",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("caller", sa.BigInteger, nullable=False),
        sa.Column("subjects", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_recordings"),
    )
