"""The database as a whole: opened, brought up to date, checked, used in transactions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from sqlalchemy import Connection, Engine, inspect
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, IntegrityError, NoSuchModuleError, OperationalError

from ledger.errors import SettingsError, StoreDamagedError, StoreError
from ledger.store.engine import BARE, WRITES, build_engine

_MEND_URL = "give sqlite:///FILE, or postgresql://... after pip install 'millmark[postgres]'"
_MEND_DAMAGED = (
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
            self._engine.connect().execution_options(**{WRITES: True}) as connection,
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
            connection = connection.execution_options(**{BARE: True})
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


def open_store(url: str) -> Store:
    """Opens a database by SQLAlchemy URL, creates or migrates its tables, and checks that it is sound.

    Raises SettingsError for a URL that names no usable driver, StoreDamagedError for a file that is damaged or no
    database, StoreError for one of a newer version or of another program, or one that cannot be reached.
    """
    try:
        engine = build_engine(url)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise SettingsError(f"the database URL is not usable: {error}", hint=_MEND_URL) from error
    except OSError as error:
        raise StoreError(
            f"{error.filename} cannot be opened: {error.strerror}", hint="check path and rights"
        ) from error
    store = Store(engine)
    try:
        _check_sound(store)
        _migrate(store)
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
        raise StoreDamagedError(f"{store.url} is damaged: {findings[0]}", hint=_MEND_DAMAGED)


def _migrate(store: Store) -> None:
    """A database of this version's schema is known by one look: what migrates it takes a while to import."""
    with store.reading() as connection:
        if not inspect(connection).has_table("alembic_version"):
            found = []
        else:
            found = list(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars())
    if found != [newest_schema()]:
        from ledger.store.migrating import migrate  # noqa: PLC0415 - Alembic, as above

        with store.transaction() as connection:
            migrate(connection, store.url)


def newest_schema() -> str:
    """Of this version: migrations are numbered by their files' names, without a branch."""
    versions = Path(__file__).with_name("migrations") / "versions"
    return max(path.name[:4] for path in versions.glob("[0-9]*.py"))


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
    return StoreDamagedError(f"{store.url} is not a usable database: {cause}", hint=_MEND_DAMAGED)
