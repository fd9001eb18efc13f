"""Indexes for what waits for a company: its orders, assignments, lots and certificates by state, in the order of their
numbers; lots, certificates and orders by state alone, models, and recoveries that were not accepted."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_NEW = {
    "orders": ("buyer state sequence", "coordinator state sequence", "state sequence"),
    "assignments": ("owner state sequence",),
    "lots": ("custodian state number", "counterparty state number", "state number"),
    "certificates": ("issuer state sequence", "state sequence"),
    "models": ("state number",),
    "recoveries": ("accepted_at",),
}


def upgrade() -> None:
    op.drop_index("ix_lots_custodian", "lots")  # the one that begins with it serves as well
    for table, indexes in _NEW.items():
        for index in indexes:
            op.create_index(f"ix_{table}_{index.replace(' ', '_')}", table, index.split())
