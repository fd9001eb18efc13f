"""Which records a bundle about some lots must hold, out of the index: see BUNDLE.md, "What belongs in it"."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ledger.bundle import HistoryShown, RecordShown, SealedRecord
from ledger.records import Contract
from ledger.store import Rows
from ledger.store.rows import RecordHistoryRow, RecordRow, StreamRow

__all__ = ["Selection", "roots_of", "select_records"]

_LEDGER = Contract.LEDGER.value
_ZERO = "0x" + "00" * 32


@dataclass(slots=True)
class Selection:
    """Histories up to a block, and all that their records name."""

    parts: frozenset[bytes]
    block_number: int
    histories: dict[bytes, list[int]] = field(default_factory=dict)
    """Sequences, ascending, by subject."""
    records: dict[int, RecordRow] = field(default_factory=dict)
    fields: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    """The events' own fields, by sequence; bytes as 0x-hex."""
    touched: dict[int, tuple[bytes, ...]] = field(default_factory=dict)
    """Subjects in whose histories a record is, in its own order."""
    sealed: frozenset[int] = frozenset()
    participants: set[int] = field(default_factory=set)
    keys: set[bytes] = field(default_factory=set)
    machines: set[int] = field(default_factory=set)
    models: set[int] = field(default_factory=set)
    streams: set[bytes] = field(default_factory=set)

    def shown(self) -> Iterator[RecordRow]:
        """The records that are in the bundle in full, oldest first."""
        return (self.records[number] for number in sorted(self.records) if number not in self.sealed)

    def build_histories(self) -> tuple[HistoryShown, ...]:
        return tuple(
            HistoryShown(name, tuple(self._link(number) for number in numbers))
            for name, numbers in sorted(self.histories.items())
        )

    def build_records(self) -> tuple[RecordShown, ...]:
        return tuple(
            RecordShown(row.kind, row.sequence, row.participant, row.block_time, row.data) for row in self.shown()
        )

    def _link(self, number: int) -> int | SealedRecord:
        row = self.records[number]
        return SealedRecord(row.kind, row.inner) if number in self.sealed else number


def select_records(rows: Rows, parts: Collection[bytes], block_number: int, *, seal: bool) -> Selection:
    """All records up to a block of the lots `parts` and of what they came from, with what these records name.

    `seal`: of material that was shared, what went into other lots is left sealed.
    """
    found = Selection(frozenset(parts), block_number)
    layer = set(parts)
    while layer:
        _read(rows, found, layer)
        layer = {name for subject in layer for name in _needs(found, subject)} - found.histories.keys()
    if seal:
        found.sealed = frozenset(number for number in found.records if _may_be_sealed(found, number))
    for row in found.shown():
        _note_names(found, row)
    found.machines.update(row.machine for row in rows.among(StreamRow, "subject", found.streams))
    return found


def roots_of(fields: Mapping[str, Any]) -> tuple[bytes, ...]:
    """The claims roots that a record carries, in the order of its data; zeros where it has no document."""
    if "transformation" in fields:
        change = fields["transformation"]
        return tuple(_raw(part["claims_root"]) for part in (change, *change["outputs"]))
    holder = fields.get("terms") or fields.get("statement") or fields
    return tuple(_raw(holder[name]) for name in ("claims_root", "reason_root") if name in holder)


def _read(rows: Rows, found: Selection, subjects: Iterable[bytes]) -> None:
    links = rows.among(RecordHistoryRow, "subject", subjects)
    missing = {link.sequence for link in links} - found.records.keys()
    for row in rows.among(RecordRow, "sequence", missing):
        if row.contract == _LEDGER and row.block_number <= found.block_number:
            found.records[row.sequence] = row
            found.fields[row.sequence] = json.loads(row.fields)
    _read_touched(rows, found, missing & found.records.keys())
    found.histories.update((subject, []) for subject in subjects)
    for link in sorted(links, key=lambda link: link.sequence):
        if link.sequence in found.records:
            found.histories[link.subject].append(link.sequence)


def _read_touched(rows: Rows, found: Selection, sequences: Collection[int]) -> None:
    touched: dict[int, list[bytes]] = {number: [] for number in sequences}
    for link in sorted(rows.among(RecordHistoryRow, "sequence", sequences), key=lambda link: link.position):
        touched[link.sequence].append(link.subject)
    found.touched.update((number, tuple(names)) for number, names in touched.items())


def _needs(found: Selection, subject: bytes) -> Iterator[bytes]:
    """The histories that the records of one history ask for."""
    for number in found.histories[subject]:
        kind, fields, touched = found.records[number].kind, found.fields[number], found.touched[number]
        if kind == "LotCommissioned":
            yield _raw(fields["order"])
        elif kind == "LotsPacked" and touched[0] != subject:
            yield touched[0]
        elif kind == "LotsTransformed" and subject not in _inputs(fields):
            yield from _inputs(fields)
            if fields["transformation"]["order"] != _ZERO:
                yield _raw(fields["transformation"]["order"])


def _inputs(fields: Mapping[str, Any]) -> list[bytes]:
    return [_raw(taken["lot"]) for taken in fields["transformation"]["inputs"]]


def _may_be_sealed(found: Selection, number: int) -> bool:
    """Whether a record took from shared material what went into lots that the parts did not come from."""
    if found.records[number].kind != "LotsTransformed":
        return False
    inputs = _inputs(found.fields[number])
    made = found.touched[number][len(inputs) :]
    return found.parts.isdisjoint(inputs) and found.histories.keys().isdisjoint(made)


def _note_names(found: Selection, row: RecordRow) -> None:
    fields = found.fields[row.sequence]
    found.participants.add(row.participant)
    found.keys.add(row.key)
    found.participants.update(fields[name] for name in ("coordinator", "owner", "to") if name in fields)
    found.machines.update(fields[name] for name in ("machine",) if name in fields)
    terms = fields.get("terms")
    if terms and terms["inspector"]:
        found.participants.add(terms["inspector"])
        found.models.add(terms["model"])
    stated = fields.get("statement")
    if stated:
        found.models.add(stated["model"])
    if stated or "leaf_hash" in fields:
        found.streams.add(_raw((stated or fields)["stream"]))


def _raw(text: str) -> bytes:
    return bytes.fromhex(text[2:])
