"""Keeps what is usual at a machine for a model, and how it was at its latest change."""

from millmark.ledger.store.migrations.create import add_text, drop_column

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_TABLE = "feedback_inspections"


def upgrade() -> None:
    # What they held of the group before is read from its certificates, which `before` names.
    for name in ("above", "first"):
        drop_column(_TABLE, name)
    for name in ("before", "usual", "latest"):
        add_text(_TABLE, name)
