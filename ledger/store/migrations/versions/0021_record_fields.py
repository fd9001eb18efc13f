"""What a record says is read out of its data, so that it is kept once."""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_column("records", "fields")
