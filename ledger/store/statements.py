"""Statements straight at the database's driver. SQLAlchemy writes each one once; an answer takes dozens of them, and to
go through SQLAlchemy takes longer than most of them run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, TypeAlias

from sqlalchemy import BindParameter, Connection, Dialect, Insert, Select, bindparam

__all__ = ["AMONG", "Cell", "Querying", "parameter"]

Cell: TypeAlias = "int | str | bytes | None"
"""What a column can be compared with."""
Row: TypeAlias = "tuple[Any, ...]"

AMONG: BindParameter[Any] = bindparam("among", expanding=True)
"""The list in a query's IN."""
_MOST_VALUES = 512
"""In one list; SQLite's own limit is 999 in old builds."""
_NOTHING: Mapping[str, Cell] = {}


def parameter(name: str) -> BindParameter[Any]:
    """One value in a query, by its name."""
    return bindparam(name, None)


class Querying:
    """Within one transaction. Statements are made once and kept: their texts are remembered by them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect: Callable[..., Dialect] = type(connection.dialect)
        self._style = "qmark" if connection.dialect.name == "sqlite" else "format"
        self._cursor = connection.connection.cursor()

    def fetch(self, query: Select[Any], values: Mapping[str, Cell] = _NOTHING) -> list[Row]:
        """The rows of a query under the values of its parameters."""
        text, before, _ = _write(query, self._dialect, self._style, 0)
        return self._run(text, [values[name] for name in before])

    def fetch_among(
        self, query: Select[Any], among: Iterable[Cell], values: Mapping[str, Cell] = _NOTHING
    ) -> list[Row]:
        """As `fetch`, of a query that asks for what is among many; in as many parts as it takes."""
        found: list[Row] = []
        for part in _parts(set(among) - {None}):  # which equals nothing
            text, before, after = _write(query, self._dialect, self._style, len(part))
            found += self._run(text, [*(values[name] for name in before), *part, *(values[name] for name in after)])
        return found

    def write_many(self, statement: Insert, rows: Iterable[Row]) -> None:
        """Rows with all columns of a table, in its order. Raises SQLAlchemy's errors."""
        self._connection.exec_driver_sql(_write_insert(statement, self._dialect, self._style), list(rows))

    def _run(self, text: str, values: list[Cell]) -> list[Row]:
        self._cursor.execute(text, values)
        return list(self._cursor.fetchall())


@cache
def _write(
    query: Select[Any], dialect: Callable[..., Dialect], style: str, among: int
) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """A query's text for a list of so many values, and the names of its other parameters before and after the
    list."""
    written = query.params(among=[None] * among).compile(
        dialect=dialect(paramstyle=style), compile_kwargs={"render_postcompile": True}
    )
    names = list(written.positiontup or ())
    listed = [place for place, name in enumerate(names) if name.startswith("among_")] or [len(names)]
    return str(written), tuple(names[: listed[0]]), tuple(names[listed[-1] + 1 :])


@cache
def _write_insert(statement: Insert, dialect: Callable[..., Dialect], style: str) -> str:
    return str(statement.compile(dialect=dialect(paramstyle=style)))


def _parts(among: set[Cell]) -> Iterator[list[Cell]]:
    """In order, each as long as a power of two, by its last value as often as it takes: then there are few texts, and
    databases know them already."""
    values = sorted(among)  # type: ignore[type-var]  # all of a column's one type
    for start in range(0, len(values), _MOST_VALUES):
        part = values[start : start + _MOST_VALUES]
        yield part + part[-1:] * ((1 << (len(part) - 1).bit_length()) - len(part))
