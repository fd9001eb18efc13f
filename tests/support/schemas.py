"""Compares schemas with their migrations, and makes up a schema for a test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from millmark.ledger.store import Connection, Schema, Store

_REVISION = """
from millmark.ledger.store.migrations.create import create_table

revision, down_revision = "{number:04}", {before!r}
branch_labels = depends_on = None


def upgrade() -> None:
    {change}
"""


def list_partition_names(connection: Connection) -> set[str]:
    """Tables that are parts of another, on PostgreSQL."""
    if connection.dialect.name != "postgresql":
        return set()
    return set(connection.exec_driver_sql("SELECT relname FROM pg_class WHERE relispartition").scalars())


def list_partitioned(connection: Connection) -> set[str]:
    """Tables that have parts, on PostgreSQL."""
    if connection.dialect.name != "postgresql":
        return set()
    return set(connection.exec_driver_sql("SELECT relname FROM pg_class WHERE relkind = 'p'").scalars())


def find_differences(store: Store, *schemas: Schema) -> list[object]:
    """Differences between a database's tables and those of the schemas, which must be all that it has."""
    found: list[object] = []
    versions = {schema.version_table for schema in schemas}
    for schema in schemas:
        with store.reading() as connection:
            parts = list_partition_names(connection)
        elsewhere = versions.union(parts, *(other.metadata.tables for other in schemas if other is not schema))
        options = {
            "compare_type": True,
            "include_name": lambda name, kind, _, elsewhere=elsewhere: kind != "table" or name not in elsewhere,
        }
        with store.reading() as connection:
            found += compare_metadata(MigrationContext.configure(connection, opts=options), schema.metadata)
    return found


def write_schema(folder: Path, changes: Sequence[str]) -> Schema:
    """Writes a schema as a new package under `folder`, which must be importable. Each change is one revision, a Python
    statement. A second call with more changes yields a later version of the same schema."""
    package = f"schema_{folder.name}"
    versions = folder / package / "migrations" / "versions"
    versions.mkdir(parents=True, exist_ok=True)
    (folder / package / "__init__.py").touch()
    for number, change in enumerate(changes, 1):
        before = f"{number - 1:04}" if number > 1 else None
        text = _REVISION.format(number=number, before=before, change=change)
        (versions / f"{number:04}_change.py").write_text(text)
    return Schema(package, f"version_{folder.name}")
