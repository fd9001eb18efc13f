"""The database as a whole: opened, brought up to date, checked, used in transactions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect
from sqlalchemy.exc import ArgumentError, DatabaseError, IntegrityError, NoSuchModuleError, OperationalError

from ledger.errors import SettingsError, StoreDamagedError, StoreError
from ledger.store.engine import WRITES, build_engine

_MEND_URL = "give sqlite:///FILE, or postgresql://... after pip install 'millmark[postgres]'"
_MEND_DAMAGED = (
    "move it away, start again to rebuild the index from the chain, and restore the private book from a backup"
)


class Store:
    """An open database of this version's schema. Threads may share it; each transaction has its own connection."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.url = engine.url.render_as_string(hide_password=True)

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
        raise SettingsError(f"the database URL is not usable: {error}", mend=_MEND_URL) from error
    except OSError as error:
        raise StoreError(
            f"{error.filename} cannot be opened: {error.strerror}", mend="check path and rights"
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
        raise StoreDamagedError(f"{store.url} is damaged: {findings[0]}", mend=_MEND_DAMAGED)


def _migrate(store: Store) -> None:
    """All or nothing, and one process at a time: the write lock is held throughout."""
    config = build_config()
    script = ScriptDirectory.from_config(config)
    known = {revision.revision for revision in script.walk_revisions()}
    with store.transaction() as connection:
        current = MigrationContext.configure(connection).get_current_heads()
        if not set(current) <= known:
            raise StoreError(
                f"{store.url} was written by a newer version (schema {', '.join(current)})",
                mend="use that version or a later one",
            )
        if not current and inspect(connection).get_table_names():
            raise StoreError(f"{store.url} belongs to another program", mend="give a database of its own")
        if tuple(current) != tuple(script.get_heads()):
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def build_config() -> Config:
    """Alembic's settings, without a file."""
    config = Config()
    config.set_main_option("script_location", "ledger.store:migrations")
    config.set_main_option("path_separator", "os")
    return config


@contextmanager
def _failures_explained(store: Store) -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise  # our own mistake, not the database's
    except DatabaseError as error:
        raise _explain(store, error) from error


def _explain(store: Store, error: BaseException) -> BaseException:
    if not isinstance(error, DatabaseError):
        return error
    cause = " ".join(str(error.orig).split())  # PostgreSQL's go over several lines
    if isinstance(error, OperationalError):
        return StoreError(f"{store.url} cannot be used: {cause}", mend="check that it is there and not locked")
    return StoreDamagedError(f"{store.url} is not a usable database: {cause}", mend=_MEND_DAMAGED)
