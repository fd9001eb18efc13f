"""Adds plans that were made and are not recorded yet."""

from millmark.ledger.store.migrations.create import create_table

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_table(
        "planning_attempts",
        "call:bytes number:int begun_ms:int cpu_s:int seed:int until_ms:int entry:str plan:str moved:int steps:str "
        "problem:str",
        "call number",
        "until_ms",
    )
