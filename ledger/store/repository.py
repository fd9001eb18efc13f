"""Reads and writes rows as instances of their classes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import cache
from itertools import starmap
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import (
    Connection,
    Insert,
    Select,
    Table,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import IntegrityError

from millmark.ledger.errors import StoreError
from millmark.ledger.store.book_rows import REBUILDS, BookRevisionRow
from millmark.ledger.store.engagements import find_engaged
from millmark.ledger.store.rows import ChainIdentityRow, KeyRow, ParticipantRow
from millmark.ledger.store.schema import TABLES
from millmark.ledger.store.statements import AMONG, Cell, Querying, parameter
from millmark.ledger.store.tables import INDEX

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql

R = TypeVar("R")
_AT_ONCE = 1_000
"""Rows of a scan that are in memory at a time."""


class Rows:
    """Reads and writes rows within one transaction. `kind` is always a class with a table (Schema.table)."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._querying = Querying(connection)

    def get(self, kind: type[R], *key: Cell) -> R | None:
        """The row with a primary key, whose columns are in the table's order; None if there is none."""
        names = _key_names(kind)  # type: ignore[arg-type]  # mypy judges the class by its instances' hash
        found = self.find(kind, **dict(zip(names, key, strict=True)))
        return found[0] if found else None

    def find(self, kind: type[R], /, **equals: Cell) -> list[R]:
        """The rows whose columns have the given values, ordered by primary key."""
        query = _equal(kind, tuple(equals))  # type: ignore[arg-type]  # as above
        return _build(kind, self._querying.fetch(query, equals))

    def among(self, kind: type[R], column: str, values: Iterable[Cell], /, **equals: Cell) -> list[R]:
        """The rows whose `column` is one of `values`, and whose other columns have the given values.

        Ordered by primary key only within each part of the query (`Querying.fetch_among`).
        """
        query = _one_of(kind, column, tuple(equals))  # type: ignore[arg-type]  # as above
        return _build(kind, self._querying.fetch_among(query, values, equals))

    def values(self, kind: type, wanted: str, column: str, values: Iterable[Cell], /, **equals: Cell) -> set[Any]:
        """The values of the column `wanted` in the rows that `among` would return."""
        found = self._querying.fetch_among(_values(kind, wanted, column, tuple(equals)), values, equals)
        return {cell for (cell,) in found}

    def greatest(self, kind: type, column: str, **equals: Cell) -> int:
        """The greatest value of a column in the rows whose columns have the given values; 0 if there are none."""
        [(found,)] = self._querying.fetch(_greatest(kind, column, tuple(equals)), equals)
        return found or 0

    def page(
        self, kind: type[R], column: str, after: Cell, most: int, *, newest_first: bool = False, **equals: Cell
    ) -> list[R]:
        """At most `most` rows whose other columns have the given values, ordered by a unique column, ascending or, with
        `newest_first`, descending.

        They start after the value `after` of that column in this order, or with the first row if it is None.
        """
        table = TABLES[kind]
        by = table.c[column]
        query = select(table).where(*(table.c[name] == value for name, value in equals.items()))
        if after is not None:
            query = query.where(by < after if newest_first else by > after)
        ordered = query.order_by(by.desc() if newest_first else by)
        return [kind(*row) for row in self._connection.execute(ordered.limit(most))]

    def latest(self, kind: type[R], column: str, most: int, **equals: Cell) -> list[R]:
        """The `most` rows with the greatest values of a column, in descending order, whose other columns have the
        given values.
        """
        table = TABLES[kind]
        query = select(table).where(*(table.c[name] == value for name, value in equals.items()))
        return [kind(*row) for row in self._connection.execute(query.order_by(table.c[column].desc()).limit(most))]

    def latest_before(self, kind: type[R], column: str, before: Cell, **equals: Cell) -> R | None:
        """The row with the greatest value of a column that is less than `before`, among those whose other columns have
        the given values; of several the one with the greatest key. None if there is none."""
        table = TABLES[kind]
        query = select(table).where(*(table.c[name] == value for name, value in equals.items()))
        key = (one.desc() for one in table.primary_key)
        query = query.where(table.c[column] < before).order_by(table.c[column].desc(), *key).limit(1)
        found = self._connection.execute(query).first()
        return None if found is None else kind(*found)

    def first_after(self, kind: type[R], column: str, after: Cell, **equals: Cell) -> R | None:
        """The row with the least value of a column that is greater than `after`, among those whose other columns have
        the given values; of several the one with the least key. None if there is none."""
        found = self._querying.fetch(_next(kind, column, tuple(equals)), {"after": after, **equals})  # type: ignore[arg-type]  # mypy judges the class by its instances' hash
        return _build(kind, found)[0] if found else None

    def within(self, kind: type[R], least: Mapping[str, int], most: Mapping[str, int], /, **equals: Cell) -> list[R]:
        """The rows whose columns are at least and at most these numbers, and whose other columns have the given values,
        ordered by primary key."""
        bounds = {f"least_{name}": value for name, value in least.items()}
        bounds |= {f"most_{name}": value for name, value in most.items()}
        query = _within(kind, tuple(least), tuple(most), tuple(equals))  # type: ignore[arg-type]  # as above
        return _build(kind, self._querying.fetch(query, {**bounds, **equals}))

    def find_engaged(self, machines: Collection[int], participant: int) -> set[int]:
        """Which of the machines work, or worked, for an order that the participant has a part in
        (millmark.ledger.store.engagements)."""
        return find_engaged(self._connection, machines, participant)

    def scan(self, kind: type[R], *order: str) -> Iterator[R]:
        """All rows, ordered by the given columns or, without any, by primary key. Only some of them are in memory at a
        time.
        """
        table = TABLES[kind]
        columns = [table.c[name] for name in order] or list(table.primary_key)
        query = select(table).order_by(*columns).execution_options(yield_per=_AT_ONCE)
        return (kind(*row) for row in self._connection.execute(query))

    def insert(self, rows: Sequence[object]) -> None:
        """Add rows of one class. Raises StoreError if a row with the same primary key exists."""
        if not rows:
            return
        kind = type(rows[0])
        cells = _getter(kind)[1]  # type: ignore[arg-type]  # as above
        try:
            self._querying.write_many(_insert(kind), map(cells, rows))  # type: ignore[arg-type]  # as above
        except IntegrityError as error:
            raise StoreError(f"a row with this key exists already: {error.orig}") from error

    def update(self, rows: Sequence[object]) -> None:
        """Replace the rows with the same primary keys by these, all of one class."""
        if not rows:
            return
        table = TABLES[type(rows[0])]
        key = [column.name for column in table.primary_key]
        statement = (
            update(table)
            # SQLAlchemy reserves a column's own name for the value that is set.
            .where(*(table.c[name] == bindparam("old_" + name) for name in key))
            .values({column.name: bindparam(column.name) for column in table.columns if column.name not in key})
        )
        self._connection.execute(statement, [_with_key(row, key) for row in rows])

    def put(self, row: object) -> None:
        """Add a row, or replace the one with the same primary key."""
        table = TABLES[type(row)]
        values = values_of(row)
        statement = self._upsert(table).values(values)
        rest = {name: value for name, value in values.items() if name not in table.primary_key.columns}
        self._connection.execute(statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=rest))

    def _upsert(self, table: Table) -> postgresql.Insert | sqlite.Insert:
        """An insert that can turn into an update: not part of SQLAlchemy's common dialect."""
        if self._connection.dialect.name != "postgresql":
            return sqlite.insert(table)
        from sqlalchemy.dialects import postgresql  # noqa: PLC0415 - loads the dialects of all its drivers

        return postgresql.insert(table)

    def clear_index(self) -> None:
        """Delete everything that is derived from the chain. The chain's identity, private book and outbox stay."""
        for kind in INDEX:
            self._connection.execute(delete(TABLES[kind]))
        before = self.get(BookRevisionRow, REBUILDS)
        self.put(BookRevisionRow(REBUILDS, 1 if before is None else before.number + 1))


def key_of(row: object) -> tuple[Cell, ...]:
    """The primary key of a row."""
    return _key_getter(type(row))(row)  # type: ignore[arg-type]  # as below


def values_of(row: object) -> dict[str, object]:
    """The values of a row, by column name."""
    names, getter = _getter(type(row))  # type: ignore[arg-type]  # mypy judges the class by its instances' hash
    return dict(zip(names, getter(row), strict=True))


@cache
def _key_names(kind: type) -> tuple[str, ...]:
    return tuple(column.name for column in TABLES[kind].primary_key)


@cache
def _key_getter(kind: type) -> Callable[[object], tuple[Cell, ...]]:
    names = _key_names(kind)
    values: Callable[[object], Any] = attrgetter(*names)
    # For one name, attrgetter returns the value and no tuple.
    return values if len(names) > 1 else lambda row: (values(row),)


@cache
def _insert(kind: type) -> Insert:
    return insert(TABLES[kind])


@cache
def _equal(kind: type, names: tuple[str, ...]) -> Select[Any]:
    # Cached, as are the queries below: building one takes longer than running it.
    table = TABLES[kind]
    return select(table).where(*(table.c[name] == parameter(name) for name in names)).order_by(*table.primary_key)


@cache
def _next(kind: type, column: str, names: tuple[str, ...]) -> Select[Any]:
    table = TABLES[kind]
    beyond = table.c[column] > parameter("after")
    equal = (table.c[name] == parameter(name) for name in names)
    ordered = select(table).where(beyond, *equal).order_by(table.c[column], *table.primary_key)
    # As text, since only values that are passed by name become parameters; SQLite's dialect writes an offset as well.
    return ordered.limit(literal_column("1")).offset(literal_column("0"))


@cache
def _within(kind: type, least: tuple[str, ...], most: tuple[str, ...], names: tuple[str, ...]) -> Select[Any]:
    columns = TABLES[kind].c
    from_ = (columns[name] >= parameter(f"least_{name}") for name in least)
    to = (columns[name] <= parameter(f"most_{name}") for name in most)
    return _equal(kind, names).where(*from_, *to)


@cache
def _one_of(kind: type, column: str, names: tuple[str, ...]) -> Select[Any]:
    """Query for rows with one of several values in a column."""
    return _equal(kind, names).where(TABLES[kind].c[column].in_(AMONG))


@cache
def _values(kind: type, wanted: str, column: str, names: tuple[str, ...]) -> Select[Any]:
    """Query for one column of such rows."""
    columns = TABLES[kind].c
    equal = (columns[name] == parameter(name) for name in names)
    return select(columns[wanted]).where(columns[column].in_(AMONG), *equal)


@cache
def _greatest(kind: type, column: str, names: tuple[str, ...]) -> Select[Any]:
    columns = TABLES[kind].c
    return select(func.max(columns[column])).where(*(columns[name] == parameter(name) for name in names))


def _build(kind: type[R], found: list[tuple[Any, ...]]) -> list[R]:
    flags = _flags(kind)  # type: ignore[arg-type]  # as above
    if flags:  # SQLite's driver returns 0 and 1 for booleans
        found = [tuple(bool(cell) if place in flags else cell for place, cell in enumerate(row)) for row in found]
    return list(starmap(kind, found))


@cache
def _flags(kind: type) -> frozenset[int]:
    """Positions of the boolean columns."""
    return frozenset(place for place, column in enumerate(TABLES[kind].columns) if column.type.python_type is bool)


@cache
def _getter(kind: type) -> tuple[tuple[str, ...], Callable[[object], tuple[object, ...]]]:
    names = tuple(field.name for field in fields(kind))
    return names, attrgetter(*names)


def _with_key(row: object, key: Collection[str]) -> dict[str, object]:
    values = values_of(row)
    return {("old_" + name if name in key else name): value for name, value in values.items()}


class Registry:
    """Reads from the index the chain that it follows, and the participants and keys that may act now, within one
    transaction."""

    def __init__(self, connection: Connection) -> None:
        self._rows = Rows(connection)

    def identity(self) -> ChainIdentityRow | None:
        """The chain and ledger that the index follows; None if it has never followed one."""
        return self._rows.get(ChainIdentityRow, 1)

    def participant(self, number: int) -> ParticipantRow | None:
        """The participant with this number; None if it is suspended, has left, or was never admitted."""
        found = self._rows.get(ParticipantRow, number)
        return None if found is None or found.suspended or found.departed else found

    def participant_of(self, address: bytes) -> ParticipantRow | None:
        """The participant for whom a key signs; None if the key is unknown or revoked, or the participant suspended or
        departed."""
        key = self._rows.get(KeyRow, address)
        return None if key is None or key.revoked_at else self.participant(key.participant)
