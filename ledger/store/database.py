"""The database as a whole: opens, checks and migrates it, sets up connections, and provides transactions."""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from types import TracebackType
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DatabaseError,
    DataError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    OperationalError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import ConnectionPoolEntry

from millmark.ledger.errors import SettingsError, StoreBusyError, StoreDamagedError, StoreError
from millmark.ledger.store import postgresql
from millmark.ledger.store.evidence_files import OPTION as EVIDENCE
from millmark.ledger.store.evidence_files import EvidenceFiles
from millmark.ledger.store.lineage import KEPT_STEPS, KeptSteps
from millmark.ledger.store.schema import LEDGER, Schema, migrate, read_revisions

# Failures of the database as the library's errors: busy, failing, or damaged.

_HINT_DAMAGED = (
    "restore a backup; without one, move it away, with the audit log, and start again: the index is rebuilt from the "
    "chain, but names, claims and API keys are lost"
)
_HINT_MISSING = "stop all programs of this home, put the file back or restore a backup, and start again"
_HINT_BUSY = "send it again in a few seconds; if it lasts, find the process that holds the lock"
_BUSY_STATES = frozenset({"55P03", "57014", "53300"})
"""PostgreSQL's codes: lock not available, query cancelled (by a time limit), too many connections."""
_READ_ONLY = "25006"
"""PostgreSQL's state for a write on a standby."""
_HINT_STANDBY = "name the primary in the URL, or both servers and target_session_attrs=read-write"
_DAMAGED_CLASS = "XX0"
"""How PostgreSQL's states for corrupted data and indexes begin; XX000 is an internal error without damage."""
_BUSY_TEXTS = ("database is locked", "database table is locked")
"""SQLite's messages for a lock that was not free in time."""


def explain(url: str, error: BaseException) -> BaseException:
    """The library's error for a failure of the database; any other exception is returned as it is."""
    if not isinstance(error, DatabaseError):
        return error
    cause = " ".join(str(error.orig).split())  # PostgreSQL's messages have several lines
    state = str(getattr(error.orig, "sqlstate", None) or "")
    if state == _READ_ONLY:
        return StoreError(f"{url} takes no writes: {cause}", hint=_HINT_STANDBY)
    if state in _BUSY_STATES or cause in _BUSY_TEXTS:
        return StoreBusyError(f"{url} is in use: {cause}", hint=_HINT_BUSY)
    # SQLite reports damage with the base class itself; the classes below it are for failures of other kinds.
    if _is_damage(error, state):
        return StoreDamagedError(f"{url} is not a usable database: {cause}", hint=_HINT_DAMAGED)
    if isinstance(error, DataError | ProgrammingError):
        return StoreError(f"{url} refuses a statement: {cause}", hint="report this; the database is sound")
    return StoreError(f"{url} cannot be used: {cause}", hint="check that it exists and is not locked")


def explain_exhausted(url: str) -> StoreBusyError:
    """The error for a process whose connections are all in use."""
    return StoreBusyError(f"all connections to {url} are in use", hint=_HINT_BUSY)


def damaged(url: str, finding: str) -> StoreDamagedError:
    """The error for damage that a check found."""
    return StoreDamagedError(f"{url} is damaged: {finding}", hint=_HINT_DAMAGED)


def missing(url: str) -> StoreDamagedError:
    """The error for a database file that was moved or deleted while it is open."""
    return StoreDamagedError(f"{url} was removed or replaced while it was in use", hint=_HINT_MISSING)


def _is_damage(error: DBAPIError, state: str) -> bool:
    if state:
        return state.startswith(_DAMAGED_CLASS) and state != "XX000"
    return not isinstance(error, OperationalError | DataError | ProgrammingError)


# A database file of SQLite under a running process: still the one that was opened, or another in its place.
#
# SQLite itself does not notice: it goes on in a file that was moved away, and mixes pages of its cache and its log with
# those of a file that was copied over.


class DatabaseFile:
    """The file that a process opened. Creates a missing one for its owner alone. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        # SQLite would create it by the umask, and it holds the salts that hide identifiers. Its log files get the same
        # mode as the database itself. A file that is there is not opened: closing it would drop the locks of other
        # connections of this process (fcntl(2)), and another process would then remove the log that they write.
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self._opened = path.stat()
        self._looked_at: tuple[int, int] | None = None
        self._identity = 0
        self._progress = (0, 0)

    def verify_same(self, connection: Connection) -> None:
        """Raises StoreDamagedError if the path now stands for another file, or for other contents: those of a backup or
        of an earlier copy. Not noticed is a copy of this file as it was after its latest growth.

        Whatever was written to such a file would be gone with the process, or spoil what was put there.
        """
        # In every transaction: the file is looked at once, and the URL is put together only where it is told.
        try:
            found = self._path.stat()
        except FileNotFoundError:
            raise missing(_url(connection)) from None
        except OSError as error:
            raise StoreError(
                f"{_url(connection)} cannot be looked at: {error.strerror}", hint="check its folder and disk"
            ) from error
        if not os.path.samestat(found, self._opened):
            raise missing(_url(connection))
        stamp = found.st_mtime_ns, found.st_size
        if stamp != self._looked_at:
            self._compare(stamp, connection)

    def _compare(self, stamp: tuple[int, int], connection: Connection) -> None:
        # Commits go to the log; the file changes only now and then, when somebody moves the log's pages into it.
        try:
            identity, *progress = _read_header(self._path)
        except sqlite3.Error:
            return  # read while pages were being moved: looked at again next time
        if not self._identity:  # a new database, whose header may be in the log alone
            self._identity = int(connection.exec_driver_sql("PRAGMA application_id").scalar_one())
        grown = progress[0], progress[1]
        if identity not in (0, self._identity) or grown < self._progress:
            raise missing(_url(connection))
        self._progress, self._looked_at = grown, stamp


def _url(connection: Connection) -> str:
    """What is withheld from others, unlike the path."""
    return str(connection.engine.url)


def _read_header(path: Path) -> tuple[int, int, int]:
    # By SQLite, which does not drop the locks of the process' other connections, and without the log. A smaller file is
    # an older one unless it was rewritten (VACUUM), which raises the version of its schema.
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True)) as file:
        names = ("application_id", "schema_version", "page_count")
        identity, schema, pages = (int(file.execute(f"PRAGMA {name}").fetchone()[0]) for name in names)
        return identity, schema, pages


def give_identity(connection: SqliteConnection | Connection) -> None:
    """Gives a database a new random number in its header, which tells it from its copies."""
    statement = f"PRAGMA application_id = {secrets.randbelow(2**31 - 1) + 1}"
    if isinstance(connection, SqliteConnection):
        connection.execute(statement).close()
    else:
        connection.exec_driver_sql(statement)


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
        """A connection that sees a single state of the database throughout. Whatever it writes is rolled back. Raises
        StoreError if the database fails."""
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

    def changes(self) -> Changes:
        """Tells one caller when something was committed."""
        return Changes(self, self._engine)

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
    """An engine for any SQLAlchemy URL; for PostgreSQL, with psycopg unless the URL names another driver. Creates a
    missing SQLite file. Raises ArgumentError, NoSuchModuleError, ModuleNotFoundError or OSError."""
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


class Changes:
    """Tells whether anything was committed to a database since the last look, by whatever process.

    A look reads a counter that the database keeps anyway: many who wait for something to be written cost no more than
    one. Not thread-safe.
    """

    def __init__(self, store: Store, engine: Engine) -> None:
        self._store, self._engine = store, engine
        self._connection: Any = None
        """One for all looks: SQLite's counter compares what one connection saw with what it sees."""
        self._latest: object = None

    def look(self) -> bool:
        """True also at first, and where it cannot be told. Raises StoreError if the database fails."""
        is_file = self._engine.dialect.name == "postgresql" or self._engine.url.database not in (None, "", ":memory:")
        if not is_file:
            return True
        try:
            with _failures_explained(self._store):
                found = self._read()
        except BaseException:
            self.close()
            raise
        changed, self._latest = found != self._latest, found
        return changed

    def close(self) -> None:
        """The next look opens a new connection."""
        connection, self._connection, self._latest = self._connection, None, None
        if connection is not None:
            with suppress(Exception):  # one that is broken is closed as well
                connection.close()

    def _read(self) -> object:
        is_sqlite = self._engine.dialect.name == "sqlite"
        if self._connection is None:
            pooled = self._engine.raw_connection()
            # The driver's own, which is held while the process runs: those who share the pool do not wait for it.
            self._connection = pooled.dbapi_connection
            pooled.detach()
            if not is_sqlite:
                self._connection.autocommit = True
        # PostgreSQL numbers transactions that write, and no others; the snapshot also lists those under way, so that it
        # changes as well when one of them ends after a younger one.
        query = "PRAGMA data_version" if is_sqlite else "SELECT pg_current_snapshot()::text"
        cursor = self._connection.cursor()
        try:
            cursor.execute(query)
            return cursor.fetchone()[0]
        finally:
            cursor.close()


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
    except store.failure as error:  # from millmark.ledger.store.repository, which bypasses SQLAlchemy
        raise _noted(store, DBAPIError.instance(None, None, error, store.failure)) from error


def _noted(store: Store, error: BaseException) -> BaseException:
    found = explain(store.url, error)
    if isinstance(found, StoreDamagedError) and store.damage is None:
        store.damage, store.damaged_at_s = found, time.time()
    return found
