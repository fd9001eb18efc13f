"""Adds calls, offers and plans: entries of streams that were made here or handed over, with their receipts."""

from millmark.ledger.store.migrations.create import create_table

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_table(
        "planning_leaves",
        "leaf:bytes call:bytes what:str owner:int stream:bytes leaf_index:int salt:bytes entry:str size:int "
        "proof:bytes sequence:int",
        "leaf",
        "stream leaf_index",
        "call what",
        "sequence",
    )
    create_table(
        "planning_calls", "digest:bytes leaf:bytes coordinator:int closes:int objective:str asked:str", "digest"
    )
    create_table(
        "planning_plans", "digest:bytes call:bytes leaf:bytes claims_root:bytes place:int", "digest", "call place"
    )
    create_table("planning_receipts", "offer:bytes call:bytes received_at:int signature:bytes", "offer")
