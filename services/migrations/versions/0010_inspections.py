"""Adds what an inspector's models said of what a machine made, as far as it waits to be compared."""

from millmark.ledger.store.migrations.create import create_table

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_table("feedback_inspections", "model:int machine:int waiting:str above:str first:bytes", "model machine")
