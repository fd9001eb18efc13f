"""Adds entries of other companies' logs that certificates name."""

from millmark.ledger.store.migrations.create import create_table

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_table("certified_entries", "certificate:int kind:int salt:bytes entry:str inclusion:bytes", "certificate")
