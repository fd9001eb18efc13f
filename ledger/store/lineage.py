"""Which lots were made from which, and what they were packed in: walks over transformations and packings.

A walk is a breadth-first search that expands each lot once. So it ends even if the tables contain a cycle, and its
cost is proportional to what it finds. One recursive query would expand a lot once for each length of a path to it, and
could not stop after enough lots. Walks are bounded in depth and in number of lots, so that an answer stays small.
Steps that were read are kept (below): building one answer walks the same genealogy several times, for its content and
for its visibility, and so do the answers after it. SQLite and PostgreSQL both run the queries.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import CTE, BigInteger, Connection, Select, Table, and_, case, cast, literal_column, or_, select
from sqlalchemy.types import LargeBinary

from millmark.ledger.records import Contract
from millmark.ledger.store.postgresql import WRITES
from millmark.ledger.store.repository import AMONG, Querying, parameter
from millmark.ledger.store.rows import REBUILDS, CustodyChangeRow
from millmark.ledger.store.schema import (
    book_revisions,
    cursor,
    custody_changes,
    lot_inputs,
    lot_outputs,
    lots,
    packings,
    records,
)

# Steps between lots that a process has read, kept from one transaction to the next.
#
# Genealogy changes only where a transformation is recorded, and most questions are about lots that were asked about
# before. So what was read is kept in the process, by numbers of its own, and extended by the transformations since. A
# transaction uses only what is true of the state that it sees: the steps belong to one state of the index, which its
# digest names, and a later state takes them over if its chain still has the block of the last record. Readers of
# earlier states, and writers, read for themselves.
#
# Memory: about 300 bytes a lot where a lot is made from a few, 1,300 where 64 are made from 64; of at most MOST_KEPT
# lots and those of one answer.

KEPT_STEPS = "millmark_kept_steps"
"""Execution option of an engine: its KeptSteps."""
MOST_KEPT = 100_000
"""Lots. With more, the next transaction begins anew."""
_MOST_NEW = 5_000
"""Records after which the steps are rather read again than extended."""
Step: TypeAlias = "Select[tuple[bytes, bytes]]"
"""A query for pairs: one of the given lots, and a lot one step away from it. A pair may come several times."""


def _transformed(near: Table, far: Table) -> Step:
    """The step from lots on the `near` side of a transformation to those on its `far` side."""
    joined = select(near.c.lot, far.c.lot).join(near, far.c.sequence == near.c.sequence)
    return joined.where(near.c.lot.in_(AMONG))


MADE_FROM = _transformed(lot_outputs, lot_inputs)
WENT_INTO = _transformed(lot_inputs, lot_outputs)
CONTENTS: Step = select(lots.c.parent, lots.c.subject).where(lots.c.parent.in_(AMONG))
"""Packings end, so this step is never kept."""


class _Numbers:
    """Numbers lots in the order in which they are met. Never forgets one, so threads may share it."""

    def __init__(self) -> None:
        self.lots: list[bytes] = []
        self._of: dict[bytes, int] = {}
        self._lock = threading.Lock()

    def of(self, lots: Iterable[bytes]) -> list[int]:
        """The numbers of lots, given to those that have none."""
        with self._lock:
            return [self._number(lot) for lot in lots]

    def known(self, lots: Iterable[bytes]) -> list[int]:
        """The numbers of those lots that have one."""
        return [number for number in map(self._of.get, lots) if number is not None]

    def _number(self, lot: bytes) -> int:
        number = self._of.setdefault(lot, len(self.lots))
        if number == len(self.lots):
            self.lots.append(lot)
        return number


class Steps:
    """Steps of one state of the index, by numbers of lots. Threads may share it: what one adds is true for all."""

    def __init__(self, numbers: _Numbers | None = None) -> None:
        self._numbers = numbers or _Numbers()
        self._near: dict[Step, dict[int, tuple[int, ...]]] = {}
        """The lots one step away from each expanded lot, by kind of step."""

    def __len__(self) -> int:
        return len(self._numbers.lots)

    def numbers(self, lots: Iterable[bytes]) -> set[int]:
        return set(self._numbers.of(lots))

    def lots(self, numbers: Iterable[int]) -> Iterable[bytes]:
        return map(self._numbers.lots.__getitem__, numbers)

    def beyond(self, layer: Collection[int], step: Step, querying: Querying) -> set[int]:
        """The lots one step away from those of a layer. Reads those that are not known yet."""
        near = self._near.setdefault(step, {})
        try:
            return set().union(*map(near.__getitem__, layer))
        except KeyError:
            near.update(self._read([lot for lot in layer if lot not in near], step, querying))
        return set().union(*map(near.__getitem__, layer))

    def near(self, lot: int, step: Step) -> tuple[int, ...]:
        """The lots one step away from a lot; none if it was not expanded."""
        return self._near.get(step, {}).get(lot, ())

    def without(self, made: Iterable[bytes], taken: Iterable[bytes]) -> Steps:
        """The steps but those back from what was `made` since, and those on from what was `taken`. These stay as they
        are, for who reads the state before: a step that one adds is true of one state alone."""
        after = Steps(self._numbers)
        for step, changed in ((MADE_FROM, made), (WENT_INTO, taken)):
            after._near[step] = near = self._near.get(step, {}).copy()
            for lot in self._numbers.known(changed):
                near.pop(lot, None)
        return after

    def _read(self, new: list[int], step: Step, querying: Querying) -> dict[int, tuple[int, ...]]:
        pairs = querying.fetch_among(step, self.lots(new))
        numbers = self._numbers.of(lot for pair in pairs for lot in pair)
        found: dict[int, set[int]] = defaultdict(set)
        for lot, beyond in zip(numbers[::2], numbers[1::2], strict=True):
            found[lot].add(beyond)
        # Lots without a next step, too, or they would be read again.
        return {lot: tuple(found.get(lot, ())) for lot in new}


@dataclass(frozen=True, slots=True)
class _State:
    """A state of the index's genealogy."""

    rebuilds: int
    sequence: int
    """Sequence of the ledger's last record."""
    digest: bytes
    """Digest of the index up to there: two states that differ have two."""
    block_hash: bytes | None
    """Hash of the block of that record; None if the index lacks the record."""


class KeptSteps:
    """The steps that a process keeps of one database. Threads may share it."""

    def __init__(self) -> None:
        self._kept: tuple[_State, Steps] | None = None

    def at(self, querying: Querying) -> Steps:
        """The steps of the state that a reading transaction sees, with what is known of them."""
        state = _read_state(querying)
        if state is None:  # nothing is indexed
            return Steps()
        kept = self._kept
        if kept is None or kept[0] != state:
            # Another thread may put its own in between: whichever stays is true of its state.
            kept = self._take_over(state, kept, querying)
        if len(kept[1]) > MOST_KEPT:
            kept = self._kept = state, Steps()
        return kept[1]

    def _take_over(self, state: _State, kept: tuple[_State, Steps] | None, querying: Querying) -> tuple[_State, Steps]:
        if kept is not None and kept[0].rebuilds == state.rebuilds and state.sequence < kept[0].sequence:
            return state, Steps()  # most likely of a transaction that began before the last block: not worth keeping
        self._kept = after = state, _extended(state, *kept, querying) if kept is not None else Steps()
        return after


def _extended(state: _State, before: _State, steps: Steps, querying: Querying) -> Steps:
    since = {"since": before.sequence}
    if before.rebuilds != state.rebuilds or state.sequence - before.sequence > _MOST_NEW:
        return Steps()
    # A block's hash commits to all blocks before it, so the chain of both states is the same up to there.
    if before.block_hash is None or querying.fetch(_BLOCK_OF, since) != [(before.block_hash,)]:
        return Steps()
    made, taken = ([lot for (lot,) in querying.fetch(query, since)] for query in (_MADE, _TAKEN))
    return steps.without(made, taken) if made or taken else steps


def _read_state(querying: Querying) -> _State | None:
    found = querying.fetch(_STATE)
    return _State(found[0][0] or 0, *found[0][1:]) if found else None


def _state() -> Select[Any]:
    rebuilds = select(book_revisions.c.number).where(book_revisions.c.id == literal_column(str(REBUILDS)))
    last = and_(_IN_LEDGER, records.c.sequence == cursor.c.ledger_sequence)
    columns = (rebuilds.scalar_subquery(), cursor.c.ledger_sequence, cursor.c.digest, records.c.block_hash)
    only = cursor.c.id == literal_column("1")
    return select(*columns).select_from(cursor.outerjoin(records, last)).where(only)


_IN_LEDGER = records.c.contract == literal_column(f"'{Contract.LEDGER.value}'")
_STATE = _state()
_BLOCK_OF = select(records.c.block_hash).where(_IN_LEDGER, records.c.sequence == parameter("since"))
_MADE, _TAKEN = (select(one.c.lot).where(one.c.sequence > parameter("since")) for one in (lot_outputs, lot_inputs))


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
