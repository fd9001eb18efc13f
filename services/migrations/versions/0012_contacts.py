"""Keeps whom other companies reach at a company: canonical JSON, or empty."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("directory_entries", "admissions"):
        op.add_column(table, sa.Column("contact", sa.Text, nullable=False, server_default=""))
