"""Partitions of the table `evidence` on PostgreSQL: by stream, and each stream's by month.

A month's partition ends at the index where the next month began, so that stream and index stay the table's key, and a
lookup by index reads one partition. The last one is open. A stream's first partition is made with its first row, and
the next with the first row of each further month.

    evidence
      evidence_<stream, first 32 digits>            stream = ...
        evidence_<stream, first 32 digits>_202611   index < 4096
        evidence_<stream, first 32 digits>_202612   4096 <= index

Months that are over get no more rows: their vacuum, and a backup of their files (millmark.ledger.store.evidence_files),
can be done once. Rows stay when their content is dropped, since hashes of leaves are needed for as long as the stream.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

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
    """Makes the partition for rows from index `first` on that are written in `month` (2026-11), if there is none.

    The transaction holds the write lock, so that nobody else does so at the same time.
    """
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
