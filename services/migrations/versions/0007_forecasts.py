"""Adds forecasts of demand, and what a company's orders say about preferences."""

from millmark.ledger.store.migrations.create import create_table

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_table(
        "forecasts",
        "digest:bytes stream:bytes leaf_index:int cut_block:int cut_time:int document:str",
        "digest",
        "cut_block",
    )
    create_table("preferences", "product:str cut_block:int document:str", "product")
