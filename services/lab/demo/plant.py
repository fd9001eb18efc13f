"""The demo's plant: machines with evidence streams, received material, and the approved quality model."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from millmark.ledger.canonical import Json, to_hex
from millmark.ledger.errors import InputError
from millmark.ledger.evidence import EvidenceEntry, EvidenceLog, LeafKind, build_window_commitment, build_window_entry
from millmark.ledger.ids import SubjectKind
from millmark.ledger.plans.capability import Capability, Need, is_capable, parse_capability
from millmark.ledger.products import Operation, Product
from millmark.ledger.records import (
    Anchor,
    ApproveModel,
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
from millmark.quality.inputs import pack_window
from millmark.services.lab.demo.consortium import NOTHING, Company, Consortium, hash_of
from millmark.services.lab.demo.factories import Factory, build_factories
from millmark.services.products import Catalogue

__all__ = ["PREFIX", "InspectorNode", "Machine", "Plant", "build_gtin", "build_plant", "receive", "with_check_digit"]

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
