"""Adds the hand-overs that are still to be delivered, those that were kept, and what was erased in them."""

from millmark.ledger.store.migrations.create import create_table

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_table(
        "handover_deliveries",
        "sequence:int recipient:int state:str text:bytes digest:bytes attempts:int reason:str next_try_ms:int "
        "changed_ms:int",
        "sequence recipient",
        "state next_try_ms",
    )
    create_table("handover_cursor", "id:int sequence:int", "id")
    create_table(
        "handovers_kept",
        "sequence:int digest:bytes sender:int kept_ms:int names:int documents:int bundle:bytes",
        "sequence digest",
    )
    create_table(
        "handover_given", "root:bytes recipient:int sequence:int", "root recipient sequence", "sequence recipient"
    )
    create_table("handover_erasures", "root:bytes path:str contract:str record:int signature:bytes", "root path")
