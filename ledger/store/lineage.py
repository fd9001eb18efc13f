"""Which lots were made from which, and what they were packed in: walks over transformations and packings.

A walk is a breadth-first search that expands each lot once. So it ends even if the tables contain a cycle, and its
cost is proportional to what it finds. One recursive query would expand a lot once for each length of a path to it, and
could not stop after enough lots. Walks are bounded in depth and in number of lots, so that an answer stays small.
Steps are cached, since building one answer walks the same genealogy several times: for its content, and for its
visibility. SQLite and PostgreSQL both run the queries.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any, TypeAlias

from sqlalchemy import CTE, BigInteger, Connection, Select, Table, and_, case, cast, literal_column, or_, select
from sqlalchemy.types import LargeBinary

from ledger.store.rows import CustodyChangeRow
from ledger.store.statements import AMONG, Querying, parameter
from ledger.store.tables import custody_changes, lot_inputs, lot_outputs, lots, packings

_ZERO, _ONE, _NEVER = (literal_column(str(number), BigInteger()) for number in (0, 1, 1 << 62))
"""_NEVER is later than any sequence."""
_Step: TypeAlias = "Select[tuple[bytes, bytes]]"
"""A query for pairs: one of the given lots, and a lot one step away from it."""


class Lineage:
    """Walks within one transaction, which must not change the tables meanwhile, since steps are cached.

    Walks return (lot, depth), nearest first, with the start at depth 0. `most` is the maximum number of lots in the
    answer, `depth` that of steps.
    """

    def __init__(self, connection: Connection) -> None:
        self._querying = Querying(connection)
        self._near: dict[_Step, dict[bytes, list[bytes]]] = defaultdict(dict)
        """The lots one step away from each expanded lot, by kind of step."""

    def upstream(self, start: Collection[bytes], depth: int, most: int) -> list[tuple[bytes, int]]:
        """The lots from which the given ones were made."""
        return self._walk(start, _MADE_FROM, depth, most)

    def downstream(self, start: Collection[bytes], depth: int, most: int) -> list[tuple[bytes, int]]:
        """The lots that were made from the given ones."""
        return self._walk(start, _WENT_INTO, depth, most)

    def contents(self, start: Collection[bytes], depth: int, most: int) -> list[tuple[bytes, int]]:
        """The lots that are packed in the given ones now."""
        return self._walk(start, _CONTENTS, depth, most)

    def in_line_with(self, goals: Collection[bytes], depth: int) -> set[bytes]:
        """`goals`, and those lots of earlier walks in this direction from which a goal can be reached within `depth`
        steps.

        Uses the cache alone: it runs no query, and finds nothing beyond what was walked.
        """
        return {lot for step in (_MADE_FROM, _WENT_INTO) for lot in self._leading(goals, step, depth)}

    def custody(self, lot: bytes, depth: int) -> list[CustodyChangeRow]:
        """The lot's custody timeline: its own changes, and those of each lot in which it was packed at the time."""
        found = self._querying.fetch(_CUSTODY, {"lot": lot, "deepest": depth})
        # Sorted here: asked for an order, or for distinct rows, SQLite reads all changes of all lots in that order.
        return sorted((CustodyChangeRow(*row) for row in dict.fromkeys(found)), key=lambda row: (row.sequence, row.lot))

    def _walk(self, start: Collection[bytes], step: _Step, depth: int, most: int) -> list[tuple[bytes, int]]:
        # Lots at the same depth are sorted, so that an answer that is cut at `most` is the same every time.
        found = dict.fromkeys(sorted(set(start)), 0)
        layer = list(found)
        for away in range(1, depth + 1):
            if not layer or len(found) >= most:
                break
            layer = sorted(lot for lot in self._beyond(layer, step) if lot not in found)
            found.update(dict.fromkeys(layer, away))
        return list(found.items())[:most]

    def _leading(self, goals: Collection[bytes], step: _Step, depth: int) -> set[bytes]:
        # The cached steps reversed: a walk back from the goals visits only lots that were walked before.
        before: dict[bytes, list[bytes]] = defaultdict(list)
        for lot, beyond in self._near[step].items():
            for one in beyond:
                before[one].append(lot)
        found, layer = set(goals), set(goals)
        for _ in range(depth):
            layer = {lot for one in layer for lot in before.get(one, ())} - found
            if not layer:
                break
            found |= layer
        return found

    def _beyond(self, layer: list[bytes], step: _Step) -> set[bytes]:
        near = self._near[step]
        new = [lot for lot in layer if lot not in near]
        near.update((lot, []) for lot in new)  # lots without a next step, too, or they would be queried again
        for lot, beyond in self._querying.fetch_among(step, new):
            near[lot].append(beyond)
        return {beyond for lot in layer for beyond in near[lot]}


def _transformed(near: Table, far: Table) -> _Step:
    """The step from lots on the `near` side of a transformation to those on its `far` side."""
    joined = select(near.c.lot, far.c.lot).distinct().join(near, far.c.sequence == near.c.sequence)
    return joined.where(near.c.lot.in_(AMONG))


_MADE_FROM = _transformed(lot_outputs, lot_inputs)
_WENT_INTO = _transformed(lot_inputs, lot_outputs)
_CONTENTS: _Step = select(lots.c.parent, lots.c.subject).where(lots.c.parent.in_(AMONG))


def _carriers() -> CTE:
    """The lot and each lot that carried it, directly or not, with the sequences of the records between which it did."""
    seed = select(
        cast(parameter("lot"), LargeBinary).label("lot"),
        cast(_ZERO, BigInteger).label("since"),
        cast(_NEVER, BigInteger).label("until"),
        cast(_ZERO, BigInteger).label("depth"),
    ).cte("carriers", recursive=True)
    # The interval shrinks on the way up: a carrier counts only while all packings below it hold.
    unpacked = case((packings.c.unpacked_by == _ZERO, _NEVER), else_=packings.c.unpacked_by)
    step = select(
        packings.c.parent,
        case((packings.c.packed_by > seed.c.since, packings.c.packed_by), else_=seed.c.since),
        case((unpacked < seed.c.until, unpacked), else_=seed.c.until),
        seed.c.depth + _ONE,
    ).join(seed, packings.c.child == seed.c.lot)
    overlaps = and_(
        packings.c.packed_by < seed.c.until, or_(packings.c.unpacked_by == _ZERO, packings.c.unpacked_by > seed.c.since)
    )
    return seed.union(step.where(overlaps, seed.c.depth < cast(parameter("deepest"), BigInteger)))


def _custody() -> Select[Any]:
    carriers = _carriers()
    query = select(custody_changes).join(carriers, custody_changes.c.lot == carriers.c.lot)
    return query.where(custody_changes.c.sequence > carriers.c.since, custody_changes.c.sequence < carriers.c.until)


_CUSTODY = _custody()
