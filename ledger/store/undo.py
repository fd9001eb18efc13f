"""The undo log: the earlier state of the rows that were changed by blocks which are not final yet.

Cost: one small row for each row that such a block writes, in the same transaction, deleted once the block is final.
Undoing a block costs as many writes as it made.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, LargeBinary, Table, Text, delete, func, insert, select, update

from millmark.ledger.store.rows import CursorRow
from millmark.ledger.store.schema import TABLES
from millmark.ledger.store.statements import Cell
from millmark.ledger.store.tables import INDEX, LEDGER

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

    def cursor_before(self, block_number: int) -> CursorRow | None:
        """The cursor as it was before a block that can be undone; None if the log has nothing about the block."""
        table = TABLES[CursorRow]
        query = select(index_undo.c.before).where(
            index_undo.c.block_number == block_number, index_undo.c.table_name == table.name
        )
        found = self._connection.execute(query.order_by(index_undo.c.position).limit(1)).scalar()
        if found is None:
            return None
        values: dict[str, Any] = {name: _decode(table.c[name], value) for name, value in json.loads(found).items()}
        return CursorRow(**values)

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
