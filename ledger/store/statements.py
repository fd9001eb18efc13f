"""Runs statements directly on the database's driver. SQLAlchemy compiles each one once.

An answer takes dozens of statements, and executing one through SQLAlchemy takes longer than most of them run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, TypeAlias

from sqlalchemy import BindParameter, Connection, Dialect, Insert, Select, bindparam

Cell: TypeAlias = "int | str | bytes | None"
"""A value with which a column can be compared."""
Row: TypeAlias = "tuple[Any, ...]"

AMONG: BindParameter[Any] = bindparam("among", expanding=True)
"""The list in a query's IN."""
_MAX_VALUES = 512
"""Values in one list; SQLite's limit for all parameters is 999 in old builds."""
_NOTHING: Mapping[str, Cell] = {}


def parameter(name: str) -> BindParameter[Any]:
    """A named parameter of a query."""
    return bindparam(name, None)


class Querying:
    """Runs queries within one transaction. Build each query once and reuse it: its text is cached by the object."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect: Callable[..., Dialect] = type(connection.dialect)
        self._style = "qmark" if connection.dialect.name == "sqlite" else "format"
        # The driver's cursor on SQLAlchemy's connection, so within the same transaction.
        self._cursor = connection.connection.cursor()

    def fetch(self, query: Select[Any], values: Mapping[str, Cell] = _NOTHING) -> list[Row]:
        """Run a query with the values of its parameters. Returns its rows."""
        text, before, _ = _write(query, self._dialect, self._style, 0)
        return self._run(text, [values[name] for name in before])

    def fetch_among(
        self, query: Select[Any], among: Iterable[Cell], values: Mapping[str, Cell] = _NOTHING
    ) -> list[Row]:
        """Run a query with an IN list (AMONG) of any length, in as many parts as needed. Returns all rows.

        Rows are in the query's order only within each part.
        """
        found: list[Row] = []
        for part in _parts(set(among) - {None}):  # SQL's NULL equals nothing
            text, before, after = _write(query, self._dialect, self._style, len(part))
            found += self._run(text, [*(values[name] for name in before), *part, *(values[name] for name in after)])
        return found

    def write_many(self, statement: Insert, rows: Iterable[Row]) -> None:
        """Insert rows with all columns of a table, in its order. Raises SQLAlchemy's errors."""
        self._connection.exec_driver_sql(_write_insert(statement, self._dialect, self._style), list(rows))

    def _run(self, text: str, values: list[Cell]) -> list[Row]:
        self._cursor.execute(text, values)
        return list(self._cursor.fetchall())


@cache
def _write(
    query: Select[Any], dialect: Callable[..., Dialect], style: str, among: int
) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """The text of a query whose IN list has `among` values, and the names of the parameters before and after it."""
    written = query.params(among=[None] * among).compile(
        dialect=dialect(paramstyle=style), compile_kwargs={"render_postcompile": True}
    )
    names = list(written.positiontup or ())
    # Without a list, all parameters come before its place.
    listed = [place for place, name in enumerate(names) if name.startswith("among_")] or [len(names)]
    return str(written), tuple(names[: listed[0]]), tuple(names[listed[-1] + 1 :])


@cache
def _write_insert(statement: Insert, dialect: Callable[..., Dialect], style: str) -> str:
    return str(statement.compile(dialect=dialect(paramstyle=style)))


def _parts(among: set[Cell]) -> Iterator[list[Cell]]:
    """Split the values into sorted lists, and repeat the last value of each until its length is a power of two.

    So there are only ten texts per query, which the database has prepared already.
    """
    values = sorted(among)  # type: ignore[type-var]  # all of the same column's type
    for start in range(0, len(values), _MAX_VALUES):
        part = values[start : start + _MAX_VALUES]
        # A repeated value does not change what IN finds.
        yield part + part[-1:] * ((1 << (len(part) - 1).bit_length()) - len(part))
