"""Lineage by a recursive query of PostgreSQL, with psycopg: the two tables and their indexes alone."""

import sqlite3
from collections.abc import Mapping
from typing import Any

import psycopg

from tests.bench.peers.answer import Prepare
from tests.bench.peers.walks import build_tasks

_WALK = """
WITH RECURSIVE walk (lot) AS (
    SELECT %(lot)s::bytea
    UNION SELECT far.lot FROM walk
    JOIN {near} near ON near.lot = walk.lot JOIN {far} far ON far.sequence = near.sequence
) SELECT lot FROM walk
"""
_UP = _WALK.format(near="lot_outputs", far="lot_inputs")
_DOWN = _WALK.format(near="lot_inputs", far="lot_outputs")


def start(arguments: Mapping[str, Any]) -> Mapping[str, Prepare]:
    connection = psycopg.connect(arguments["url"], autocommit=True)
    for table in ("lot_inputs", "lot_outputs"):
        _copy(connection, arguments["file"], table)
    connection.execute("ANALYZE")

    def walk(query: str, lot: bytes) -> set[bytes]:
        rows = connection.execute(query, {"lot": lot}, prepare=True, binary=True).fetchall()
        return {bytes(found) for (found,) in rows} - {lot}

    ways = {"ancestors": lambda lot: walk(_UP, lot), "descendants": lambda lot: walk(_DOWN, lot)}
    return build_tasks(ways, arguments["lots"])


def _copy(connection: Any, file: str, table: str) -> None:
    connection.execute(f"CREATE TABLE {table} (sequence bigint, lot bytea, PRIMARY KEY (sequence, lot))")
    rows = sqlite3.connect(file).execute(f"SELECT sequence, lot FROM {table}")  # noqa: S608 - one of two names
    with connection.cursor().copy(f"COPY {table} (sequence, lot) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
    connection.execute(f"CREATE INDEX ON {table} (lot)")
