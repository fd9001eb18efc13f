"""Keeps the consortium's directory, and what the operator admitted and has yet to publish."""

from millmark.ledger.store.migrations.create import create_table

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_table("directories", "state:str issued_at:int digest:bytes content:bytes", "state")
    create_table(
        "directory_entries",
        "participant:int name:str gln:str gateway:str public_key:bytes issued_at:int signature:bytes",
        "participant",
    )
    create_table(
        "admissions",
        "address:bytes participant:int name:str gln:str gateway:str public_key:bytes issued_at:int signature:bytes",
        "address",
    )
