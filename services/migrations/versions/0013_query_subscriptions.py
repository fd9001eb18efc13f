"""Adds to webhooks what a subscription to a named EPCIS query needs; rows that exist are subscriptions to records."""

from millmark.ledger.store.migrations.create import add_number, add_text

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in ("query", "controls"):
        add_text("webhooks", column)
    for column in ("event_number", "due_ms", "most_events"):
        add_number("webhooks", column)
