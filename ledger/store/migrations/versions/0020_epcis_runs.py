"""What events say in runs: a row may be of many events, one after another. Rows of one event are runs as they are."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE epcis_terms RENAME COLUMN event TO first")
    op.add_column("epcis_terms", sa.Column("count", sa.BigInteger, nullable=False, server_default="1"))
