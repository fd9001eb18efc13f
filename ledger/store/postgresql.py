"""What PostgreSQL needs beyond SQLite: the writers' lock, limits in time that end what a frozen process holds, and a
server that keeps what it has acknowledged (millmark.ledger.store.durability).

A process that is stopped within a write keeps the lock; its machine may be gone without the server's noticing. The
server ends its session after `_WRITER_IDLE_S`, which rolls the write back, and whoever waits for the lock longer than
`_LOCK_WAIT_S` is refused. So writers of other processes go on, and readers never wait.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import TracebackType

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from millmark.ledger.errors import StoreBusyError
from millmark.ledger.store import durability

WRITES = "millmark_writes"
"""Execution option of a connection whose transaction will write."""
_LOCK = int.from_bytes(b"millmark")
"""Number of the advisory lock that serialises writers."""
_LOCK_WAIT_S = 10
_WRITER_IDLE_S = 10
"""Longest pause between two statements of a write: writers compute little in between, and call nobody."""
_READER_IDLE_S = 120
"""As above for readers, who hold no lock that others wait for; a long trace computes between statements."""
_STATEMENT_S = 300
"""Longest statement. That of a rebuild, which deletes the index, takes minutes; a request's takes milliseconds."""
_POOL, _OVERFLOW, _POOL_WAIT_S = 10, 20, 5
"""Connections of a process, and how long it waits for one. Writers take only one at a time (WriterTurns)."""
_WAITING = 20
"""Threads of a process that may wait for its turn to write; an HTTP server has 40, and readers need some of them."""


def build_engine(url: URL) -> Engine:
    """An engine with psycopg, unless the URL names another driver."""
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    engine = create_engine(
        url,
        pool_pre_ping=True,  # a restarted server leaves dead connections in the pool
        pool_size=_POOL,
        max_overflow=_OVERFLOW,
        pool_timeout=_POOL_WAIT_S,
    )
    event.listen(engine, "connect", partial(_set_up, url.render_as_string(hide_password=True)))
    event.listen(engine, "begin", _begin)
    return engine


class WriterTurns:
    """Lets one thread of a process write at a time, in the program rather than at the server: threads that wait for the
    server's lock would hold all connections, and readers would have none."""

    def __init__(self) -> None:
        self._turn, self._places = threading.Lock(), threading.BoundedSemaphore(_WAITING)

    def __enter__(self) -> None:
        if self._turn.acquire(blocking=False):
            return
        if not self._places.acquire(blocking=False):
            raise _too_many()
        try:
            if not self._turn.acquire(timeout=_LOCK_WAIT_S):
                raise _too_many()
        finally:
            self._places.release()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._turn.release()


def lift_limits(connection: Connection) -> None:
    """Lift the limits for the rest of the transaction, for migrations."""
    for limit in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
        connection.exec_driver_sql(f"SET LOCAL {limit} = 0")


@contextmanager
def untimed(connection: Connection) -> Iterator[None]:
    """Lift the limits of statements, and of waiting for tables that readers use, on a connection that commits each
    statement, during the `with` block."""
    limits = {"statement_timeout": _STATEMENT_S, "lock_timeout": _LOCK_WAIT_S}
    for name in limits:
        connection.exec_driver_sql(f"SET {name} = 0")
    try:
        yield
    finally:
        for name, limit_s in limits.items():
            connection.exec_driver_sql(f"SET {name} = '{limit_s}s'")


def _set_up(url: str, connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    limits = {
        "lock_timeout": _LOCK_WAIT_S,
        "statement_timeout": _STATEMENT_S,
        "idle_in_transaction_session_timeout": _READER_IDLE_S,
    }
    cursor = connection.cursor()
    for name, limit_s in limits.items():
        cursor.execute(f"SET {name} = '{limit_s}s'")
    # Readers too: a program must not start on such a server, and its first transaction is a read.
    cursor.execute(f"SELECT {durability.SETTINGS}")
    refused = durability.refuse(url, cursor)
    cursor.close()
    connection.commit()  # otherwise the settings would end with the first transaction that is rolled back
    if refused is not None:
        connection.close()  # it is in no pool yet, so nobody else would
        raise refused


def _begin(connection: Connection) -> None:
    # Serialises writers, as SQLite's are: what a transaction has read stays true until it commits. In one statement, so
    # that no process can be frozen between lock and limit; and with the settings, which change under a running program
    # when the server reads its configuration again.
    if connection.get_execution_options().get(WRITES, False):
        limit = f"set_config('idle_in_transaction_session_timeout', '{_WRITER_IDLE_S}s', true)"
        cursor = connection.connection.cursor()
        cursor.execute(f"SELECT {durability.SETTINGS}, {limit}, pg_advisory_xact_lock({_LOCK})")
        refused = durability.refuse(connection.engine.url.render_as_string(hide_password=True), cursor)
        cursor.close()
        if refused is not None:
            raise refused


def _too_many() -> StoreBusyError:
    return StoreBusyError("other threads of this process are writing", hint="send it again in a few seconds")
