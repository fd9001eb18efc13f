"""Numbers of the outbox's rows have 64 bits on PostgreSQL too, as they always had on SQLite."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_NUMBERS = (
    ("outbox_records", "id"),
    ("outbox_transactions", "id"),
    ("outbox_attempts", "transaction_id"),
    ("outbox_attempts", "record_id"),
    ("outbox_replaced", "transaction_id"),
)


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        return  # an INTEGER has 64 bits there
    for table, column in _NUMBERS:
        op.alter_column(table, column, type_=sa.BigInteger)
        sequence = op.get_bind().scalar(sa.select(sa.func.pg_get_serial_sequence(table, column)))
        if sequence is not None:  # it has 32 bits of its own, whatever the column has
            op.execute(f"ALTER SEQUENCE {sequence} AS bigint")
