"""Rows in and out of the database, by the class of the row."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import fields
from functools import cache
from operator import attrgetter
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import BindParameter, Connection, Select, bindparam, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from ledger.errors import StoreError
from ledger.store.tables import INDEX, TABLES

R = TypeVar("R")
Cell: TypeAlias = "int | str | bytes | None"
"""What a column can be compared with."""

_MOST_VALUES = 500
"""In one IN list; SQLite's own limit is 999 in old builds."""

_AT_ONCE = 1_000
"""Rows of a scan in memory."""


class Rows:
    """Reads and writes within one transaction. `kind` is a class of ledger.store.rows throughout."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, kind: type[R], *key: Cell) -> R | None:
        """The row under a primary key, its columns in the table's order."""
        names = _key_names(kind)  # type: ignore[arg-type]  # mypy judges the class by its instances' hash
        query = _equal(kind, names)  # type: ignore[arg-type]  # as above
        row = self._connection.execute(query, dict(zip(names, key, strict=True))).one_or_none()
        return None if row is None else kind(*row)

    def find(self, kind: type[R], **equals: Cell) -> list[R]:
        """The rows whose columns equal what is given, ordered by primary key."""
        query = _equal(kind, tuple(equals))  # type: ignore[arg-type]  # as above
        return [kind(*row) for row in self._connection.execute(query, equals)]

    def among(self, kind: type[R], column: str, values: Iterable[Cell]) -> list[R]:
        """The rows whose `column` is one of `values`, ordered by primary key within each part of the answer."""
        query = _one_of(kind, column)  # type: ignore[arg-type]  # as above
        found: list[R] = []
        for part in _parts(sorted(set(values), key=repr)):
            found.extend(kind(*row) for row in self._connection.execute(query, {"among": part}))
        return found

    def page(self, kind: type[R], column: str, after: Cell, most: int, **equals: Cell) -> list[R]:
        """The first `most` rows beyond a value of a unique column, by that column, whose other columns equal what is
        given. None for `after` begins with the first row."""
        table = TABLES[kind]
        query = select(table).where(*(table.c[name] == value for name, value in equals.items()))
        if after is not None:
            query = query.where(table.c[column] > after)
        return [kind(*row) for row in self._connection.execute(query.order_by(table.c[column]).limit(most))]

    def latest(self, kind: type[R], column: str, most: int, **equals: Cell) -> list[R]:
        """The last `most` rows by a column, from the last one backwards, whose other columns equal what is given."""
        table = TABLES[kind]
        query = select(table).where(*(table.c[name] == value for name, value in equals.items()))
        return [kind(*row) for row in self._connection.execute(query.order_by(table.c[column].desc()).limit(most))]

    def scan(self, kind: type[R], *order: str) -> Iterator[R]:
        """All rows by the given columns, or by primary key, few of them in memory at a time."""
        table = TABLES[kind]
        columns = [table.c[name] for name in order] or list(table.primary_key)
        query = select(table).order_by(*columns).execution_options(yield_per=_AT_ONCE)
        return (kind(*row) for row in self._connection.execute(query))

    def insert(self, rows: Sequence[object]) -> None:
        """Adds rows, all of one kind. Raises StoreError when one is there under the same primary key."""
        if not rows:
            return
        try:
            self._connection.execute(insert(TABLES[type(rows[0])]), [values_of(row) for row in rows])
        except IntegrityError as error:
            raise StoreError(f"a row is there already: {error.orig}") from error

    def update(self, rows: Sequence[object]) -> None:
        """Replaces rows, all of one kind, under their primary keys."""
        if not rows:
            return
        table = TABLES[type(rows[0])]
        key = [column.name for column in table.primary_key]
        statement = (
            update(table)
            .where(*(table.c[name] == bindparam("old_" + name) for name in key))
            .values({column.name: bindparam(column.name) for column in table.columns if column.name not in key})
        )
        self._connection.execute(statement, [_with_key(row, key) for row in rows])

    def put(self, row: object) -> None:
        """Adds a row, or replaces the one under its primary key."""
        table = TABLES[type(row)]
        values = values_of(row)
        make = postgresql.insert if self._connection.dialect.name == "postgresql" else sqlite.insert
        statement = make(table).values(values)
        rest = {name: value for name, value in values.items() if name not in table.primary_key.columns}
        self._connection.execute(statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=rest))

    def clear_index(self) -> None:
        """Deletes all that follows from the chain; the chain's identity and the private book stay."""
        for kind in INDEX:
            self._connection.execute(delete(TABLES[kind]))


def key_of(row: object) -> tuple[Cell, ...]:
    """The primary key of a row."""
    return tuple(getattr(row, column.name) for column in TABLES[type(row)].primary_key)


def values_of(row: object) -> dict[str, object]:
    """A row by column name."""
    names, getter = _getter(type(row))  # type: ignore[arg-type]  # mypy judges the class by its instances' hash
    return dict(zip(names, getter(row), strict=True))


@cache
def _key_names(kind: type) -> tuple[str, ...]:
    return tuple(column.name for column in TABLES[kind].primary_key)


@cache
def _equal(kind: type, names: tuple[str, ...]) -> Select[Any]:
    """Rows by equal columns. Made once: putting a query together takes longer than most of them run."""
    table = TABLES[kind]
    return select(table).where(*(table.c[name] == bindparam(name) for name in names)).order_by(*table.primary_key)


@cache
def _one_of(kind: type, column: str) -> Select[Any]:
    """Rows of which a column is one of some values."""
    table = TABLES[kind]
    among: BindParameter[Any] = bindparam("among", expanding=True)
    return select(table).where(table.c[column].in_(among)).order_by(*table.primary_key)


@cache
def _getter(kind: type) -> tuple[tuple[str, ...], Callable[[object], tuple[object, ...]]]:
    names = tuple(field.name for field in fields(kind))
    return names, attrgetter(*names)


def _with_key(row: object, key: Collection[str]) -> dict[str, object]:
    values = values_of(row)
    return {("old_" + name if name in key else name): value for name, value in values.items()}


def _parts(values: list[Cell]) -> Iterable[list[Cell]]:
    return (values[start : start + _MOST_VALUES] for start in range(0, len(values), _MOST_VALUES))
