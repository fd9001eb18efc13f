"""Reads and writes rows as instances of their classes."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from itertools import starmap
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Column,
    ColumnElement,
    Connection,
    Dialect,
    Insert,
    Integer,
    LargeBinary,
    Select,
    Table,
    Text,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import IntegrityError

from millmark.ledger.errors import StoreError
from millmark.ledger.records import AssignmentState, Contract
from millmark.ledger.store import rows as tables
from millmark.ledger.store.schema import INDEX, LEDGER, TABLES, assignments, machines, orders, records

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql


# Runs statements directly on the database's driver. SQLAlchemy compiles each one once.
#
# An answer takes dozens of statements, and executing one through SQLAlchemy takes longer than most of them run.

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
        """Run a query with an IN list (AMONG) of any length, in as many parts as needed. Returns all rows. Rows are in
        the query's order only within each part."""
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
    """Split the values into sorted lists, and repeat the last value of each until its length is a power of two. So
    there are only ten texts per query, which the database has prepared already."""
    values = sorted(among)  # type: ignore[type-var]  # all of the same column's type
    for start in range(0, len(values), _MAX_VALUES):
        part = values[start : start + _MAX_VALUES]
        # A repeated value does not change what IN finds.
        yield part + part[-1:] * ((1 << (len(part) - 1).bit_length()) - len(part))


# For whose orders machines work: one question to the database, which ends at the first order that answers it, however
# many a machine has worked for. SQLite and PostgreSQL both run the query.

AGREED = (AssignmentState.ACCEPTED, AssignmentState.STARTED, AssignmentState.FINISHED)
"""States of an assignment that a machine's owner agreed to."""
WITHDRAWN = (AssignmentState.DECLINED, AssignmentState.CANCELLED)
"""States of one that does not make its order known to the machine's owner."""


def find_engaged(connection: Connection, numbers: Collection[int], participant: int) -> set[int]:
    """Which of these machines have an agreed assignment of an order of which the participant is buyer, coordinator or
    inspector, or for which a machine of its own was proposed or agreed to."""
    values: dict[str, Cell] = {
        "participant": participant,
        "first_gate": f"{participant}:%",
        "other_gate": f"% {participant}:%",
    }
    return {number for (number,) in Querying(connection).fetch_among(_ENGAGED, numbers, values)}


def _among(states: Collection[AssignmentState]) -> list[ColumnElement[int]]:
    # As text, since only values that are passed by name become parameters.
    return [literal_column(str(int(state)), Integer()) for state in states]


def _engaged() -> Select[Any]:
    own = assignments.alias("own")
    participant = parameter("participant")
    is_own = select(own.c.sequence).where(
        own.c.order == orders.c.subject, own.c.owner == participant, own.c.state.not_in(_among(WITHDRAWN))
    )
    is_party = or_(
        orders.c.buyer == participant,
        orders.c.coordinator == participant,
        # Gates are `inspector:model`, separated by spaces (rows.gates_of).
        orders.c.gates.like(parameter("first_gate")),
        orders.c.gates.like(parameter("other_gate")),
        is_own.exists(),
    )
    work = (
        select(assignments.c.sequence)
        .join(orders, orders.c.subject == assignments.c.order)
        .where(assignments.c.machine == machines.c.number, assignments.c.state.in_(_among(AGREED)), is_party)
    )
    return select(machines.c.number).where(machines.c.number.in_(AMONG), work.exists())


_ENGAGED = _engaged()


# The undo log: the earlier state of the rows that were changed by blocks which are not final yet.
#
# Cost: one small row for each row that such a block writes, in the same transaction, deleted once the block is final.
# Undoing a block costs as many writes as it made.

index_undo = Table(
    "index_undo",
    LEDGER.metadata,
    Column("block_number", BigInteger, primary_key=True, autoincrement=False),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("table_name", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("before", Text),
)
_KINDS = {TABLES[kind].name: kind for kind in INDEX}


@dataclass(frozen=True, slots=True)
class Change:
    """A row that was written."""

    kind: type
    """Its class."""
    key: tuple[Cell, ...]
    before: Mapping[str, object] | None
    """The row's values before, by column name; None if the row was new."""


class Undo:
    """Repository of the undo log, within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def note(self, block_number: int, changes: Iterable[Change]) -> None:
        """Add the changes of a block to the log, in order."""
        # Never empty, since every block moves the cursor.
        rows = [
            {
                "block_number": block_number,
                "position": position,
                "table_name": TABLES[change.kind].name,
                "key": _encode(list(change.key)),
                "before": None if change.before is None else _encode(dict(change.before)),
            }
            for position, change in enumerate(changes)
        ]
        self._connection.execute(insert(index_undo), rows)

    def take_back(self, block_number: int) -> bool:
        """Undo a block. Returns False if the log has nothing about it, since it is final or was never indexed."""
        # In reverse, so that a row that the block wrote several times ends as it was before the first.
        query = select(index_undo).where(index_undo.c.block_number == block_number)
        rows = self._connection.execute(query.order_by(index_undo.c.position.desc())).all()
        for row in rows:
            self._put_back(TABLES[_KINDS[row.table_name]], row.key, row.before)
        self._connection.execute(delete(index_undo).where(index_undo.c.block_number == block_number))
        return bool(rows)

    def forget(self, final_number: int) -> None:
        """Delete the log of the blocks up to this one, which can then no longer be undone."""
        self._connection.execute(delete(index_undo).where(index_undo.c.block_number <= final_number))

    def first(self) -> int | None:
        """The first block that can be undone, before which all are final; None if there is none."""
        return self._connection.execute(select(func.min(index_undo.c.block_number))).scalar()

    def count(self) -> int:
        """Number of blocks that can be undone."""
        return self._connection.execute(select(func.count(index_undo.c.block_number.distinct()))).scalar_one()

    def _put_back(self, table: Table, key: str, before: str | None) -> None:
        columns = list(table.primary_key)
        values = zip(columns, json.loads(key), strict=True)
        place = [column == _decode(column, value) for column, value in values]
        if before is None:
            self._connection.execute(delete(table).where(*place))
            return
        row = {name: _decode(table.c[name], value) for name, value in json.loads(before).items()}
        self._connection.execute(update(table).where(*place).values(row))


def _encode(value: object) -> str:
    """JSON with bytes as hex, which `_decode` distinguishes from text by the column's type."""
    return json.dumps(value, default=bytes.hex)


def _decode(column: Column[object], value: object) -> object:
    return bytes.fromhex(value) if isinstance(column.type, LargeBinary) and isinstance(value, str) else value


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
        """The rows whose `column` is one of `values`, and whose other columns have the given values. Ordered by primary
        key only within each part of the query (`Querying.fetch_among`)."""
        query = _one_of(kind, column, tuple(equals))  # type: ignore[arg-type]  # as above
        return _build(kind, self._querying.fetch_among(query, values, equals))

    def values(self, kind: type, wanted: str, column: str, values: Iterable[Cell], /, **equals: Cell) -> set[Any]:
        """The values of the column `wanted` in the rows that `among` would return."""
        found = self._querying.fetch_among(_values(kind, wanted, column, tuple(equals)), values, equals)
        return {cell for (cell,) in found}

    def greatest(self, kind: type, column: str, **equals: Cell) -> int:
        """The greatest value of a column in the rows whose columns have the given values; 0 if there are none."""
        [(found,)] = self._querying.fetch(_over("max", kind, column, tuple(equals)), equals)
        return found or 0

    def total(self, kind: type, column: str, **equals: Cell) -> int:
        """The sum of a column of the rows whose columns have the given values."""
        [(found,)] = self._querying.fetch(_over("sum", kind, column, tuple(equals)), equals)
        return int(found or 0)  # PostgreSQL sums into a decimal

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
        """The `most` rows with the greatest values of a column, in descending order, whose other columns have the given
        values."""
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
        (millmark.ledger.store.repository)."""
        return find_engaged(self._connection, machines, participant)

    def scan(self, kind: type[R], *order: str) -> Iterator[R]:
        """All rows, ordered by the given columns or, without any, by primary key. Only some of them are in memory at a
        time."""
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
        before = self.get(tables.BookRevisionRow, tables.REBUILDS)
        self.put(tables.BookRevisionRow(tables.REBUILDS, 1 if before is None else before.number + 1))


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
def _over(function: str, kind: type, column: str, names: tuple[str, ...]) -> Select[Any]:
    """Query for SQL's function over a column."""
    columns = TABLES[kind].c
    return select(getattr(func, function)(columns[column])).where(*(columns[name] == parameter(name) for name in names))


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

    def identity(self) -> tables.ChainIdentityRow | None:
        """The chain and ledger that the index follows; None if it has never followed one."""
        return self._rows.get(tables.ChainIdentityRow, 1)

    def participant(self, number: int) -> tables.ParticipantRow | None:
        """The participant with this number; None if it is suspended, has left, or was never admitted."""
        found = self._rows.get(tables.ParticipantRow, number)
        return None if found is None or found.suspended or found.departed else found

    def participant_of(self, address: bytes) -> tables.ParticipantRow | None:
        """The participant for whom a key signs; None if the key is unknown or revoked, or the participant suspended or
        departed."""
        key = self._rows.get(tables.KeyRow, address)
        return None if key is None or key.revoked_at else self.participant(key.participant)


# The feed of final records, read page by page.


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A position in the feed: the number of records of each contract up to and including it."""

    registry: int
    ledger: int


class Feed:
    """Final records of both contracts in the order of the chain, within one transaction.

    Records that are not final yet are not in it, so it only grows, and a rebuilt index has the same feed.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows = Rows(connection)

    def final_number(self) -> int:
        """The last block whose records are in the feed; -1 if there is none."""
        # Changes are logged for undoing exactly for the blocks that are not final.
        first = Undo(self._connection).first()
        cursor = self._rows.get(tables.CursorRow, 1)
        return first - 1 if first is not None else -1 if cursor is None else cursor.block_number

    def end(self) -> Position:
        """The position after the last record."""
        final = self.final_number()
        query = select(func.max(records.c.sequence)).where(records.c.block_number <= final)
        last = {
            contract: self._connection.execute(query.where(records.c.contract == contract.value)).scalar() or 0
            for contract in Contract
        }
        return Position(last[Contract.REGISTRY], last[Contract.LEDGER])

    def after(self, position: Position, limit: int) -> list[tuple[Position, tables.RecordRow]]:
        """The next records after a position, at most `limit`, each with the position after it."""
        final = self.final_number()
        # `limit` of each contract, since all of the next ones may be of either; block and log index then merge them.
        found = [
            *self._next(Contract.REGISTRY, position.registry, final, limit),
            *self._next(Contract.LEDGER, position.ledger, final, limit),
        ]
        found.sort(key=lambda row: (row.block_number, row.log_index))
        return list(_placed(position, found[:limit]))

    def histories(self, sequences: Iterable[int]) -> dict[int, list[bytes]]:
        """The orders and lots whose histories contain these records of the ledger, by sequence."""
        touched: dict[int, list[bytes]] = {}
        for row in self._rows.among(tables.RecordHistoryRow, "sequence", sequences):
            touched.setdefault(row.sequence, []).append(row.subject)
        return touched

    def _next(self, contract: Contract, after: int, final: int, limit: int) -> list[tables.RecordRow]:
        query = (
            select(records)
            .where(records.c.contract == contract.value, records.c.sequence > after, records.c.block_number <= final)
            .order_by(records.c.sequence)
            .limit(limit)
        )
        return [tables.RecordRow(*row) for row in self._connection.execute(query)]


def _placed(position: Position, rows: Iterable[tables.RecordRow]) -> Iterator[tuple[Position, tables.RecordRow]]:
    for row in rows:
        if row.contract == Contract.REGISTRY.value:
            position = Position(row.sequence, position.ledger)
        else:
            position = Position(position.registry, row.sequence)
        yield position, row
