"""Creates tables in migrations. What it does stays once a version is released: databases are then made with it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

_TYPES = {"int": sa.BigInteger, "bytes": sa.LargeBinary, "str": sa.Text, "bool": sa.Boolean}


def create_table(
    name: str, columns: str, key: str, *indexes: str, with_rowid: bool = True, partition_by: str | None = None
) -> None:
    """Create a table and its indexes.

    `columns` are name:type, with a question mark after the type of a nullable column; `key` and each index are column
    names; all are separated by spaces. Without a rowid, SQLite keeps the rows in the primary key's tree.
    PostgreSQL alone knows `partition_by`.
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
        postgresql_partition_by=partition_by,
    )
    for index in indexes:
        op.create_index(f"ix_{name}_{index.replace(' ', '_')}", name, index.split())
