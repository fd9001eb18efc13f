"""Register readings that another company disclosed in a bundle. Whoever holds them may disclose them further, with what
was made of those lots."""

from __future__ import annotations

from collections.abc import Iterator

from millmark.ledger.bundle import Bundle, EvidenceEntryShown
from millmark.ledger.errors import RegisterError
from millmark.ledger.events import HISTORY_EVENTS, Event, decode
from millmark.ledger.events.orders import AssignmentFinished, AssignmentStarted
from millmark.ledger.evidence import EvidenceEntry, build_leaf_data
from millmark.ledger.footprint import is_register_alone, parse_register_entry
from millmark.ledger.merkle import leaf_hash

__all__ = ["find_opened"]


def find_opened(bundle: Bundle) -> Iterator[tuple[bytes, EvidenceEntry]]:
    """The register readings in a bundle that was verified, with the streams that they are in. Others of its entries are
    left out: they are for whom they were shown to."""
    shown = {one.record: one.shown for one in bundle.evidence if _is_register(one.shown)}
    if not shown:
        return
    events = dict(_events(bundle))
    starts = {event.assignment: number for number, event in events.items() if isinstance(event, AssignmentStarted)}
    for number, event in events.items():
        finish = shown.get(number)
        if finish is None or not isinstance(event, AssignmentFinished):
            continue
        yield event.stream, _entry(event.leaf_index, finish)
        start, reading = shown.get(starts.get(event.assignment, 0)), parse_register_entry(finish.entry)
        # Without its hash, only a proof from the stream's log could show that it is the one.
        if start is not None and reading is not None and reading.start is not None and reading.start_hash is not None:
            yield event.stream, _entry(reading.start, start)


def _events(bundle: Bundle) -> Iterator[tuple[int, Event]]:
    for record in bundle.records:
        kind = HISTORY_EVENTS[record.kind]
        if kind in (AssignmentStarted, AssignmentFinished):
            yield record.sequence, decode(kind, record.data)[2]


def _is_register(shown: EvidenceEntryShown | None) -> bool:
    try:
        return shown is not None and is_register_alone(shown.entry)
    except RegisterError:
        return False


def _entry(index: int, shown: EvidenceEntryShown) -> EvidenceEntry:
    leaf = leaf_hash(build_leaf_data(shown.kind, shown.salt, shown.entry))
    return EvidenceEntry(index, shown.salt, shown.entry, leaf, shown.kind)
