"""What PostgreSQL needs beyond SQLite: the writers' lock, limits in time that end what a frozen process holds, and a
server that keeps what it has acknowledged.

A process that is stopped within a write keeps the lock; its machine may be gone without the server's noticing. The
server ends its session after `_WRITER_IDLE_S`, which rolls the write back, and whoever waits for the lock longer than
`_LOCK_WAIT_S` is refused. So writers of other processes go on, and readers never wait.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from millmark.ledger.errors import StoreBusyError, StoreError

# Refuses a PostgreSQL server that acknowledges a write before it is on the disk.
#
# With `synchronous_commit = off` or `fsync = off`, a power cut takes back the last writes, the outbox's among them: a
# nonce that was given out is given out again, and a record that was acknowledged is gone. `full_page_writes = off` is
# not refused: it is right on file systems that never tear a page, which a program cannot find out. Nor is what follows
# from the choice of a standby: with `local`, writes are on the server's own disk, and a standby may lack them when
# promoted.
#
# Either setting may come from the server's configuration, from a database, a role or a role in a database, or from the
# URL; the error names the place.

DISPOSABLE = "millmark-disposable"
"""`cluster_name` of a server that was started for a test or the demonstration, and whose data may be lost. PostgreSQL
takes this setting when the server starts and never from a URL, a role or a database, so that nobody can switch the
refusal off from afar."""
SETTINGS = "current_setting('synchronous_commit'), current_setting('fsync'), current_setting('cluster_name')"
"""What to select first, so that `refuse` can judge the answer."""
_NAMES = ("synchronous_commit", "fsync")
_SOURCE = "SELECT source, current_user, current_database() FROM pg_settings WHERE name = %s"
_MEND = {
    "client": "take {name} out of the database URL's options",
    "database": 'ALTER DATABASE "{database}" RESET {name}',
    "user": 'ALTER ROLE "{user}" RESET {name}',
    "database user": 'ALTER ROLE "{user}" IN DATABASE "{database}" RESET {name}',
}
"""By where PostgreSQL says that a setting comes from."""
_MEND_SERVER = "set {name} = on in the server's configuration, then SELECT pg_reload_conf()"


def refuse(url: str, cursor: DBAPICursor) -> StoreError | None:
    """Judge the row that a statement which begins with SETTINGS has returned. Returns the error to raise, or None.
    `url` names the database in the error, without its password."""
    found: Any = cursor.fetchone()
    if found[2] == DISPOSABLE:
        return None
    name = next((name for name, value in zip(_NAMES, found, strict=False) if value == "off"), None)
    if name is None:
        return None
    cursor.execute(_SOURCE, (name,))
    source, user, database = cursor.fetchone() or ("", "", "")
    return StoreError(
        f"{url} acknowledges writes that a power cut takes back: {name} is off",
        hint=_MEND.get(source, _MEND_SERVER).format(name=name, user=user, database=database),
    )


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
    cursor.execute(f"SELECT {SETTINGS}")
    refused = refuse(url, cursor)
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
        cursor.execute(f"SELECT {SETTINGS}, {limit}, pg_advisory_xact_lock({_LOCK})")
        refused = refuse(connection.engine.url.render_as_string(hide_password=True), cursor)
        cursor.close()
        if refused is not None:
            raise refused


def _too_many() -> StoreBusyError:
    return StoreBusyError("other threads of this process are writing", hint="send it again in a few seconds")


# Partitions of the table `evidence` on PostgreSQL: by stream, and each stream's by month.
#
# A month's partition ends at the index where the next month began, so that stream and index stay the table's key, and a
# lookup by index reads one partition. The last one is open. A stream's first partition is made with its first row, and
# the next with the first row of each further month.
#
#     evidence
#       evidence_<stream, first 32 digits>            stream = ...
#         evidence_<stream, first 32 digits>_202611   index < 4096
#         evidence_<stream, first 32 digits>_202612   4096 <= index
#
# Months that are over get no more rows: their vacuum, and a backup of their files
# (millmark.ledger.store.evidence_files), can be done once. Rows stay when their content is dropped, since hashes of
# leaves are needed for as long as the stream.

_BOUNDS = re.compile(r"FROM \('?(MINVALUE|-?\d+)'?\) TO \('?(MAXVALUE|-?\d+)'?\)")
_WAIT, _SCAN, _AGAIN_S = "200ms", "5s", 60.0
"""How long a new month waits for readers of its stream, who wait for it in turn, and may take to look through the rows
of the month before. After that, its rows go there, and a write tries again after a minute: a dump or a vacuum may take
hours."""
_LONG, _LONG_AGAIN_S = "57014", 3600.0
"""SQLSTATE of a statement that took too long; it will again."""
_REFUSED = frozenset({"55P03", _LONG, "42501", "23514"})
"""Also of a lock that was not to be had, of a role that does not own the tables, and of rows that are not at the log's
end."""
_again_s: dict[tuple[str, str], float] = {}
"""When this process tries again to begin a month, by database and table; monotonic."""
_LIST = """
SELECT child.relname, pg_get_expr(child.relpartbound, child.oid)
FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
WHERE inhparent = to_regclass(%s) ORDER BY child.relname"""


@dataclass(frozen=True, slots=True)
class Partition:
    """A month of a stream's log."""

    name: str
    first: str
    """Index with which it begins, or MINVALUE."""
    end: str
    """Index before which it ends, or MAXVALUE."""


def list_partitions(connection: Connection, stream: bytes) -> list[Partition]:
    """The partitions of a stream's log, oldest first."""
    found = connection.exec_driver_sql(_LIST, (_table_of(stream),))
    return [Partition(name, *_bounds(text)) for name, text in found]


def prepare_partition(connection: Connection, stream: bytes, first: int, month: str) -> None:
    """Makes the partition for rows from index `first` on that are written in `month` (2026-11), if there is none. The
    transaction holds the write lock, so that nobody else does so at the same time."""
    table, partitions = _table_of(stream), list_partitions(connection, stream)
    name = f"{table}_{month.replace('-', '')}"
    if not partitions:
        # Made apart and then attached: that waits for no reader of other streams, as PARTITION OF would.
        connection.exec_driver_sql(f'CREATE TABLE {table} (LIKE evidence INCLUDING ALL) PARTITION BY RANGE ("index")')
        connection.exec_driver_sql(f"CREATE TABLE {name} PARTITION OF {table} FOR VALUES FROM (MINVALUE) TO (MAXVALUE)")
        connection.exec_driver_sql(f"ALTER TABLE evidence ATTACH PARTITION {table} FOR VALUES IN ('\\x{stream.hex()}')")
    # Not `!=`: a clock that was set back begins no month anew, nor does a row that is not at the log's end.
    elif (last := partitions[-1]).name < name and (last.first == "MINVALUE" or int(last.first) < first):
        _begin_month(connection, table, last, name, first)


def _begin_month(connection: Connection, table: str, last: Partition, name: str, first: int) -> None:
    place, now_s = (str(connection.engine.url), table), time.monotonic()
    if now_s < _again_s.get(place, 0.0):
        return
    bounds = f"FROM ({last.first}) TO ({first})"
    usual = connection.exec_driver_sql(
        "SELECT current_setting('lock_timeout'), current_setting('statement_timeout')"
    ).one()
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_WAIT}'")
            connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{_SCAN}'")
            connection.exec_driver_sql(f"ALTER TABLE {table} DETACH PARTITION {last.name}")
            connection.exec_driver_sql(f"ALTER TABLE {table} ATTACH PARTITION {last.name} FOR VALUES {bounds}")
            connection.exec_driver_sql(
                f"CREATE TABLE {name} PARTITION OF {table} FOR VALUES FROM ({first}) TO (MAXVALUE)"
            )
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{usual[0]}'")
            connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{usual[1]}'")
    except DBAPIError as error:
        state = getattr(error.orig, "sqlstate", None)
        if state not in _REFUSED:
            raise
        _again_s[place] = now_s + (_LONG_AGAIN_S if state == _LONG else _AGAIN_S)


def _table_of(stream: bytes) -> str:
    return f"evidence_{stream[:16].hex()}"


def _bounds(text: str) -> tuple[str, str]:
    found = _BOUNDS.search(text)
    if found is None:
        raise AssertionError(text)
    return found[1], found[2]
