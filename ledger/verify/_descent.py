"""The lots from which a lot was made, and those made from it, according to replayed records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from millmark.ledger.events.lots import LotReworked, LotsTransformed
from millmark.ledger.verify._state import Lot, State

__all__ = ["ancestors_of", "made_of", "outermost"]


def ancestors_of(state: State, lot: Lot) -> set[bytes]:
    """The subjects of all lots from which a lot was made, through any number of transformations and reworks.

    The set is complete: replay refuses bundles that lack one of their histories.
    """
    found: set[bytes] = set()
    waiting = list(lot.inputs)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += state.lots[name].inputs
    # A component of its rework may have been made of the lot itself.
    return found - {lot.subject}


def made_of(state: State, parts: Iterable[bytes]) -> set[bytes]:
    """The subjects of all lots that were made directly from the parts, or into which the parts went as components.

    The set is complete: a part's history has all its records, and replay refuses withheld records in it.
    """
    return {lot for part in parts for lot in _outputs(state, part)}


def _outputs(state: State, part: bytes) -> Iterator[bytes]:
    for entry in state.entries_of[part].values():
        if isinstance(entry.event, LotsTransformed) and part in entry.event.inputs:
            yield from entry.event.outputs(entry.histories)
        if isinstance(entry.event, LotReworked) and part in entry.event.components:
            yield entry.event.rework.lot


def outermost(state: State, lot: Lot) -> Lot:
    """The lot in which a lot is packed, through any number of others; the lot itself if it is in none."""
    while lot.parent is not None:
        lot = state.lots[lot.parent]
    return lot
