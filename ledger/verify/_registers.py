"""Register readings that a bundle shows: of each operation, the entry of its finish and that of its start, which the
first one names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from millmark.ledger.bundle import EvidenceEntryShown, ShownEvidence
from millmark.ledger.errors import RegisterError
from millmark.ledger.events import Event
from millmark.ledger.events.orders import AssignmentFinished, AssignmentStarted
from millmark.ledger.footprint import RegisterEntry, parse_register_entry, wh_between
from millmark.ledger.verify._state import Entry
from millmark.ledger.verify._status import Verified

__all__ = ["Metered", "metered", "named_starts", "register_of"]


@dataclass(frozen=True, slots=True)
class Metered:
    """The readings of an operation, both shown and in their stream."""

    assignment: int
    started: int
    finished: int
    """Records."""
    stream: bytes
    start_index: int
    finish_index: int
    quantity: int | None
    """How much the operation made in all, if the finish says so."""
    wh: int | None
    """None if the readings cannot be those of one register."""


def register_of(shown: EvidenceEntryShown | None) -> RegisterEntry | None:
    """The register reading of an entry; None if it has none, or none that can be read."""
    if shown is None:
        return None
    try:
        return parse_register_entry(shown.entry)
    except RegisterError:
        return None


def named_starts(
    evidence: Iterable[ShownEvidence], entries: Mapping[int, Entry[Event]]
) -> dict[int, tuple[AssignmentFinished, RegisterEntry]]:
    """By assignment, the finish that is shown with a register reading, and that reading, which names the start's
    entry."""
    found = {}
    for one in evidence:
        entry, finish = entries.get(one.record), register_of(one.shown)
        if entry is None or not isinstance(entry.event, AssignmentFinished) or finish is None:
            continue
        if finish.start is not None and finish.assignment == entry.event.assignment:
            found[finish.assignment] = (entry.event, finish)
    return found


def metered(verified: Verified) -> dict[int, Metered]:
    """The operations of which both readings are shown, by assignment."""
    return {one.assignment: one for one in _metered(verified)}


def _metered(verified: Verified) -> Iterator[Metered]:
    shown = {one.record: one.shown for one in verified.bundle.evidence}
    started = {one.event.assignment: one.sequence for one in verified.entries_with(AssignmentStarted)}
    for finished in verified.entries_with(AssignmentFinished):
        first = started.get(finished.event.assignment, 0)
        start, finish = register_of(shown.get(first)), register_of(shown.get(finished.sequence))
        if start is None or finish is None or finish.start is None:
            continue
        try:
            wh = wh_between(start, finish) if finish.assignment == finished.event.assignment else None
        except RegisterError:
            wh = None
        yield Metered(
            finished.event.assignment,
            first,
            finished.sequence,
            finished.event.stream,
            finish.start,
            finished.event.leaf_index,
            finish.quantity,
            wh,
        )
