"""Indexes for what would otherwise read more as the ledger grows: open transactions, unfinished records, the anchors of
an entry or of a time, and what a machine did in a period."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_UNFINISHED = sa.text("state NOT IN ('final', 'cancelled')")
_REPLACED = {
    "anchors": ("stream", "stream size", "stream anchored_at sequence"),
    "assignments": ("machine", "machine ended_at accepted_at"),
}


def upgrade() -> None:
    op.create_index("outbox_transactions_by_state", "outbox_transactions", ["signer", "relayed", "state", "nonce"])
    op.create_index(
        "outbox_records_unfinished",
        "outbox_records",
        ["id"],
        sqlite_where=_UNFINISHED,
        postgresql_where=_UNFINISHED,
    )
    for table, (before, *after) in _REPLACED.items():
        op.drop_index(f"ix_{table}_{before}", table)
        for index in after:
            op.create_index(f"ix_{table}_{index.replace(' ', '_')}", table, index.split())
