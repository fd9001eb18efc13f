"""Which lots were made from which, and what they were packed in: walks over transformations and packings.

A walk is a breadth-first search that expands each lot once. So it ends even if the tables contain a cycle, and its
cost is proportional to what it finds. One recursive query would expand a lot once for each length of a path to it, and
could not stop after enough lots. Walks are bounded in depth and in number of lots, so that an answer stays small.
Steps that were read are kept (millmark.ledger.store.steps): building one answer walks the same genealogy several times,
for its content and for its visibility, and so do the answers after it. SQLite and PostgreSQL both run the queries.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import Any

from sqlalchemy import CTE, BigInteger, Connection, Select, and_, case, cast, literal_column, or_, select
from sqlalchemy.types import LargeBinary

from millmark.ledger.store.postgresql import WRITES
from millmark.ledger.store.rows import CustodyChangeRow
from millmark.ledger.store.statements import Querying, parameter
from millmark.ledger.store.steps import CONTENTS, KEPT_STEPS, MADE_FROM, WENT_INTO, Step, Steps
from millmark.ledger.store.tables import custody_changes, packings

_ZERO, _ONE, _NEVER = (literal_column(str(number), BigInteger()) for number in (0, 1, 1 << 62))
"""_NEVER is later than any sequence."""


class Lineage:
    """Walks within one transaction, which must not change the tables meanwhile, since steps are kept.

    Walks return (lot, depth), nearest first, with the start at depth 0. `most` is the maximum number of lots in the
    answer, `depth` that of steps. Of lots equally far, those with the least subjects come first.
    """

    def __init__(self, connection: Connection) -> None:
        self._querying = Querying(connection)
        options = connection.get_execution_options()
        # What a writer sees may never be committed, so others must not find it.
        self._kept = None if options.get(WRITES, False) else options.get(KEPT_STEPS)
        self._steps: dict[Step, Steps] = {CONTENTS: Steps()}

    def upstream(self, start: Collection[bytes], depth: int, most: int) -> list[tuple[bytes, int]]:
        """The lots from which the given ones were made."""
        return self._walk(start, MADE_FROM, depth, most)

    def downstream(self, start: Collection[bytes], depth: int, most: int) -> list[tuple[bytes, int]]:
        """The lots that were made from the given ones."""
        return self._walk(start, WENT_INTO, depth, most)

    def contents(self, start: Collection[bytes], depth: int, most: int) -> list[tuple[bytes, int]]:
        """The lots that are packed in the given ones now."""
        return self._walk(start, CONTENTS, depth, most)

    def all_upstream(self, start: Collection[bytes], depth: int, most: int) -> set[bytes]:
        """The lots that `upstream` returns, for who needs neither order nor depths: sorting takes as long as a walk."""
        return set(self._steps_of(MADE_FROM).lots(self._reach(start, MADE_FROM, depth, most)))

    def all_downstream(self, start: Collection[bytes], depth: int, most: int) -> set[bytes]:
        """The lots that `downstream` returns, without order and depths."""
        return set(self._steps_of(WENT_INTO).lots(self._reach(start, WENT_INTO, depth, most)))

    def in_line_with(self, goals: Collection[bytes], start: Collection[bytes], depth: int, most: int) -> set[bytes]:
        """Those lots of `start` from which a walk in either direction, within these bounds, comes to a goal."""
        found = set(goals).intersection(start)
        for step in (MADE_FROM, WENT_INTO):
            steps = self._steps_of(step)
            walked = self._reach(start, step, depth, most)
            leading = _leading(steps.numbers(goals) & walked, {lot: steps.near(lot, step) for lot in walked}, depth)
            found.update(set(steps.lots(leading)).intersection(start))
        return found

    def custody(self, lot: bytes, depth: int) -> list[CustodyChangeRow]:
        """The lot's custody timeline: its own changes, and those of each lot in which it was packed at the time."""
        found = self._querying.fetch(_CUSTODY, {"lot": lot, "deepest": depth})
        # Sorted here: asked for an order, or for distinct rows, SQLite reads all changes of all lots in that order.
        return sorted((CustodyChangeRow(*row) for row in dict.fromkeys(found)), key=lambda row: (row.sequence, row.lot))

    def _walk(self, start: Collection[bytes], step: Step, depth: int, most: int) -> list[tuple[bytes, int]]:
        # Lots at the same depth are sorted, so that an answer is the same every time.
        layers = enumerate(self._layers(start, step, depth, most, set()))
        steps = self._steps_of(step)
        return [(lot, away) for away, layer in layers for lot in sorted(steps.lots(layer))]

    def _reach(self, start: Collection[bytes], step: Step, depth: int, most: int) -> set[int]:
        found: set[int] = set()
        for _ in self._layers(start, step, depth, most, found):
            pass
        return found

    def _layers(
        self, start: Collection[bytes], step: Step, depth: int, most: int, found: set[int]
    ) -> Iterator[set[int]]:
        """The lots that are new at each depth, by number; they are added to `found`. Of the last, those that come first
        if all are too many."""
        steps = self._steps_of(step)
        layer = steps.numbers(start)
        for away in range(depth + 1):
            if away:
                layer = steps.beyond(layer, step, self._querying).difference(found)
            room = most - len(found)
            if len(layer) > room:
                layer = steps.numbers(sorted(steps.lots(layer))[:room])
            found |= layer
            yield layer
            if not layer or len(found) >= most:
                return

    def _steps_of(self, step: Step) -> Steps:
        if step not in self._steps:
            kept = Steps() if self._kept is None else self._kept.at(self._querying)
            self._steps[MADE_FROM] = self._steps[WENT_INTO] = kept
        return self._steps[step]


def _leading(goals: set[int], near: dict[int, tuple[int, ...]], depth: int) -> set[int]:
    """The goals, and the lots from which one can be reached in at most `depth` of these steps."""
    before: dict[int, list[int]] = defaultdict(list)
    for lot, beyond in near.items():
        for one in beyond:
            before[one].append(lot)
    found, layer = set(goals), set(goals)
    for _ in range(depth):
        layer = {lot for one in layer for lot in before.get(one, ())} - found
        if not layer:
            break
        found |= layer
    return found


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
