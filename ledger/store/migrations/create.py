"""Creates tables in migrations. Databases were migrated with it: whatever it makes of its arguments stays the same."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

__all__ = ["create_table"]

_TYPES = {"int": sa.BigInteger, "bytes": sa.LargeBinary, "str": sa.Text, "bool": sa.Boolean}


def create_table(name: str, columns: str, key: str, *indexes: str, with_rowid: bool = True) -> None:
    """`columns` are name:type, with a question mark where NULL may stand; `key` and `indexes` are column names, all
    separated by spaces. Without a rowid, SQLite keeps the rows in the key itself."""
    parts = [column.partition(":") for column in columns.split()]
    op.create_table(
        name,
        *(
            sa.Column(column, _TYPES[kind.rstrip("?")](), nullable=kind.endswith("?"), autoincrement=False)
            for column, _, kind in parts
        ),
        sa.PrimaryKeyConstraint(*key.split(), name=f"pk_{name}"),
        sqlite_with_rowid=with_rowid,
    )
    for index in indexes:
        op.create_index(f"ix_{name}_{index.replace(' ', '_')}", name, index.split())
