"""Evidence in runs: a row may have many entries, one after another. Rows of one entry are runs as they are."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_RENAMED = {"salt": "salts", "entry": "entries", "leaf_hash": "leaf_hashes"}


def upgrade() -> None:
    for old, new in _RENAMED.items():
        op.execute(f"ALTER TABLE evidence RENAME COLUMN {old} TO {new}")
    op.add_column("evidence", sa.Column("count", sa.BigInteger, nullable=False, server_default="1"))
