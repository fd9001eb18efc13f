"""Entries of other companies' evidence, as they showed them: register readings, of which footprints are made."""

from millmark.ledger.store.migrations.create import create_table

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_table(
        "opened_entries",
        "stream:bytes index:int kind:int salt:bytes entry:str leaf_hash:bytes",
        "stream index",
    )
