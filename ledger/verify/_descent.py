"""What lots came from and what was made of them, as replayed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ledger.events.lots import LotsTransformed
from ledger.verify._state import Lot, State

__all__ = ["ancestors_of", "made_of"]


def ancestors_of(state: State, lot: Lot) -> set[bytes]:
    """Through any number of transformations; replay demanded them all."""
    found: set[bytes] = set()
    waiting = list(lot.inputs)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += state.lots[name].inputs
    return found


def made_of(state: State, parts: Iterable[bytes]) -> set[bytes]:
    """Every lot that the records of the parts say was made of them. None is missing: a part's history is whole, and no
    transformation in it may be sealed."""
    return {lot for part in parts for lot in _outputs(state, part)}


def _outputs(state: State, part: bytes) -> Iterator[bytes]:
    for entry in state.entries_of[part].values():
        if isinstance(entry.event, LotsTransformed) and part in entry.event.inputs:
            yield from entry.event.outputs(entry.histories)
