"""The database as a whole: opens, checks and migrates it, sets up connections, and provides transactions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from types import TracebackType

from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, IntegrityError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import ConnectionPoolEntry

from millmark.ledger.errors import SettingsError, StoreDamagedError, StoreError
from millmark.ledger.store import postgresql
from millmark.ledger.store.evidence_files import OPTION as EVIDENCE
from millmark.ledger.store.evidence_files import EvidenceFiles
from millmark.ledger.store.failures import damaged, explain, explain_exhausted
from millmark.ledger.store.schema import Schema, migrate, read_revisions
from millmark.ledger.store.sqlite_file import DatabaseFile, give_identity
from millmark.ledger.store.steps import KEPT_STEPS, KeptSteps
from millmark.ledger.store.tables import LEDGER

_BUSY_TIMEOUT_MS = 10_000
_CONNECTIONS = 32
"""Pooled connections to one SQLite file. A new one would have to read the schema and prepare every statement again."""
_WRITES = postgresql.WRITES
_BARE = "millmark_bare"
"""Execution option of a connection that begins no transaction, for statements that SQLite refuses within one."""

_HINT_URL = "use sqlite:///FILE, or postgresql://... after pip install 'millmark[postgres]'"


class Store:
    """An open database with the current schema. Threads may share it; each transaction has its own connection."""

    damage: StoreDamagedError | None = None
    """The first damage that a transaction met. It stays: what is damaged concerns other transactions than the next."""
    damaged_at_s = 0.0
    """When it was met, in seconds since 1970."""

    def __init__(self, engine: Engine, evidence: Path | None = None) -> None:
        self._engine = engine
        self.evidence = None if evidence is None else EvidenceFiles(evidence)
        """Files with the content of streams' logs; None if it is in the database."""
        engine.update_execution_options(**{KEPT_STEPS: KeptSteps(), EVIDENCE: self.evidence})
        self.url = engine.url.render_as_string(hide_password=True)
        self.failure: type[Exception] = engine.dialect.loaded_dbapi.Error
        """Base class of the database driver's exceptions."""
        self.interruptions = 0
        """How often a connection was lost. After one, the server may have been replaced by one with older data."""
        event.listen(engine, "invalidate", self._count_interruption)
        self._turns = postgresql.WriterTurns() if engine.dialect.name == "postgresql" else nullcontext()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection for reading and writing, committed on a clean exit and rolled back on any other.

        It holds the database's only write lock from the start, so keep network calls outside. Raises StoreError if the
        database fails, StoreBusyError if the lock is not free within ten seconds.
        """
        with (
            self._turns,
            _failures_explained(self),
            self._engine.connect().execution_options(**{_WRITES: True}) as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def joining(self, within: Connection | None) -> Iterator[Connection]:
        """The caller's transaction `within`, which the caller commits; for None, a `transaction` of its own."""
        if within is not None:
            yield within
            return
        with self.transaction() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees a single state of the database throughout. Whatever it writes is rolled back.

        Raises StoreError if the database fails.
        """
        with _failures_explained(self), self._engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                # PostgreSQL's default would let each statement see a newer state.
                connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            with connection.begin() as transaction:
                yield connection
                transaction.rollback()

    def scrub(self) -> None:
        """Remove deleted data from the database's files: they are rewritten, and SQLite's write-ahead log is emptied.

        Takes time in proportion to the database's size and blocks writers meanwhile. Idempotent. Raises StoreError if
        a reader keeps the log in use for longer than ten seconds. Not established, on PostgreSQL: that its write-ahead
        log and backups are free of the data; they have to age out.
        """
        with _failures_explained(self), self._engine.connect() as connection:
            if connection.dialect.name != "sqlite":
                # VACUUM cannot run within a transaction.
                connection = connection.execution_options(isolation_level="AUTOCOMMIT")
                with postgresql.untimed(connection):
                    connection.exec_driver_sql("VACUUM FULL")
                return
            connection = connection.execution_options(**{_BARE: True})
            self._keep_copy_near(connection)
            connection.exec_driver_sql("VACUUM")
            # VACUUM writes the new file through the log, whose older frames still hold the deleted rows.
            busy = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()[0]
        if busy:
            raise StoreError(
                f"{self.url} is in use: deleted data are still in its write-ahead log", hint="scrub it again"
            )

    def analyse(self) -> None:
        """Let PostgreSQL count how values are distributed, after many rows came at once: until it does so by itself,
        it plans queries as if the tables were as before. Nothing to do on SQLite, which plans without such counts."""
        with _failures_explained(self), self._engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                connection = connection.execution_options(isolation_level="AUTOCOMMIT")
                with postgresql.untimed(connection):
                    connection.exec_driver_sql("ANALYZE")

    def _keep_copy_near(self, connection: Connection) -> None:
        # VACUUM copies the whole database to a temporary file, by default in a folder that all users and other file
        # systems share: too small perhaps, and no place for the private book.
        folder = Path(self._engine.url.database or "").absolute().parent
        connection.exec_driver_sql("PRAGMA temp_store_directory = '{}'".format(str(folder).replace("'", "''")))

    def _count_interruption(self, *_: object) -> None:
        self.interruptions += 1

    def close(self) -> None:
        self._engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_store(url: str, *schemas: Schema, evidence: Path | None = None) -> Store:
    """Open a database by SQLAlchemy URL, check it, and create or migrate the library's tables and those of `schemas`.

    Tables of schemas that are not passed stay as they are. `evidence`: a folder for the content of streams' logs, which
    is in the database without one. Raises SettingsError if the URL names no usable driver or the folder is not this
    database's, StoreDamagedError if the file is damaged or not a database, StoreError if the database was written by a
    newer version, belongs to another program, or cannot be reached, or the folder is missing or not mounted.
    """
    try:
        engine = build_engine(url)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError, ValueError) as error:
        # SQLAlchemy's texts quote what they cannot parse: a piece of the URL, in which a password may be.
        cause = str(error) if isinstance(error, NoSuchModuleError | ModuleNotFoundError) else "it cannot be parsed"
        raise SettingsError(f"the database URL is not usable: {cause}", hint=_HINT_URL) from None
    except OSError as error:
        raise StoreError(
            f"{error.filename} cannot be opened: {error.strerror}", hint="check its path and permissions"
        ) from error
    store = Store(engine, evidence)
    try:
        _check_sound(store)
        _migrate(store, (LEDGER, *schemas))
        if store.evidence is not None:
            store.evidence.claim(store.reading, store.transaction)
    # Also for KeyboardInterrupt: nobody else would close the pool.
    except BaseException as error:
        store.close()
        raise explain(store.url, error) from error
    return store


def _check_sound(store: Store) -> None:
    with store.reading() as connection:
        if connection.dialect.name != "sqlite":
            return
        findings = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA quick_check")]
    if findings != ["ok"]:
        raise damaged(store.url, findings[0])


def _migrate(store: Store, schemas: tuple[Schema, ...]) -> None:
    # Most databases are up to date, which a reader finds out without waiting for the write lock. Any other is examined
    # again under the lock: another process may have migrated it meanwhile.
    with store.reading() as connection:
        if _has_identity(connection) and all(read_revisions(connection, one) == [one.newest()] for one in schemas):
            return
    with store.transaction() as connection:
        if connection.dialect.name == "postgresql":
            postgresql.lift_limits(connection)
        if not read_revisions(connection, LEDGER) and inspect(connection).get_table_names():
            raise StoreError(f"{store.url} belongs to another program", hint="use a separate database for Millmark")
        for schema in schemas:
            migrate(connection, schema, store.url)
        if not _has_identity(connection):
            give_identity(connection)


def _has_identity(connection: Connection) -> bool:
    return connection.dialect.name != "sqlite" or bool(connection.exec_driver_sql("PRAGMA application_id").scalar())


def build_engine(url: str) -> Engine:
    """An engine for any SQLAlchemy URL; for PostgreSQL, with psycopg unless the URL names another driver.

    Creates a missing SQLite file. Raises ArgumentError, NoSuchModuleError, ModuleNotFoundError or OSError.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return postgresql.build_engine(parsed)
    if not parsed.database or parsed.database == ":memory:" or parsed.database.startswith("file:"):
        engine = create_engine(parsed)
    else:
        engine = create_engine(parsed, pool_size=_CONNECTIONS, pool_use_lifo=True)
        event.listen(engine, "begin", DatabaseFile(Path(parsed.database)).verify_same)
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)
    return engine


def _set_up(connection: SqliteConnection, _entry: ConnectionPoolEntry) -> None:
    # The driver's own transactions would not include reads and DDL; `_begin` begins ours instead.
    connection.isolation_level = None
    for pragma in (
        f"busy_timeout={_BUSY_TIMEOUT_MS}",
        "journal_mode=WAL",  # readers do not block the writer, nor the writer them
        "synchronous=FULL",  # each commit is on the disk: what was acknowledged survives a power cut
        "foreign_keys=ON",
        # KiB a connection: with SQLite's 2 MiB, the 32 connections of a process would fill 64 MiB over days. The
        # system caches the file as well; reading from there costs a trace some 3 % more.
        "cache_size=-512",
        "secure_delete=ON",  # deleted content is overwritten with zeros
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(connection: Connection) -> None:
    # A writer takes the lock at once: SQLite cannot wait when it turns a read transaction into a write, only fail.
    options = connection.get_execution_options()
    if not options.get(_BARE, False):
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get(_WRITES, False) else "BEGIN")


@contextmanager
def _failures_explained(store: Store) -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise  # an error of this program, not of the database
    except PoolTimeoutError:
        raise explain_exhausted(store.url) from None
    except DatabaseError as error:
        raise _noted(store, error) from error
    except store.failure as error:  # from millmark.ledger.store.statements, which bypasses SQLAlchemy
        raise _noted(store, DBAPIError.instance(None, None, error, store.failure)) from error


def _noted(store: Store, error: BaseException) -> BaseException:
    found = explain(store.url, error)
    if isinstance(found, StoreDamagedError) and store.damage is None:
        store.damage, store.damaged_at_s = found, time.time()
    return found
