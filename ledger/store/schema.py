"""Tables, and the migrations that create them.

A schema is a set of tables with migrations of its own. The library has one, and a program that keeps more brings
another to `open_store`: each notes its version in a table of its own, so that a database that the library's user made
can be opened by a gateway later, and the other way round. Alembic's branches were the alternative: one version table
for all, in which the library would meet the revisions of programs that it does not know.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, fields
from importlib.resources import files
from typing import get_args, get_type_hints

from sqlalchemy import BigInteger, Boolean, Column, Connection, Index, LargeBinary, MetaData, Table, Text, inspect

from ledger.errors import StoreError

__all__ = ["TABLES", "Schema", "migrate", "read_revisions", "schema_of"]

TABLES: dict[type, Table] = {}
"""The table of each class of rows, of all schemas."""

_TYPES: dict[object, type[BigInteger | LargeBinary | Text | Boolean]] = {
    int: BigInteger,
    bytes: LargeBinary,
    str: Text,
    bool: Boolean,
}


def _new_metadata() -> MetaData:
    return MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        },
    )


@dataclass(frozen=True, slots=True)
class Schema:
    """Tables that come together."""

    package: str
    """Its folder `migrations/versions` holds the migrations; their file names begin with the revision, four digits."""
    version_table: str
    """Where a database notes how far it is migrated."""
    metadata: MetaData = field(default_factory=_new_metadata, repr=False)
    """The tables, as SQLAlchemy has them; what the migrations create is compared with it."""

    def table(self, name: str, row: type, key: str, *indexes: str) -> Table:
        """A table with the columns of `row`, a dataclass. `key` and `indexes` are column names separated by spaces."""
        columns = [_column(column, hint, key.split()) for column, hint in _hints(row).items()]
        table = Table(name, self.metadata, *columns)
        for index in indexes:
            Index(None, *(table.c[column] for column in index.split()))
        TABLES[row] = table
        return table

    def newest(self) -> str:
        """The latest revision, as the file names have it: this is asked without Alembic (see `migrate`)."""
        folder = files(self.package) / "migrations" / "versions"
        return max(entry.name[:4] for entry in folder.iterdir() if entry.name[:4].isdecimal())


def _hints(row: type) -> dict[str, object]:
    hints = get_type_hints(row)
    return {column.name: hints[column.name] for column in fields(row)}


def _column(name: str, hint: object, key: list[str]) -> Column[object]:
    nullable = type(None) in get_args(hint)
    kind = get_args(hint)[0] if nullable else hint
    return Column(name, _TYPES[kind](), primary_key=name in key, autoincrement=False, nullable=nullable)


@functools.cache
def schema_of(package: str) -> Schema:
    """The schema of a program that keeps tables beside the library's, by its top-level package: the same object at
    every call, so that each domain can declare its tables without importing what opens the store."""
    return Schema(package, f"alembic_version_{package}")


def read_revisions(connection: Connection, schema: Schema) -> list[str]:
    """How far the database is migrated: one revision, or none where it does not have the schema."""
    if not inspect(connection).has_table(schema.version_table):
        return []
    query = f"SELECT version_num FROM {schema.version_table}"  # noqa: S608  # a name of our own
    return list(connection.exec_driver_sql(query).scalars())


def migrate(connection: Connection, schema: Schema, url: str) -> None:
    """Creates the schema's tables, or brings them up to date: all within the connection's transaction, which holds the
    write lock, so that a crash leaves the version before, and programs that open a database at once take turns.

    Raises StoreError for a database of a newer version; `url` is how the message names it.
    """
    # Not at the top: importing Alembic takes longer than opening a database that is up to date.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config(attributes={"connection": connection, "schema": schema})
    config.set_main_option("script_location", "ledger.store:migrations")  # whose env.py serves every schema
    config.set_main_option("version_locations", f"{schema.package}:migrations/versions")
    config.set_main_option("path_separator", "newline")  # the operating system's would cut the line above at its colon
    script = ScriptDirectory.from_config(config)
    current = read_revisions(connection, schema)
    if not set(current) <= {revision.revision for revision in script.walk_revisions()}:
        raise StoreError(
            f"{url} was written by a newer version (schema {', '.join(current)})",
            hint="use that version or a later one",
        )
    if current != script.get_heads():
        command.upgrade(config, "head")
