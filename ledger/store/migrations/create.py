"""Creates tables and columns in migrations, and drops columns. Do not change what it does: existing databases were
migrated with it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

_TYPES = {"int": sa.BigInteger, "bytes": sa.LargeBinary, "str": sa.Text, "bool": sa.Boolean}


def create_table(name: str, columns: str, key: str, *indexes: str, with_rowid: bool = True) -> None:
    """Create a table and its indexes.

    `columns` are name:type, with a question mark after the type of a nullable column; `key` and each index are column
    names; all are separated by spaces. Without a rowid, SQLite keeps the rows in the primary key's tree.
    """
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


def add_text(table: str, column: str) -> None:
    """Add a column for text, empty in the rows that exist."""
    op.add_column(table, sa.Column(column, sa.Text, nullable=False, server_default=""))


def add_number(table: str, column: str) -> None:
    """Add a column for whole numbers, 0 in the rows that exist."""
    op.add_column(table, sa.Column(column, sa.BigInteger, nullable=False, server_default="0"))


def drop_column(table: str, column: str) -> None:
    """Drop a column whose content nothing reads any more."""
    op.drop_column(table, column)
