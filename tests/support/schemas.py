"""Schemas: compared with what their migrations make, and one that a test makes up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from ledger.store import Schema, Store

_REVISION = """
from ledger.store.migrations.create import create_table

revision, down_revision = "{number:04}", {before!r}
branch_labels = depends_on = None


def upgrade() -> None:
    {change}
"""


def find_differences(store: Store, *schemas: Schema) -> list[object]:
    """Between the tables that a database has and those that the schemas declare, which are all that it should have."""
    found: list[object] = []
    versions = {schema.version_table for schema in schemas}
    for schema in schemas:
        elsewhere = versions.union(*(other.metadata.tables for other in schemas if other is not schema))
        options = {
            "compare_type": True,
            "include_name": lambda name, kind, _, elsewhere=elsewhere: kind != "table" or name not in elsewhere,
        }
        with store.reading() as connection:
            found += compare_metadata(MigrationContext.configure(connection, opts=options), schema.metadata)
    return found


def write_schema(folder: Path, changes: Sequence[str]) -> Schema:
    """A schema in a package of its own under `folder`, which is on the path: one revision for each change, a statement
    of Python. Once more, with more changes, it is the same schema in a later version."""
    package = f"schema_{folder.name}"
    versions = folder / package / "migrations" / "versions"
    versions.mkdir(parents=True, exist_ok=True)
    (folder / package / "__init__.py").touch()
    for number, change in enumerate(changes, 1):
        before = f"{number - 1:04}" if number > 1 else None
        text = _REVISION.format(number=number, before=before, change=change)
        (versions / f"{number:04}_change.py").write_text(text)
    return Schema(package, f"version_{folder.name}")
