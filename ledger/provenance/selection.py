"""Selects from the index the records that a bundle about some lots must contain (BUNDLE.md, "What belongs in it")."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from millmark.ledger.bundle import HistoryShown, RecordShown, WithheldRecord
from millmark.ledger.errors import InputError
from millmark.ledger.events import Event
from millmark.ledger.events.lots import LotsTransformed
from millmark.ledger.provenance.grounds import LookupGround
from millmark.ledger.records import Contract, Names, TransformationKind
from millmark.ledger.store import Rows
from millmark.ledger.store.rows import (
    LotInputRow,
    LotOutputRow,
    RecordHistoryRow,
    RecordRow,
    StreamRow,
    TransformationRow,
)

__all__ = ["Selection", "TooManyRecordsError", "select_few", "select_records"]

_LEDGER = Contract.LEDGER.value


class TooManyRecordsError(InputError):
    """The history of some lots is longer than the caller allows."""

    code = "too-many-records"


@dataclass(slots=True)
class Selection:
    """Histories up to a block, and everything to which their records refer."""

    parts: frozenset[bytes]
    """Subjects of the lots that the bundle is about."""
    block_number: int
    """Records after this block are left out."""
    histories: dict[bytes, list[int]] = field(default_factory=dict)
    """Sequences of records, ascending, by subject."""
    records: dict[int, RecordRow] = field(default_factory=dict)
    """By sequence."""
    events: dict[int, Event] = field(default_factory=dict)
    """The records' decoded events, by sequence."""
    touched: dict[int, tuple[bytes, ...]] = field(default_factory=dict)
    """Subjects whose histories contain a record, in the record's order, by sequence."""
    left_out: dict[bytes, list[int]] = field(default_factory=dict)
    """Sequences of records of these histories that were not read, ascending, by subject; see `select_few`."""
    withheld: frozenset[int] = frozenset()
    """Sequences of the records that are withheld: a bundle has only their kind and inner hash."""
    participants: set[int] = field(default_factory=set)
    keys: set[bytes] = field(default_factory=set)
    machines: set[int] = field(default_factory=set)
    models: set[int] = field(default_factory=set)
    streams: set[bytes] = field(default_factory=set)

    def shown(self) -> Iterator[RecordRow]:
        """The records that the bundle contains in full, oldest first."""
        return (self.records[number] for number in sorted(self.records) if number not in self.withheld)

    def build_histories(self) -> tuple[HistoryShown, ...]:
        return tuple(
            HistoryShown(name, tuple(self._link(number) for number in numbers))
            for name, numbers in sorted(self.histories.items())
        )

    def build_records(self) -> tuple[RecordShown, ...]:
        return tuple(
            RecordShown(row.kind, row.sequence, row.participant, row.block_time, row.data) for row in self.shown()
        )

    def _link(self, number: int) -> int | WithheldRecord:
        row = self.records[number]
        return WithheldRecord(row.kind, row.inner) if number in self.withheld else number


def select_records(rows: Rows, parts: Collection[bytes], block_number: int, *, withhold: bool) -> Selection:
    """Select all records, up to a block, of the lots `parts` and of what they were made from.

    With `withhold`, records that took shared material for other lots are withheld.
    """
    found = Selection(frozenset(parts), block_number)
    layer = set(parts)
    while layer:  # ends: each history is read once
        _read(rows, found, layer)
        layer = {name for subject in layer for name in _needs(found, subject)} - found.histories.keys()
    if withhold:
        found.withheld = frozenset(number for number in found.records if _may_be_withheld(found, number))
    for row in found.shown():  # after withholding: a bundle must not prove what only withheld records refer to
        _note_names(found, row)
    found.machines.update(row.machine for row in rows.among(StreamRow, "subject", found.streams))
    return found


def select_few(rows: Rows, parts: Collection[bytes], block_number: int, most: int) -> Selection:
    """Select what `select_records` would show if it withholds, but without reading what it withholds: of material that
    thousands of lots were made from, this is nearly everything. These records are in `left_out`.

    Raises TooManyRecordsError if there are more than `most` records.
    """
    found = Selection(frozenset(parts), block_number)
    layer = set(parts)
    while layer:
        # Not what made one of these lots: it may have been made of another of them.
        made: set[int] = rows.values(LotOutputRow, "sequence", "lot", layer)
        _read(rows, found, layer, _takings(rows, layer - found.parts) - made, most)
        layer = {name for subject in layer for name in _needs(found, subject)} - found.histories.keys()
    # What took material for one of these lots is in that lot's history, which may have been read later.
    for name in found.histories:
        both = sorted({*found.histories[name], *found.left_out.get(name, ())})
        found.histories[name] = [number for number in both if number in found.records]
        found.left_out[name] = [number for number in both if number not in found.records]
    for row in found.shown():
        _note_names(found, row)
    found.machines.update(row.machine for row in rows.among(StreamRow, "subject", found.streams))
    return found


def _takings(rows: Rows, lots: Collection[bytes]) -> set[int]:
    """The transformations that took material from lots, except reworks, which may be of another kind of record."""
    taken: set[int] = rows.values(LotInputRow, "sequence", "lot", lots)
    reworks = rows.values(TransformationRow, "sequence", "sequence", taken, kind=int(TransformationKind.REWORK))
    return taken - reworks


def _read(
    rows: Rows, found: Selection, subjects: Collection[bytes], leaving: Collection[int] = (), most: int | None = None
) -> None:
    links = rows.among(RecordHistoryRow, "subject", subjects)
    missing = {link.sequence for link in links} - found.records.keys() - set(leaving)
    if most is not None and len(found.records) + len(missing) > most:
        cause = LookupGround.TOO_MANY_RECORDS.write(most=most)
        raise TooManyRecordsError(cause, hint="use `millmark bundle`")
    # The registry's records have the same numbers.
    for row in rows.among(RecordRow, "sequence", missing, contract=_LEDGER):
        if row.block_number <= found.block_number:  # later ones are not in the state that the bundle proves
            found.records[row.sequence] = row
            found.events[row.sequence] = row.event()
    _read_touched(rows, found, missing & found.records.keys())
    found.histories.update((subject, []) for subject in subjects)
    for link in sorted(links, key=lambda link: link.sequence):
        if link.sequence in found.records:
            found.histories[link.subject].append(link.sequence)
        elif link.sequence in leaving:
            found.left_out.setdefault(link.subject, []).append(link.sequence)


def _read_touched(rows: Rows, found: Selection, sequences: Collection[int]) -> None:
    touched: dict[int, list[bytes]] = {number: [] for number in sequences}
    for link in sorted(rows.among(RecordHistoryRow, "sequence", sequences), key=lambda link: link.position):
        touched[link.sequence].append(link.subject)
    found.touched.update((number, tuple(names)) for number, names in touched.items())


def _needs(found: Selection, subject: bytes) -> Iterator[bytes]:
    """The other histories that a receiver needs to judge the records of one history."""
    for number in found.histories[subject]:
        yield from found.events[number].needs(subject, found.touched[number])


def _may_be_withheld(found: Selection, number: int) -> bool:
    """Whether a transformation neither took a part as input nor made a lot from which a part was made."""
    event = found.events[number]
    if not event.withholdable or not isinstance(event, LotsTransformed):
        return False
    made = event.outputs(found.touched[number])
    return found.parts.isdisjoint(event.inputs) and found.histories.keys().isdisjoint(made)


def _note_names(found: Selection, row: RecordRow) -> None:
    event = found.events[row.sequence]
    found.participants.update(event.numbers(Names.PARTICIPANT))
    if row.participant:  # the registry's owner, 0, is not a participant: nothing about it is in the state to prove
        found.participants.add(row.participant)
        found.keys.add(row.key)
    found.machines.update(event.numbers(Names.MACHINE))
    found.models.update(event.numbers(Names.MODEL))
    found.streams.update(event.subjects(Names.STREAM))
