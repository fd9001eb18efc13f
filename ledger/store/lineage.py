"""Which lots came of which, and what carried them: walks over transformations and packings.

A walk goes one step at a time and opens each lot once, so that it ends whatever the tables hold and costs what it
finds; one recursive query would open a lot once for every length of way to it, and could not stop at enough. Walks are
bounded in depth and in breadth, so that one answer stays small. SQLite and PostgreSQL both run the queries.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeAlias

from sqlalchemy import (
    CTE,
    BigInteger,
    Connection,
    Select,
    Table,
    and_,
    bindparam,
    case,
    cast,
    literal,
    or_,
    select,
)
from sqlalchemy.types import LargeBinary

from ledger.store.rows import CustodyChangeRow
from ledger.store.tables import custody_changes, lot_inputs, lot_outputs, lots, packings

_NEVER = 1 << 62
"""Later than any sequence."""
_AT_ONCE = 500
"""Lots in one query: databases bound a query's values."""
_Step: TypeAlias = "Select[bytes]"
"""The lots one step beyond `reached`."""


class Lineage:
    """Walks within one transaction. Answers are (lot, depth), nearest first, the lots one starts from at depth 0."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def upstream(self, start: Collection[bytes], depth: int, most: int) -> list[tuple[bytes, int]]:
        """What went into the given lots, at most `most` of it."""
        return self._walk(start, _MADE_FROM, depth, most)

    def downstream(self, start: Collection[bytes], depth: int, most: int) -> list[tuple[bytes, int]]:
        """What was made from the given lots, at most `most` of it."""
        return self._walk(start, _WENT_INTO, depth, most)

    def contents(self, start: Collection[bytes], depth: int, most: int) -> list[tuple[bytes, int]]:
        """What is packed in the given lots now, at most `most` of it."""
        return self._walk(start, _CONTENTS, depth, most)

    def custody(self, lot: bytes, depth: int) -> list[CustodyChangeRow]:
        """What changed who holds the lot: its own changes, and those of whatever it was packed in at the time."""
        carriers = _carriers(lot, depth)
        query = (
            select(custody_changes)
            .join(carriers, custody_changes.c.lot == carriers.c.lot)
            .where(custody_changes.c.sequence > carriers.c.since, custody_changes.c.sequence < carriers.c.until)
            .distinct()
            .order_by(custody_changes.c.sequence, custody_changes.c.lot)
        )
        return [CustodyChangeRow(*row) for row in self._connection.execute(query)]

    def _walk(self, start: Collection[bytes], step: _Step, depth: int, most: int) -> list[tuple[bytes, int]]:
        """Layer by layer. What stands equally near is ordered by name, so that a cut answer is the same every time."""
        found = dict.fromkeys(sorted(set(start)), 0)
        layer = list(found)
        for away in range(1, depth + 1):
            if not layer or len(found) >= most:
                break
            layer = sorted(lot for lot in self._beyond(layer, step) if lot not in found)
            found.update(dict.fromkeys(layer, away))
        return list(found.items())[:most]

    def _beyond(self, layer: list[bytes], step: _Step) -> set[bytes]:
        reached: set[bytes] = set()
        for first in range(0, len(layer), _AT_ONCE):
            reached.update(self._connection.execute(step, {"reached": layer[first : first + _AT_ONCE]}).scalars())
        return reached


def _transformed(near: Table, far: Table) -> _Step:
    """From lots on the `near` side of a transformation to those on its `far` side."""
    joined = select(far.c.lot).distinct().join(near, far.c.sequence == near.c.sequence)
    return joined.where(near.c.lot.in_(bindparam("reached", expanding=True)))


_MADE_FROM = _transformed(lot_outputs, lot_inputs)
_WENT_INTO = _transformed(lot_inputs, lot_outputs)
_CONTENTS: _Step = select(lots.c.subject).where(lots.c.parent.in_(bindparam("reached", expanding=True)))


def _carriers(lot: bytes, depth: int) -> CTE:
    """The lot, and each lot that carried it, with the records between which it did."""
    seed = select(
        cast(literal(lot), LargeBinary).label("lot"),
        cast(0, BigInteger).label("since"),
        cast(_NEVER, BigInteger).label("until"),
        cast(0, BigInteger).label("depth"),
    ).cte("carriers", recursive=True)
    unpacked = case((packings.c.unpacked_by == 0, _NEVER), else_=packings.c.unpacked_by)
    step = select(
        packings.c.parent,
        case((packings.c.packed_by > seed.c.since, packings.c.packed_by), else_=seed.c.since),
        case((unpacked < seed.c.until, unpacked), else_=seed.c.until),
        seed.c.depth + 1,
    ).join(seed, packings.c.child == seed.c.lot)
    overlaps = and_(
        packings.c.packed_by < seed.c.until, or_(packings.c.unpacked_by == 0, packings.c.unpacked_by > seed.c.since)
    )
    return seed.union(step.where(overlaps, seed.c.depth < depth))
