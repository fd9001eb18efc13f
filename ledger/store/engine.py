"""How connections are set up; the only place."""

from __future__ import annotations

import os
from pathlib import Path
from sqlite3 import Connection as SqliteConnection

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.pool import ConnectionPoolEntry

_BUSY_TIMEOUT_MS = 10_000
_LOCK = int.from_bytes(b"millmark")
"""Which of a database's advisory locks is ours."""
_CONNECTIONS = 32
"""That stay open to one SQLite file, the last used first: a new one reads the whole schema and prepares every statement
anew."""
WRITES = "millmark_writes"
"""Execution option of a connection whose transaction will write."""
BARE = "millmark_bare"
"""Execution option of a connection that begins no transaction, for what SQLite does outside of one alone."""


def build_engine(url: str) -> Engine:
    """An engine for any SQLAlchemy URL; PostgreSQL's driver is psycopg where the URL names none. A SQLite file that
    does not exist is created readable by its owner alone: it holds the salts that hide identifiers."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        engine = create_engine(parsed, pool_pre_ping=True)
        event.listen(engine, "begin", _lock)
        return engine
    if not parsed.database or parsed.database == ":memory:" or parsed.database.startswith("file:"):
        engine = create_engine(parsed)
    else:
        engine = create_engine(parsed, pool_size=_CONNECTIONS, pool_use_lifo=True)
        _create_private(Path(parsed.database))
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)
    return engine


def _create_private(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def _set_up(connection: SqliteConnection, _entry: ConnectionPoolEntry) -> None:
    """WAL lets readers go on beside the one writer. FULL waits for the disk at each commit: what was acknowledged
    survives a power cut. What is deleted is overwritten. The driver begins no transactions of its own: it would leave
    reads and DDL outside of them."""
    connection.isolation_level = None
    for pragma in (
        f"busy_timeout={_BUSY_TIMEOUT_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "secure_delete=ON",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _lock(connection: Connection) -> None:
    """PostgreSQL's writers take turns as SQLite's do: what a transaction read stays true until it has written."""
    if connection.get_execution_options().get(WRITES, False):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")


def _begin(connection: Connection) -> None:
    """A writer takes the lock at once: one that reads first and finds out later cannot wait, only fail."""
    options = connection.get_execution_options()
    if not options.get(BARE, False):
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get(WRITES, False) else "BEGIN")
