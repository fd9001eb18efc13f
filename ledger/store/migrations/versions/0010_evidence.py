"""Evidence in files, and on PostgreSQL in partitions by stream and month."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from millmark.ledger.store.migrations.create import add_text, create_table

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_table("evidence_folders", "id:int name:bytes", "id")
    add_text("evidence", "file")
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        _partition(connection, f"{datetime.now(UTC):%Y%m}")


def _partition(connection: sa.Connection, month: str) -> None:
    """The rows that exist go into one partition a stream: that of the month of the migration."""
    run = connection.exec_driver_sql
    run("ALTER TABLE evidence RENAME TO evidence_before")
    run("ALTER INDEX pk_evidence RENAME TO pk_evidence_before")
    kept = "INCLUDING DEFAULTS INCLUDING STORAGE INCLUDING COMPRESSION"
    run(f"CREATE TABLE evidence (LIKE evidence_before {kept}) PARTITION BY LIST (stream)")
    run('ALTER TABLE evidence ADD CONSTRAINT pk_evidence PRIMARY KEY (stream, "index")')
    for stream in run("SELECT DISTINCT stream FROM evidence_before").scalars().all():
        table = f"evidence_{bytes(stream)[:16].hex()}"
        values = f"IN ('\\x{bytes(stream).hex()}')"
        run(f'CREATE TABLE {table} PARTITION OF evidence FOR VALUES {values} PARTITION BY RANGE ("index")')
        run(f"CREATE TABLE {table}_{month} PARTITION OF {table} FOR VALUES FROM (MINVALUE) TO (MAXVALUE)")
    run("INSERT INTO evidence SELECT * FROM evidence_before")
    run("DROP TABLE evidence_before")
