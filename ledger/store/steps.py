"""Steps between lots that a transaction has read, by numbers of their own: sets of small numbers are quick to walk."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import TypeAlias

from sqlalchemy import Select, Table, select

from ledger.store.statements import AMONG, Querying
from ledger.store.tables import lot_inputs, lot_outputs, lots

__all__ = ["CONTENTS", "MADE_FROM", "WENT_INTO", "Step", "Steps"]

Step: TypeAlias = "Select[tuple[bytes, bytes]]"
"""A query for pairs: one of the given lots, and a lot one step away from it. A pair may come several times."""


def _transformed(near: Table, far: Table) -> Step:
    """The step from lots on the `near` side of a transformation to those on its `far` side."""
    joined = select(near.c.lot, far.c.lot).join(near, far.c.sequence == near.c.sequence)
    return joined.where(near.c.lot.in_(AMONG))


MADE_FROM = _transformed(lot_outputs, lot_inputs)
WENT_INTO = _transformed(lot_inputs, lot_outputs)
CONTENTS: Step = select(lots.c.parent, lots.c.subject).where(lots.c.parent.in_(AMONG))


class _Numbers:
    """Numbers lots in the order in which they are met."""

    def __init__(self) -> None:
        self.lots: list[bytes] = []
        self._of: dict[bytes, int] = {}

    def of(self, lots: Iterable[bytes]) -> list[int]:
        """The numbers of lots, given to those that have none."""
        return [self._number(lot) for lot in lots]

    def _number(self, lot: bytes) -> int:
        number = self._of.setdefault(lot, len(self.lots))
        if number == len(self.lots):
            self.lots.append(lot)
        return number


class Steps:
    """Steps of the state of the index that one transaction sees, by numbers of lots."""

    def __init__(self) -> None:
        self._numbers = _Numbers()
        self._near: dict[Step, dict[int, tuple[int, ...]]] = {}
        """The lots one step away from each expanded lot, by kind of step."""

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

    def _read(self, new: list[int], step: Step, querying: Querying) -> dict[int, tuple[int, ...]]:
        pairs = querying.fetch_among(step, self.lots(new))
        numbers = self._numbers.of(lot for pair in pairs for lot in pair)
        found: dict[int, set[int]] = defaultdict(set)
        for lot, beyond in zip(numbers[::2], numbers[1::2], strict=True):
            found[lot].add(beyond)
        # Lots without a next step, too, or they would be read again.
        return {lot: tuple(found.get(lot, ())) for lot in new}
