"""Keeps whom other companies reach at a company: canonical JSON, or empty."""

from millmark.ledger.store.migrations.create import add_text

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("directory_entries", "admissions"):
        add_text(table, "contact")
