"""Which lots came of which, and what carried them: walks over transformations and packings.

A walk goes one step at a time and opens each lot once, so that it ends whatever the tables hold and costs what it
finds; one recursive query would open a lot once for every length of way to it, and could not stop at enough. Walks are
bounded in depth and in breadth, so that one answer stays small. What is one step away is remembered: an answer walks
the same lines several times, to tell them and to find out who may see them. SQLite and PostgreSQL both run the queries.
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
"""And later than any sequence."""
_Step: TypeAlias = "Select[tuple[bytes, bytes]]"
"""Lots among many, each with a lot one step beyond it."""


class Lineage:
    """Walks within one transaction, which does not write what they go over. Answers are (lot, depth), nearest first,
    the lots one starts from at depth 0."""

    def __init__(self, connection: Connection) -> None:
        self._querying = Querying(connection)
        self._near: dict[_Step, dict[bytes, list[bytes]]] = defaultdict(dict)
        """What is one step beyond a lot, by the kind of step."""

    def upstream(self, start: Collection[bytes], depth: int, most: int) -> list[tuple[bytes, int]]:
        """What went into the given lots, at most `most` of it."""
        return self._walk(start, _MADE_FROM, depth, most)

    def downstream(self, start: Collection[bytes], depth: int, most: int) -> list[tuple[bytes, int]]:
        """What was made from the given lots, at most `most` of it."""
        return self._walk(start, _WENT_INTO, depth, most)

    def contents(self, start: Collection[bytes], depth: int, most: int) -> list[tuple[bytes, int]]:
        """What is packed in the given lots now, at most `most` of it."""
        return self._walk(start, _CONTENTS, depth, most)

    def in_line_with(self, goals: Collection[bytes], depth: int) -> set[bytes]:
        """Whatever was walked over up or down until now, and leads that way to one of `goals` in at most `depth`
        steps; the goals, too."""
        return {lot for step in (_MADE_FROM, _WENT_INTO) for lot in self._leading(goals, step, depth)}

    def custody(self, lot: bytes, depth: int) -> list[CustodyChangeRow]:
        """What changed who holds the lot: its own changes, and those of whatever it was packed in at the time."""
        found = self._querying.fetch(_CUSTODY, {"lot": lot, "deepest": depth})
        return [CustodyChangeRow(*row) for row in found]

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

    def _leading(self, goals: Collection[bytes], step: _Step, depth: int) -> set[bytes]:
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
        near.update((lot, []) for lot in new)
        for lot, beyond in self._querying.fetch_among(step, new):
            near[lot].append(beyond)
        return {beyond for lot in layer for beyond in near[lot]}


def _transformed(near: Table, far: Table) -> _Step:
    """From lots on the `near` side of a transformation to those on its `far` side."""
    joined = select(near.c.lot, far.c.lot).distinct().join(near, far.c.sequence == near.c.sequence)
    return joined.where(near.c.lot.in_(AMONG))


_MADE_FROM = _transformed(lot_outputs, lot_inputs)
_WENT_INTO = _transformed(lot_inputs, lot_outputs)
_CONTENTS: _Step = select(lots.c.parent, lots.c.subject).where(lots.c.parent.in_(AMONG))


def _carriers() -> CTE:
    """The lot, and each lot that carried it, with the records between which it did."""
    seed = select(
        cast(parameter("lot"), LargeBinary).label("lot"),
        cast(_ZERO, BigInteger).label("since"),
        cast(_NEVER, BigInteger).label("until"),
        cast(_ZERO, BigInteger).label("depth"),
    ).cte("carriers", recursive=True)
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
    query = select(custody_changes).join(carriers, custody_changes.c.lot == carriers.c.lot).distinct()
    held = query.where(custody_changes.c.sequence > carriers.c.since, custody_changes.c.sequence < carriers.c.until)
    return held.order_by(custody_changes.c.sequence, custody_changes.c.lot)


_CUSTODY = _custody()
