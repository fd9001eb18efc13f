"""EPCIS events that partners sent in, and what they can be asked for."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "epcis_events",
        sa.Column("number", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("participant", sa.BigInteger, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("event_time_ms", sa.BigInteger, nullable=False),
        sa.Column("record_time_ms", sa.BigInteger, nullable=False),
        sa.Column("stream", sa.LargeBinary, nullable=False),
        sa.Column("index", sa.BigInteger, nullable=False),
        sa.Column("capture", sa.Text, nullable=False),
        sa.Column("proposal", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_epcis_events"),
    )
    for columns in (
        ["participant", "key"],
        ["event_id"],
        ["event_time_ms", "number"],
        ["record_time_ms", "number"],
    ):
        op.create_index(f"ix_epcis_events_{'_'.join(columns)}", "epcis_events", columns)
    op.create_table(
        "epcis_terms",
        sa.Column("field", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("event", sa.BigInteger, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("field", "value", "event", name="pk_epcis_terms"),
        sqlite_with_rowid=False,  # the key is all there is
    )
    op.create_table(
        "epcis_captures",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("participant", sa.BigInteger, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("finished_ms", sa.BigInteger, nullable=False),
        sa.Column("behaviour", sa.Text, nullable=False),
        sa.Column("success", sa.Boolean, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_epcis_captures"),
    )
    op.create_index("ix_epcis_captures_number", "epcis_captures", ["number"])
