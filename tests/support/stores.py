"""Fresh databases in large numbers: migrated once, then copied."""

from __future__ import annotations

import functools
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import Connection

from ledger.store import Store
from ledger.store.database import build_engine
from services.store import open_store


@functools.cache
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "template.db"
        open_store(f"sqlite:///{path}").close()
        return path.read_bytes()


def new_store(folder: Path, name: str = "ledger.db") -> Store:
    """An empty store with the current schema; the caller closes it."""
    path = folder / name
    path.write_bytes(_migrated())
    return Store(build_engine(f"sqlite:///{path}"))


def copy_database(source: Store, target: Store) -> None:
    """Copies the content of `source` to `target`; both are SQLite."""
    paths = [one.url.removeprefix("sqlite:///") for one in (source, target)]
    with closing(sqlite3.connect(paths[0])) as old, closing(sqlite3.connect(paths[1])) as new:
        old.backup(new)


@contextmanager
def scratch(store: Store) -> Iterator[Connection]:
    """A transaction that is rolled back."""
    with store.transaction() as connection:
        yield connection
        transaction = connection.get_transaction()
        assert transaction is not None
        transaction.rollback()
