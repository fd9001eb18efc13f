"""The demo's plant: machines with evidence streams and meters, received material, and the approved quality model."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Protocol

from millmark.ledger.canonical import Json, to_hex
from millmark.ledger.errors import InputError
from millmark.ledger.evidence import EvidenceEntry, EvidenceLog, LeafKind, build_window_commitment, build_window_entry
from millmark.ledger.footprint import (
    ALL,
    Amounts,
    Factor,
    FactorKind,
    FactorTable,
    Moment,
    Other,
    Own,
    Part,
    Reading,
    RegisterEntry,
    Step,
    Taken,
    build_footprint,
    build_register_data,
)
from millmark.ledger.ids import SubjectKind
from millmark.ledger.plans.call import Capability, Need, is_capable, parse_capability
from millmark.ledger.plans.plan import Row
from millmark.ledger.products import Operation, Product
from millmark.ledger.records import (
    Anchor,
    ApproveModel,
    Input,
    Item,
    OpenStream,
    ReceiveLot,
    Record,
    RegisterMachine,
    RegisterModel,
    Verdict,
)
from millmark.ledger.store import Book
from millmark.quality import Inspector
from millmark.quality.inference import pack_window
from millmark.services.demo.consortium import NOTHING, Company, Consortium, hash_of
from millmark.services.demo.given import Factory, build_factories
from millmark.services.products import Catalogue

PREFIX = "9506000"
"""GS1 company prefix that GS1 reserves for examples."""
GRAM, PIECE = b"GRM", b"H87"
_PER_FACTORY = 2
"""Number of machines of each factory."""


def with_check_digit(digits: str) -> str:
    """A GS1 key with its check digit (GS1 General Specifications, section 7.9)."""
    total = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(digits)))
    return digits + str(-total % 10)


def build_gtin(item: str) -> str:
    """The GTIN of an item reference of five digits."""
    return with_check_digit(f"0{PREFIX}{item}")


@dataclass(slots=True)
class Machine:
    """A registered machine, and its evidence log."""

    owner: Company
    name: str
    number: int
    stream: bytes
    capability: tuple[Capability, ...] = ()
    """What the claims of its registration declare."""
    log: EvidenceLog = field(default_factory=EvidenceLog)
    _kept: int = 0
    """How many entries are in the owner's book."""

    def anchor(self) -> Anchor:
        """Stores new entries in the owner's book, then builds the record that anchors the log as it is now."""
        with self.owner.store.transaction() as connection:
            Book(connection).add_evidence(self.stream, self.log.entries[self._kept :])
        self._kept = len(self.log.entries)
        return Anchor(self.stream, self.log.tree.size, self.log.tree.root())

    def note(
        self, kind: str, values: dict[str, int | str | list[int]], leaf_kind: LeafKind = LeafKind.EVENT
    ) -> EvidenceEntry:
        """Appends an entry of measured data."""
        return self.log.append({"machine": self.name, "kind": kind, **values}, kind=leaf_kind)

    def cut(self, lot: bytes, samples: Sequence[int], salt: bytes) -> EvidenceEntry:
        """Appends the event in which a lot was measured, and the window that its integers make; returns the window."""
        event = self.note("engine noise", {"lot": to_hex(lot), "unit": "1e-6", "samples": list(samples)})
        commitment = build_window_commitment(salt, pack_window(samples))
        return self.log.append(build_window_entry(lot, commitment, event.index, event.index, 0), kind=LeafKind.WINDOW)


class InspectorNode(Protocol):
    """A node of the inspector: what its test bench measures goes in, anchored evidence and certificates come out."""

    def note(self, values: Mapping[str, Json]) -> tuple[int, bytes]:
        """Has a measurement anchored that is not for the model; returns index and leaf hash of its entry."""

    def inspect(self, parts: Sequence[Item], windows: Sequence[Sequence[int]]) -> list[Verdict]:
        """Has a window of each part inspected and certified; returns the verdicts on the ledger."""

    def sum_up(self) -> tuple[Counter[str], str]:
        """How many records of each kind it made, and what it did, in a sentence."""


@dataclass(slots=True)
class Plant:
    """The machines of all factories, what they make, and the quality model."""

    product: Product
    factories: tuple[Factory, ...]
    """Factories of the three makers, in the order of `Consortium.makers`."""
    machines: list[Machine]
    """Two machines per factory, in the factories' order, then the inspector's test bench."""
    model: int
    """Number of the approved quality model."""
    inspector: Inspector
    node: InspectorNode | None = None
    """What inspects parts and certifies them; if there is none, this process does."""

    def factory(self, kind: str) -> int:
        """The factory that does a kind of operation."""
        return next(place for place, factory in enumerate(self.factories) if kind in factory.kinds)

    def find_capable(self, operation: Operation) -> list[Machine]:
        """The machines that can do an operation. Raises InputError if there is none."""
        need = Need(operation.kind, tuple(sorted(operation.values.items())))
        capable = [one for one in self.machines if is_capable(one.capability, need)]
        if not capable:
            raise InputError(f"no machine is capable of {operation.name} with {dict(operation.values)}")
        return capable

    @property
    def bench(self) -> Machine:
        return self.machines[-1]


def build_plant(consortium: Consortium, model: bytes, card: str, product: Product | None = None) -> Plant:
    """Registers the machines that the product needs, streams and the model, and has the model approved.

    Without a product, it is the crankshaft. Raises InputError for one that three factories cannot share.
    """
    product = product or Catalogue().find("crankshaft")
    factories = build_factories(product)
    inspector = Inspector(model)
    card_root = consortium.document(consortium.inspector, json.loads(card))
    with consortium.inspector.store.transaction() as connection:
        Book(connection).put_model(inspector.model_digest, model, card)
    machines, number = _install(consortium, factories, RegisterModel(inspector.model_digest, card_root))
    return Plant(product, factories, machines, number, inspector)


def _claims_of_machines(consortium: Consortium, factories: Sequence[Factory]) -> list[tuple[Company, dict[str, Json]]]:
    """Owner and claims of each machine, the test bench last."""
    found: list[tuple[Company, dict[str, Json]]] = []
    for owner, factory in zip(consortium.makers, factories, strict=True):
        for number in range(1, _PER_FACTORY + 1):
            name = f"{factory.name}-{number}"
            capability = list(factory.capability)
            found.append((owner, {"name": name, "equipment": factory.equipment, "capability": capability}))
    return [*found, (consortium.inspector, {"name": "BENCH-1", "equipment": "acoustic test bench", "capability": []})]


def _install(consortium: Consortium, factories: Sequence[Factory], model: RegisterModel) -> tuple[list[Machine], int]:
    """Registers all machines and the model, opens a stream for each machine, and has the model approved; returns the
    machines and the model's number. What needs nothing of each other goes side by side."""
    claims = _claims_of_machines(consortium, factories)
    owners, names = [owner for owner, _ in claims], [str(one["name"]) for _, one in claims]
    registrations = []
    for (owner, document), name in zip(claims, names, strict=True):
        machine = consortium.name(SubjectKind.MACHINE, owner, f"https://id.gs1.org/8004/{PREFIX}{name}")
        registrations.append(RegisterMachine(hash_of(machine), consortium.document(owner, document)))
    *numbers, model_number = _record_each(consortium, [*owners, consortium.inspector], [*registrations, model])
    report_root = consortium.document(
        consortium.auditor, {"report": "model card, data hashes and held-out metrics re-computed"}
    )
    consortium.queue(consortium.auditor, [ApproveModel(model_number, report_root)])
    streams = [
        consortium.name(SubjectKind.STREAM, owner, f"https://id.gs1.org/8004/{PREFIX}{name}-LOG")
        for owner, name in zip(owners, names, strict=True)
    ]
    openings = [OpenStream(hash_of(one), number, NOTHING) for one, number in zip(streams, numbers, strict=True)]
    for owner, places in _by_owner(owners):
        consortium.queue(owner, [openings[place] for place in places], after_others=False)
    machines = [
        Machine(owner, name, number, stream.subject, parse_capability(document["capability"]))
        for (owner, document), name, number, stream in zip(claims, names, numbers, streams, strict=True)
    ]
    return machines, model_number


def _by_owner(owners: Sequence[Company]) -> list[tuple[Company, list[int]]]:
    """Each owner once, with its places in the list."""
    found: dict[int, list[int]] = {}
    for place, owner in enumerate(owners):
        found.setdefault(owner.number, []).append(place)
    return [(owners[places[0]], places) for places in found.values()]


def _record_each(consortium: Consortium, owners: Sequence[Company], records: Sequence[Record]) -> list[int]:
    """Records one for each owner, who may come several times; returns the sequences. They need nothing of each other,
    nor of what others queued."""
    batches = _by_owner(owners)
    found = consortium.record_all(
        [(owner, [records[place] for place in places]) for owner, places in batches], after_others=False
    )
    pairs = zip(batches, found, strict=True)
    by_place = {place: number for (_, places), made in pairs for place, number in zip(places, made, strict=True)}
    return [by_place[place] for place in range(len(records))]


def receive(
    consortium: Consortium,
    company: Company,
    gtin: str,
    lots: Sequence[str],
    quantity: int,
    unit: bytes,
    footprint: Callable[[bytes, int], Mapping[str, Json]] | None = None,
) -> list[bytes]:
    """Receives material from outside with its supplier's certificate, and with `footprint` of each lot and its
    quantity, if there is any; returns the lots' subjects."""
    identities = [consortium.name(SubjectKind.LOT, company, f"https://id.gs1.org/01/{gtin}/10/{lot}") for lot in lots]
    records = []
    for identity in identities:
        claims: dict[str, Json] = {"supplier": "outside the ledger", "certificate": "EN 10204 2.2"}
        if footprint is not None:
            claims["passport"] = {"footprint": footprint(identity.subject, quantity)}
        records.append(ReceiveLot(hash_of(identity), quantity, unit, consortium.document(company, claims)))
    consortium.queue(company, records, after_others=False)
    return [identity.subject for identity in identities]


_FIRST_WH = 120_000
_IDLE_WH, _IDLE_S = 40, 120
"""What a machine uses between two jobs, and how long that takes."""
_SPREAD_WH = 7
"""How much more each next job takes than was planned, up to ten times."""
_SLOT_S = 900
_MATERIAL, _COMPONENT, _LOCATION, _MARKET = "raw-material", "component", "grid-location", "supplier-market"
_SOURCE = "illustrative value of the demonstration"


def build_table(now: int) -> FactorTable:
    """The factors of the demo, which hold in the year of `now` (Unix time in seconds) and the next."""
    year = datetime.fromtimestamp(now, UTC).year
    days = (date(year, 1, 1), date(year + 1, 12, 31))
    rows = (
        (_COMPONENT, FactorKind.MATERIAL, 450_000, "mg/piece"),
        (_LOCATION, FactorKind.LOCATION, 380_000, "mg/kWh"),
        (_MATERIAL, FactorKind.MATERIAL, 1_900_000, "mg/kg"),
        (_MARKET, FactorKind.MARKET, 120_000, "mg/kWh"),
    )
    return FactorTable(tuple(Factor(*row, _SOURCE, "DE", *days) for row in rows))


@dataclass(frozen=True, slots=True)
class Measured:
    """The two readings of an operation."""

    assignment: int
    wh: int
    finish: EvidenceEntry


@dataclass(slots=True)
class Footprints:
    """The machines' meters, whose readings are invented, and the footprints that follow from them."""

    table: FactorTable
    time_s: int
    """When the first reading is taken, Unix time."""
    amounts: dict[bytes, Amounts] = field(default_factory=dict)
    """By lot."""
    sizes: dict[bytes, int] = field(default_factory=dict)
    """By lot, what it was made with."""
    taken: dict[bytes, int] = field(default_factory=dict)
    """By lot, what was taken of it."""
    own: Amounts = field(default_factory=Amounts)
    """What the operations used by themselves, all together."""
    registers: dict[int, tuple[int, int]] = field(default_factory=dict)
    """By machine: what its meter shows, in Wh, and the time."""

    def measure(self, machine: Machine, assignment: int, row: Row, index: int) -> Measured:
        """Reads the machine's register at the start and at the finish of a planned job; both are entries of its log."""
        wh, seconds = self.registers.get(machine.number, (_FIRST_WH, self.time_s))
        wh, seconds = wh + _IDLE_WH, seconds + _IDLE_S
        used, took = row.wh + index % 10 * _SPREAD_WH, (row.end - row.start) * _SLOT_S
        start = RegisterEntry(Reading(seconds, wh, Moment.START, assignment))
        first = _note(machine, start)
        wh, seconds = wh + used, seconds + took
        reading = Reading(seconds, wh, Moment.FINISH, assignment)
        last = _note(machine, RegisterEntry(reading, start=first.index, start_hash=first.leaf_hash))
        self.registers[machine.number] = (wh, seconds)
        return Measured(assignment, used, last)

    def receive(self, lot: bytes, quantity: int, grams: int | None) -> dict[str, Json]:
        """The footprint of material from outside, by a secondary factor: its supplier stated none. `grams` is None
        for pieces."""
        other = (
            Other("raw material", _MATERIAL, grams) if grams is not None else Other("component", _COMPONENT, quantity)
        )
        return self._build(Step(made=((lot, quantity),)), lot, (), (other,))

    def make(self, lot: bytes, inputs: Sequence[Input], loss: int, measured: Measured) -> dict[str, Json]:
        """The footprint of a lot of one piece, of what went into it and the operation's energy. Called in the order in
        which the transformations are recorded: each takes what the ones before left."""
        step = Step(tuple(Taken(one.lot, one.quantity, one.component) for one in inputs), ((lot, 1),), loss=loss)
        own = Own(measured.wh, _LOCATION, _MARKET, measured.assignment)
        return self._build(step, lot, (own,), ())

    def rework(self, lot: bytes, measured: Measured) -> dict[str, Json]:
        """The footprint of a lot of one piece that is reworked: what it had, and the operation's energy."""
        own = Own(measured.wh, _LOCATION, _MARKET, measured.assignment)
        sources = {lot: (self.amounts[lot], ALL)}
        return self._account(Step(taken=(Taken(lot, 1),)), lot, sources, (own,), part=ALL)

    def _build(self, step: Step, lot: bytes, own: Sequence[Own], other: Sequence[Other]) -> dict[str, Json]:
        self.sizes[lot] = dict(step.made)[lot]
        sources = {one.lot: (self.amounts[one.lot], self._take(one)) for one in step.taken}
        return self._account(step, lot, sources, own, other)

    def _account(
        self,
        step: Step,
        lot: bytes,
        sources: Mapping[bytes, tuple[Amounts, Part]],
        own: Sequence[Own],
        other: Sequence[Other] = (),
        part: Part | None = None,
    ) -> dict[str, Json]:
        found = build_footprint(
            step, lot, sources=sources, own=own, other=other, table=self.table, time_s=self.time_s, part=part
        )
        if own:
            self.own += sum((found.amounts_of_own(one) for one in own), Amounts())
        self.amounts[lot] = found.totals
        return found.to_json()

    def _take(self, one: Taken) -> Part:
        start = self.taken.get(one.lot, 0)
        self.taken[one.lot] = start + one.quantity
        return Part(start, start + one.quantity, self.sizes[one.lot])


def _note(machine: Machine, entry: RegisterEntry) -> EvidenceEntry:
    return machine.log.append(build_register_data(entry), kind=LeafKind.OPERATION)
