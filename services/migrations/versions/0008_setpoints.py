"""Adds the setpoints that are proposed for the company's machines."""

from millmark.ledger.store.migrations.create import create_table

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_table(
        "setpoints",
        "number:int machine:int stream:bytes digest:bytes document:str proposed_at:int until:int",
        "number",
        "machine number",
        "digest",
    )
