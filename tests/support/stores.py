"""Fresh databases in large numbers: migrated once, then copied; on SQLite, or all on one PostgreSQL cluster."""

from __future__ import annotations

import functools
import secrets
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import Connection, create_engine, make_url

from millmark.ledger.store import Store
from millmark.ledger.store.database import build_engine
from millmark.services.store import open_store


@functools.cache
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "template.db"
        open_store(f"sqlite:///{path}").close()
        return path.read_bytes()


_clusters: list[str] = []
"""The URL of the PostgreSQL cluster on which new stores are made now; empty for SQLite."""
_TEMPLATE = "millmark_template"


def prepare_cluster(url: str) -> None:
    """Makes the database that `on_cluster` copies."""
    _create(url, _TEMPLATE, "template0")
    open_store(_of(url, _TEMPLATE)).close()


@contextmanager
def on_cluster(url: str) -> Iterator[None]:
    """Makes all new stores on a prepared PostgreSQL cluster during the `with` block."""
    _clusters.append(url)
    try:
        yield
    finally:
        _clusters.clear()


def cluster() -> str | None:
    """The URL of the cluster on which new stores are made; None for SQLite."""
    return _clusters[0] if _clusters else None


def new_store(folder: Path, name: str = "ledger.db", evidence: Path | None = None) -> Store:
    """An empty store with the current schema, and with a new folder for evidence if one is named; the caller closes
    it."""
    made = _new_store(folder, name, evidence)
    if made.evidence is not None:
        made.evidence.folder.mkdir()
        made.evidence.claim(made.reading, made.transaction)
    return made


def _new_store(folder: Path, name: str, evidence: Path | None) -> Store:
    if _clusters:
        database = f"test_{secrets.token_hex(6)}"
        _create(_clusters[0], database, _TEMPLATE)
        return Store(build_engine(_of(_clusters[0], database)), evidence)
    path = folder / name
    path.write_bytes(_migrated())
    return Store(build_engine(f"sqlite:///{path}"), evidence)


def copy_database(source: Store, target: Store) -> None:
    """Copies the content of `source` to `target`; both are of one kind."""
    if _clusters:
        names = [str(make_url(one.url).database) for one in (source, target)]
        for one in (source, target):
            one.close()  # no connection may be open to either; the next use connects again
        _create(_clusters[0], names[1], names[0])
        return
    paths = [one.url.removeprefix("sqlite:///") for one in (source, target)]
    with closing(sqlite3.connect(paths[0])) as old, closing(sqlite3.connect(paths[1])) as new:
        old.backup(new)


def _of(url: str, database: str) -> str:
    return make_url(url).set(database=database).render_as_string(hide_password=False)


def _create(url: str, database: str, template: str) -> None:
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {database}")
        connection.exec_driver_sql(f"CREATE DATABASE {database} TEMPLATE {template}")
    engine.dispose()


@contextmanager
def scratch(store: Store) -> Iterator[Connection]:
    """A transaction that is rolled back."""
    with store.transaction() as connection:
        yield connection
        transaction = connection.get_transaction()
        assert transaction is not None
        transaction.rollback()
