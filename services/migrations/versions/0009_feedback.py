"""Adds feedback: causes, the steps because of them, where each machine stands, and which records were looked at."""

from millmark.ledger.store.migrations.create import create_table

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_table(
        "feedback_causes",
        "id:bytes kind:str machine:int text:str since_s:int at_s:int record:int stream:bytes leaf:int leaf_hash:bytes "
        "outcome:str found_s:int number:int reason:str",
        "id",
        "number",
        "machine",
    )
    create_table(
        "feedback_steps",
        "cause:bytes number:int step:str state:str at_s:int stream:bytes leaf:int detail:str tries:int",
        "cause number",
        "state",
    )
    create_table(
        "feedback_conditions",
        "machine:int rung:int below:int since_s:int good:int counts:str cause:bytes before:int",
        "machine",
    )
    create_table("feedback_position", "id:int registry:int ledger:int", "id")
