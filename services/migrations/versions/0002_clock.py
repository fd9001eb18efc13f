"""Remembers the newest time that the gateway saw, so that a clock that is set back revives nothing."""

from millmark.ledger.store.migrations.create import create_table

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_table("clock", "id:int newest_s:int", "id")
