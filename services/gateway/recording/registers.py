"""Register readings that are taken at this gateway: each becomes an entry of the machine's stream, and is anchored.

The gateway finds out what the reading at the finish has to say beside the register: the entry of the start, whether the
register was set back meanwhile, and whether other operations ran on the machine (ledger/footprint/FOOTPRINT.md). A
reset that is stated with a reading becomes an entry of its own before it: operations which run meanwhile see it too.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from millmark.ledger.errors import InputError, RegisterError
from millmark.ledger.evidence import EvidenceEntry
from millmark.ledger.footprint import (
    Moment,
    Reading,
    RegisterEntry,
    allocate,
    build_register_data,
    parse_register_entry,
    register_event_id,
    resets_among,
    wh_between,
)
from millmark.ledger.provenance.listings import find_assignment
from millmark.ledger.provenance.reader import Reader
from millmark.ledger.records import AssignmentState
from millmark.ledger.store import Book
from millmark.ledger.store.rows import AssignmentRow, StreamRow
from millmark.services.gateway.recording.entries import anchor_with, build_event

__all__ = ["find_register"]

_MAY: Mapping[Moment, tuple[AssignmentState, ...]] = {
    Moment.START: (AssignmentState.ACCEPTED, AssignmentState.STARTED),
    Moment.FINISH: (AssignmentState.STARTED,),
}


def find_register(reader: Reader, asked: Mapping[str, Any]) -> dict[str, object]:
    """The anchor that has the reading, and the entry to be kept.

    A reading that is in the stream already and is not anchored is anchored again. Raises NotFoundError for an unknown
    assignment, InputError for one of another company or in another state, for a stream that is captured or kept
    elsewhere, and for a second reading with another value; RegisterError for one that cannot be of the same register.
    """
    moment = Moment(asked["moment"])
    row = find_assignment(reader, asked["id"])
    if row.owner != asked["creator"]:
        raise InputError(f"assignment {row.sequence} is of another company", hint="its machine's owner reads the meter")
    if row.state not in _MAY[moment]:
        state = AssignmentState(row.state).name.lower()
        raise InputError(f"assignment {row.sequence} is {state}", hint="read before it starts, and before it finishes")
    stream = _stream(reader, row, asked)
    size = reader.book.evidence_size(stream.subject)
    if asked["captured"] or size < stream.size:
        raise InputError(
            "the evidence of this stream is not kept here", hint="send the reading to the node as an event"
        )
    event = register_event_id(row.sequence, moment)
    found = reader.book.find_event(stream.subject, event)
    if found is not None:
        _verify_same(reader.book, stream, found, asked["register_wh"], size)
        return anchor_with(reader.book, stream, [], size)
    now = int(time.time())
    resets = _resets(asked["reset"], now)
    entry = _build(reader.book, stream.subject, Reading(now, asked["register_wh"], moment, row.sequence), asked, resets)
    draw = cast("Callable[[], bytes]", asked["salt"])
    added = [_write(size + place, f"{event}/reset", RegisterEntry(one), draw) for place, one in enumerate(resets)]
    return anchor_with(reader.book, stream, [*added, _write(size + len(added), event, entry, draw)], size)


def _write(index: int, event: str, entry: RegisterEntry, draw: Callable[[], bytes]) -> EvidenceEntry:
    return build_event(index, event, build_register_data(entry), draw)


def _stream(reader: Reader, row: AssignmentRow, asked: Mapping[str, Any]) -> StreamRow:
    named = asked["stream"]
    subject = row.stream if named is None else bytes.fromhex(named[2:])
    of_machine = reader.rows.find(StreamRow, machine=row.machine)
    found = [one for one in of_machine if subject is None or one.subject == subject]
    if len(found) != 1:
        raise InputError(f"{len(found)} streams of machine {row.machine} are meant", hint="name one as `stream`")
    return found[0]


def _verify_same(book: Book, stream: StreamRow, index: int, wh: int, size: int) -> None:
    kept = book.evidence_entry(stream.subject, index)
    entry = None if kept is None else parse_register_entry(kept.entry)
    if entry is None or entry.reading.wh != wh:
        raise InputError(
            f"entry {index} of the stream has another reading of this moment", hint="a reading is taken once"
        )
    if size == stream.size:
        raise InputError(
            f"the reading is entry {index} of the stream already, and anchored", hint="go on with the work"
        )


@dataclass(frozen=True, slots=True)
class _Known:
    index: int
    leaf: bytes
    entry: RegisterEntry


def _build(
    book: Book, stream: bytes, reading: Reading, asked: Mapping[str, Any], resets: Sequence[Reading]
) -> RegisterEntry:
    known, assignment = list(_readings(book, stream)), reading.assignment
    if reading.moment is Moment.START:
        if asked["quantity"] is not None:
            raise InputError("only a reading at the finish has a quantity", hint="leave it out")
        latest = [one.entry.reading for one in known[-1:]]
        allocate([*latest, *resets, reading])
        return RegisterEntry(reading)
    first = next((place for place, one in enumerate(known) if _is_start(one, assignment)), None)
    if first is None:
        raise InputError(
            f"assignment {assignment} has no register reading at its start",
            hint="finish it with an event that shows the work: what it used is not metered",
        )
    return _finish(known, first, reading, asked["quantity"], resets)


def _finish(
    known: Sequence[_Known], first: int, finish: Reading, quantity: int | None, stated: Sequence[Reading]
) -> RegisterEntry:
    start = known[first]
    between = [one.entry.reading for one in known[first + 1 :]]
    beside = [
        Reading(start.entry.reading.time_s, start.entry.reading.wh, Moment.START, one)
        for one in _running(known[:first])
    ]
    found = allocate([*beside, start.entry.reading, *between, *stated, finish])
    segments = found.segments[finish.assignment]
    alone = all(one.among == 1 for one in segments)
    resets = resets_among([start.entry.reading, *between, *stated])
    entry = RegisterEntry(finish, start.index, start.leaf, quantity, resets, () if alone else tuple(segments))
    wh_between(start.entry, entry)  # whoever gets the two entries must find the same
    return entry


def _resets(reset: Sequence[int] | None, now: int) -> list[Reading]:
    return [] if reset is None else [Reading(now, reset[1], Moment.RESET, before_wh=reset[0])]


def _running(known: Sequence[_Known]) -> list[int]:
    """The operations that had started by then and not finished."""
    running: dict[int, None] = {}
    for one in known:
        if one.entry.reading.moment is Moment.START:
            running[one.entry.assignment] = None
        elif one.entry.reading.moment is Moment.FINISH:
            running.pop(one.entry.assignment, None)
    return list(running)


def _is_start(one: _Known, assignment: int) -> bool:
    return one.entry.reading.moment is Moment.START and one.entry.assignment == assignment


def _readings(book: Book, stream: bytes) -> Iterator[_Known]:
    """The register readings of a stream, in its order; those that cannot be read are events like others."""
    for index, text, leaf in book.entries_with(stream, '"register":'):
        try:
            entry = parse_register_entry(json.loads(text))
        except RegisterError:
            continue
        if entry is not None:
            yield _Known(index, leaf, entry)
