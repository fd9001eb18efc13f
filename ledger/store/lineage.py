"""Which lots came of which, and what carried them: recursive queries over transformations and packings.

Every walk is bounded in depth, so that it ends whatever the tables hold, and in breadth, so that one answer stays
small. SQLite and PostgreSQL both run them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeAlias

from sqlalchemy import CTE, BigInteger, Connection, Select, Table, and_, case, cast, func, literal, or_, select
from sqlalchemy.types import LargeBinary

from ledger.store.rows import CustodyChangeRow
from ledger.store.tables import custody_changes, lot_inputs, lot_outputs, lots, packings

_NEVER = 1 << 62
"""Later than any sequence."""
_MOST_SEEDS = 500
_Step: TypeAlias = Callable[[CTE], Select[tuple[bytes, int]]]
"""One step further from what a walk has reached."""


class Lineage:
    """Walks within one transaction. Answers are (lot, depth), nearest first, the lots one starts from at depth 0."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def upstream(self, start: Collection[bytes], depth: int, most: int) -> list[tuple[bytes, int]]:
        """What went into the given lots, at most `most` of it."""
        return self._walk(start, _transformed(lot_outputs, lot_inputs), depth, most)

    def downstream(self, start: Collection[bytes], depth: int, most: int) -> list[tuple[bytes, int]]:
        """What was made from the given lots, at most `most` of it."""
        return self._walk(start, _transformed(lot_inputs, lot_outputs), depth, most)

    def contents(self, start: Collection[bytes], depth: int, most: int) -> list[tuple[bytes, int]]:
        """What is packed in the given lots now, at most `most` of it."""

        def step(walk: CTE) -> Select[tuple[bytes, int]]:
            return select(lots.c.subject, walk.c.depth + 1).join(walk, lots.c.parent == walk.c.lot)

        return self._walk(start, step, depth, most)

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
        """The nearest lots by repeated steps. Starts from some lots at a time: databases bound a query's values."""
        found: dict[bytes, int] = {}
        seeds = sorted(set(start))
        for first in range(0, len(seeds), _MOST_SEEDS):
            walk = _start(seeds[first : first + _MOST_SEEDS])
            walk = walk.union(step(walk).where(walk.c.depth < depth))
            nearest = func.min(walk.c.depth)
            query = select(walk.c.lot, nearest).group_by(walk.c.lot).order_by(nearest, walk.c.lot).limit(most)
            for lot, away in self._connection.execute(query):
                found[lot] = min(away, found.get(lot, away))
        return sorted(found.items(), key=lambda item: (item[1], item[0]))[:most]


def _transformed(near: Table, far: Table) -> _Step:
    """From lots on the `near` side of a transformation to those on its `far` side."""

    def step(walk: CTE) -> Select[tuple[bytes, int]]:
        return (
            select(far.c.lot, walk.c.depth + 1)
            .select_from(walk)
            .join(near, near.c.lot == walk.c.lot)
            .join(far, far.c.sequence == near.c.sequence)
        )

    return step


def _start(start: Collection[bytes]) -> CTE:
    seeds = select(lots.c.subject.label("lot"), cast(0, BigInteger).label("depth"))
    return seeds.where(lots.c.subject.in_(sorted(start))).cte("walk", recursive=True)


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
