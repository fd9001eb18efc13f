"""Steps between lots that a process has read, kept from one transaction to the next.

Genealogy changes only where a transformation is recorded, and most questions are about lots that were asked about
before. So what was read is kept in the process, by numbers of its own, and extended by the transformations since. A
transaction uses only what is true of the state that it sees: the steps belong to one state of the index, which its
digest names, and a later state takes them over if its chain still has the block of the last record. Readers of earlier
states, and writers, read for themselves.

Memory: about 300 bytes a lot where a lot is made from a few, 1,300 where 64 are made from 64; of at most MOST_KEPT lots
and those of one answer.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import Select, Table, and_, literal_column, select

from millmark.ledger.records import Contract
from millmark.ledger.store.book_rows import REBUILDS
from millmark.ledger.store.statements import AMONG, Querying, parameter
from millmark.ledger.store.tables import book_revisions, cursor, lot_inputs, lot_outputs, lots, records

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
        """The steps but those back from what was `made` since, and those on from what was `taken`.

        These stay as they are, for who reads the state before: a step that one adds is true of one state alone.
        """
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
