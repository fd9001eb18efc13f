"""What became of certificates that were opened, or demanded to be; and where published models are kept."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("models", sa.Column("code", sa.LargeBinary))
    for name in ("state", "opening_deadline", "opened_at", "executed"):
        op.add_column("certificates", sa.Column(name, sa.BigInteger, nullable=False, server_default="0"))
