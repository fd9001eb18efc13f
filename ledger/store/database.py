"""The database as a whole: opened, brought up to date, checked, used in transactions; how connections are set up."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from types import TracebackType

from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, IntegrityError, NoSuchModuleError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from ledger.errors import SettingsError, StoreDamagedError, StoreError
from ledger.store.schema import Schema, migrate, read_revisions
from ledger.store.tables import LEDGER

__all__ = ["Store", "build_engine", "open_store"]

_BUSY_TIMEOUT_MS = 10_000
_LOCK = int.from_bytes(b"millmark")
"""Which of a database's advisory locks is ours."""
_CONNECTIONS = 32
"""That stay open to one SQLite file, the last used first: a new one reads the whole schema and prepares every statement
anew."""
_WRITES = "millmark_writes"
"""Execution option of a connection whose transaction will write."""
_BARE = "millmark_bare"
"""Execution option of a connection that begins no transaction, for what SQLite does outside of one alone."""

_HINT_URL = "give sqlite:///FILE, or postgresql://... after pip install 'millmark[postgres]'"
_HINT_DAMAGED = (
    "move it away, start again to rebuild the index from the chain, and restore the private book from a backup"
)


class Store:
    """An open database of this version's schema. Threads may share it; each transaction has its own connection."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.url = engine.url.render_as_string(hide_password=True)
        self.failure: type[Exception] = engine.dialect.loaded_dbapi.Error
        """What the database's driver raises."""

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection for reading and writing; committed on a clean exit, rolled back on any other. It holds the one
        write lock from the start, so keep network calls outside. Raises StoreError when the database fails."""
        with (
            _failures_explained(self),
            self._engine.connect().execution_options(**{_WRITES: True}) as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one state of the database throughout; what it writes is rolled back. Raises StoreError
        when the database fails."""
        with _failures_explained(self), self._engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            with connection.begin() as transaction:
                yield connection
                transaction.rollback()

    def scrub(self) -> None:
        """Leaves nothing in the database's files of what was deleted from it: each is written anew, and SQLite's log
        emptied. Takes time in proportion to the database, holds writers up meanwhile, and may be done again.

        Raises StoreError when somebody reads the database for longer than writers wait. On PostgreSQL, its own log and
        backups are the operator's to age out.
        """
        with _failures_explained(self), self._engine.connect() as connection:
            if connection.dialect.name != "sqlite":
                connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("VACUUM FULL")
                return
            connection = connection.execution_options(**{_BARE: True})
            connection.exec_driver_sql("VACUUM")
            busy = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()[0]
        if busy:
            raise StoreError(f"{self.url} is being read: its log is not emptied yet", hint="scrub it again")

    def close(self) -> None:
        self._engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_store(url: str, *schemas: Schema) -> Store:
    """Opens a database by SQLAlchemy URL, checks that it is sound, and creates or migrates the library's tables and
    those of `schemas`, which a program keeps beside them. Tables of other programs' schemas stay as they are.

    Raises SettingsError for a URL that names no usable driver, StoreDamagedError for a file that is damaged or no
    database, StoreError for one of a newer version or of another program, or one that cannot be reached.
    """
    try:
        engine = build_engine(url)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise SettingsError(f"the database URL is not usable: {error}", hint=_HINT_URL) from error
    except OSError as error:
        raise StoreError(
            f"{error.filename} cannot be opened: {error.strerror}", hint="check path and rights"
        ) from error
    store = Store(engine)
    try:
        _check_sound(store)
        _migrate(store, (LEDGER, *schemas))
    except BaseException as error:
        store.close()
        raise _explain(store, error) from error
    return store


def _check_sound(store: Store) -> None:
    with store.reading() as connection:
        if connection.dialect.name != "sqlite":
            return
        findings = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA quick_check")]
    if findings != ["ok"]:
        raise StoreDamagedError(f"{store.url} is damaged: {findings[0]}", hint=_HINT_DAMAGED)


def _migrate(store: Store, schemas: tuple[Schema, ...]) -> None:
    """One look tells a database that is up to date. Any other is looked at again once the write lock is held: another
    program may have migrated it meanwhile."""
    with store.reading() as connection:
        if all(read_revisions(connection, schema) == [schema.newest()] for schema in schemas):
            return
    with store.transaction() as connection:
        if not read_revisions(connection, LEDGER) and inspect(connection).get_table_names():
            raise StoreError(f"{store.url} belongs to another program", hint="give a database of its own")
        for schema in schemas:
            migrate(connection, schema, store.url)


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
    if connection.get_execution_options().get(_WRITES, False):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")


def _begin(connection: Connection) -> None:
    """A writer takes the lock at once: one that reads first and finds out later cannot wait, only fail."""
    options = connection.get_execution_options()
    if not options.get(_BARE, False):
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get(_WRITES, False) else "BEGIN")


@contextmanager
def _failures_explained(store: Store) -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise  # our own mistake, not the database's
    except DatabaseError as error:
        raise _explain(store, error) from error
    except store.failure as error:  # of the driver itself (ledger.store.statements)
        raise _explain(store, DBAPIError.instance(None, None, error, store.failure)) from error


def _explain(store: Store, error: BaseException) -> BaseException:
    if not isinstance(error, DatabaseError):
        return error
    cause = " ".join(str(error.orig).split())  # PostgreSQL's go over several lines
    if isinstance(error, OperationalError):
        return StoreError(f"{store.url} cannot be used: {cause}", hint="check that it is there and not locked")
    return StoreDamagedError(f"{store.url} is not a usable database: {cause}", hint=_HINT_DAMAGED)
