"""The feed of final records, read page by page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from millmark.ledger.records import Contract
from millmark.ledger.store.repository import Rows
from millmark.ledger.store.rows import CursorRow, RecordHistoryRow, RecordRow
from millmark.ledger.store.tables import records
from millmark.ledger.store.undo import Undo


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
        cursor = self._rows.get(CursorRow, 1)
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

    def after(self, position: Position, limit: int) -> list[tuple[Position, RecordRow]]:
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
        for row in self._rows.among(RecordHistoryRow, "sequence", sequences):
            touched.setdefault(row.sequence, []).append(row.subject)
        return touched

    def _next(self, contract: Contract, after: int, final: int, limit: int) -> list[RecordRow]:
        query = (
            select(records)
            .where(records.c.contract == contract.value, records.c.sequence > after, records.c.block_number <= final)
            .order_by(records.c.sequence)
            .limit(limit)
        )
        return [RecordRow(*row) for row in self._connection.execute(query)]


def _placed(position: Position, rows: Iterable[RecordRow]) -> Iterator[tuple[Position, RecordRow]]:
    for row in rows:
        if row.contract == Contract.REGISTRY.value:
            position = Position(row.sequence, position.ledger)
        else:
            position = Position(position.registry, row.sequence)
        yield position, row
