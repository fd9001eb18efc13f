"""Brings a database's tables up to date. Apart from the rest because of what importing Alembic costs."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from ledger.errors import StoreError

__all__ = ["migrate", "open_scripts"]


def migrate(connection: Connection, url: str, version: str = "head") -> None:
    """All or nothing, and one process at a time: the connection's transaction holds the write lock. Raises StoreError
    for a database of a newer version or of another program; `url` is how it is called in that. `version`: of the
    schema; this version's own where nothing is said."""
    config = _build_config()
    script = ScriptDirectory.from_config(config)
    known = {revision.revision for revision in script.walk_revisions()}
    current = MigrationContext.configure(connection).get_current_heads()
    if not set(current) <= known:
        raise StoreError(
            f"{url} was written by a newer version (schema {', '.join(current)})",
            hint="use that version or a later one",
        )
    if not current and inspect(connection).get_table_names():
        raise StoreError(f"{url} belongs to another program", hint="give a database of its own")
    if tuple(current) != tuple(script.get_heads()):
        config.attributes["connection"] = connection
        command.upgrade(config, version)


def open_scripts() -> ScriptDirectory:
    """All migrations of this version."""
    return ScriptDirectory.from_config(_build_config())


def _build_config() -> Config:
    """Alembic's settings, without a file."""
    config = Config()
    config.set_main_option("script_location", "ledger.store:migrations")
    config.set_main_option("path_separator", "os")
    return config
