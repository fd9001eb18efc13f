"""Footprints of lots, as their documents in the private book state them, and the energy of assignments, as their
register readings say.

Not established: that a lot's footprint follows from the readings. A bundle of the lot and its verification show that.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from millmark.ledger import footprint as emissions
from millmark.ledger.bundle import Bundle, EvidenceEntryShown
from millmark.ledger.claims import parse_claims
from millmark.ledger.errors import ClaimsError, FootprintError, NotFoundError, RegisterError
from millmark.ledger.events import HISTORY_EVENTS, Event, decode
from millmark.ledger.events.orders import AssignmentFinished, AssignmentStarted
from millmark.ledger.evidence import EvidenceEntry, build_leaf_data
from millmark.ledger.ids import SubjectKind
from millmark.ledger.merkle import leaf_hash
from millmark.ledger.provenance.answers import Printable
from millmark.ledger.provenance.listings import find_assignment
from millmark.ledger.provenance.reader import Reader, build_unknown, open_reader
from millmark.ledger.store import Store
from millmark.ledger.store.rows import LotInputRow, LotOutputRow, LotRow, StreamRow, TransformationRow

_MAX_LOTS = 1000


@dataclass(frozen=True, slots=True)
class ContributionOf(Printable):
    """One contribution to a footprint."""

    source: emissions.Source
    lot: bytes
    """The lot in whose footprint it is, or which it is."""
    identifier: str | None
    assignment: int | None
    what: str | None
    wh: int
    location_mg: int
    market_mg: int
    metered_mg: int


@dataclass(frozen=True, slots=True)
class FactorOf(Printable):
    """An emission factor that counts in a footprint."""

    key: str
    kind: str
    value: int
    unit: str
    source: str
    region: str
    first_day: str
    last_day: str


@dataclass(frozen=True, slots=True)
class LotFootprint(Printable):
    """Energy and emissions of a lot up to its last transformation or rework, for all of it as it was made."""

    lot: bytes
    identifier: str | None
    record: int
    """The record that commits to the document."""
    quantity: int
    """When it was made."""
    unit: str
    taken: int
    """What other lots were made of it so far: the next one takes what follows."""
    scrapped: int
    wh: int
    location_mg: int
    market_mg: int
    metered_mg: int
    """The part of `location_mg` that is of metered operations."""
    recycled_permille: int | None
    """How much of the material in g that was stated was used before; None if none was stated."""
    first_time: int
    """Seconds since 1970: of the earliest footprint that is counted in it and known here."""
    time: int
    """Time of this footprint, and of its factors."""
    table: bytes
    """Digest of the factor table."""
    factors: tuple[FactorOf, ...]
    """Those that count in it and in what went into it, as far as that is known here."""
    contributions: tuple[ContributionOf, ...]
    """They add up to the amounts above."""


@dataclass(frozen=True, slots=True)
class AssignmentEnergy(Printable):
    """The energy of an assignment by its register readings."""

    assignment: int
    stream: bytes
    start: int
    finish: int
    """Indexes of the entries."""
    quantity: int | None
    """What the operation made that is good, if the reading says so."""
    made: int
    """What lots were made under the assignment so far: the next one has the energy of what follows."""
    wh: int


def lot_footprint(store: Store, subject: bytes, viewer: int | None) -> LotFootprint:
    """The footprint of a lot. Raises NotFoundError if the lot, or a footprint of it, does not exist for the viewer."""
    with open_reader(store, viewer) as reader:
        if reader.rows.get(LotRow, subject) is None or not reader.visible(SubjectKind.LOT, [subject]):
            raise build_unknown(reader, subject)
        return build_lot_footprint(reader, subject)


def build_lot_footprint(reader: Reader, subject: bytes) -> LotFootprint:
    """As `lot_footprint`, of a lot that may be shown. Raises NotFoundError if no footprint of it is stored."""
    known, waiting = dict[bytes, list[tuple[int, emissions.Footprint]]](), [subject]
    while waiting and len(known) < _MAX_LOTS:
        lot = waiting.pop()
        if lot not in known:
            known[lot] = list(_stored(reader, lot))
            waiting += [share.lot for _, found in known[lot] for share in found.shares]
    if not known[subject]:
        raise NotFoundError("no footprint of this lot is stored here", hint="its maker states it in the lot's claims")
    record, footprint = known[subject][-1]
    return _answer(reader, subject, record, footprint, {lot: [one for _, one in found] for lot, found in known.items()})


def _answer(
    reader: Reader,
    subject: bytes,
    record: int,
    footprint: emissions.Footprint,
    known: Mapping[bytes, Sequence[emissions.Footprint]],
) -> LotFootprint:
    row, every = reader.lot(subject), [one for found in known.values() for one in found]
    found = emissions.find_contributions(subject, known)
    reader.name([subject, *(one.lot for one in found)])
    taken = sum(one.quantity for one in reader.rows.find(LotInputRow, lot=subject))
    return LotFootprint(
        lot=subject,
        identifier=reader.identifier(subject),
        record=record,
        quantity=row.quantity_created,
        unit=row.unit.rstrip(b"\0").decode(errors="replace"),
        taken=taken,
        scrapped=row.quantity_created - taken - row.quantity,
        **asdict(footprint.totals),
        recycled_permille=_recycled(every),
        first_time=min(one.time_s for one in every),
        time=footprint.time_s,
        table=footprint.table,
        factors=tuple(_factors(every)),
        contributions=tuple(_contribution(reader, one) for one in found),
    )


def _contribution(reader: Reader, one: emissions.Contribution) -> ContributionOf:
    named = reader.identifier(one.lot)
    return ContributionOf(one.source, one.lot, named, one.assignment or None, one.what or None, **asdict(one.amounts))


def _factors(footprints: Iterable[emissions.Footprint]) -> Iterator[FactorOf]:
    every = {factor for one in footprints for factor in one.used}
    for one in sorted(every, key=lambda factor: (factor.key, factor.source, factor.first_day, factor.value)):
        days = one.first_day.isoformat(), one.last_day.isoformat()
        yield FactorOf(one.key, one.kind.value, one.value, one.unit, one.source, one.region, *days)


def _recycled(footprints: Iterable[emissions.Footprint]) -> int | None:
    """Recycled material of all that these footprints state by mass, in per mille, however much of it was taken; None if
    they state none."""
    whole, used = 0, 0
    for footprint in footprints:
        units = {one.key: one.amount_unit for one in footprint.used}
        for other in footprint.other:
            if units[other.factor] == "g":
                whole += other.amount
                used += other.amount if other.recycled else 0
    return used * 1000 // whole if whole else None


def _stored(reader: Reader, lot: bytes) -> Iterator[tuple[int, emissions.Footprint]]:
    """The footprints of a lot, with their records: of its creation, and of the reworks that state one."""
    row = reader.rows.get(LotRow, lot)
    if row is None:
        return
    reworks = (one.sequence for one in reader.rows.find(LotOutputRow, lot=lot) if one.sequence > row.sequence)
    roots = [(row.sequence, row.claims_root)]
    roots += [(one, reader.need(TransformationRow, one).claims_root) for one in sorted(reworks)]
    for record, root in roots:
        document = reader.book.document(root)
        if document is None:
            continue
        try:
            yield record, emissions.parse_footprint(parse_claims(json.loads(document)).part(emissions.PATH))
        except (ClaimsError, FootprintError):
            continue  # none, erased in part, or one that contradicts itself: none that could be relied upon


def assignment_energy(store: Store, sequence: int, viewer: int | None) -> AssignmentEnergy:
    """The energy of an assignment by its two register readings, before or after it is finished.

    Raises NotFoundError if the assignment does not exist for the viewer, or its readings are not stored here,
    RegisterError if they cannot be those of one register.
    """
    with open_reader(store, viewer) as reader:
        row = find_assignment(reader, sequence)
        for stream in reader.rows.find(StreamRow, machine=row.machine):
            finish = _reading(reader, stream.subject, sequence, emissions.Moment.FINISH)
            if finish is None or finish[1].start is None:
                continue
            start = _entry_at(reader, stream.subject, finish[1].start)
            if start is not None:
                return AssignmentEnergy(
                    assignment=sequence,
                    stream=stream.subject,
                    start=finish[1].start,
                    finish=finish[0],
                    quantity=finish[1].quantity,
                    made=reader.rows.total(LotRow, "quantity_created", assignment=sequence),
                    wh=emissions.wh_between(start, finish[1]),
                )
    raise NotFoundError(
        f"the register readings of assignment {sequence} are not stored here", hint="take them at start and finish"
    )


def _reading(
    reader: Reader, stream: bytes, assignment: int, moment: emissions.Moment
) -> tuple[int, emissions.RegisterEntry] | None:
    index = reader.book.find_event(stream, emissions.register_event_id(assignment, moment))
    entry = None if index is None else _entry_at(reader, stream, index)
    return None if index is None or entry is None else (index, entry)


def _entry_at(reader: Reader, stream: bytes, index: int) -> emissions.RegisterEntry | None:
    found: EvidenceEntry | None = reader.book.evidence_entry(stream, index)
    try:
        return None if found is None else emissions.parse_register_entry(found.entry)
    except RegisterError:
        return None


# Register readings that another company disclosed in a bundle. Whoever holds them may disclose them further, with what
# was made of those lots.


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
        start, reading = shown.get(starts.get(event.assignment, 0)), emissions.parse_register_entry(finish.entry)
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
        return shown is not None and emissions.is_register_alone(shown.entry)
    except RegisterError:
        return False


def _entry(index: int, shown: EvidenceEntryShown) -> EvidenceEntry:
    leaf = leaf_hash(build_leaf_data(shown.kind, shown.salt, shown.entry))
    return EvidenceEntry(index, shown.salt, shown.entry, leaf, shown.kind)
