"""Companies on the embedded chain who may be honest or not, and what they keep off the chain.

Records are sent directly, one transaction each: a world refuses many of them, and none is resubmitted.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from millmark.ledger.bundle import EvidenceEntryShown, InferenceShown, ShownEvidence
from millmark.ledger.canonical import sha256
from millmark.ledger.chain import EmbeddedChain, Transaction, call_data, sign_transaction
from millmark.ledger.events import Event, Recorded
from millmark.ledger.evidence import EvidenceEntry, EvidenceLog
from millmark.ledger.ids import SubjectKind
from millmark.ledger.records import (
    Anchor,
    ApproveModel,
    Contract,
    OpenStream,
    Record,
    RegisterMachine,
    RegisterModel,
    Role,
    Statement,
)
from millmark.ledger.signatures import Signer
from millmark.ledger.slots import inner_of, link, start_of
from millmark.ledger.store import Store
from millmark.quality.inference import Inference
from millmark.services.demo.consortium import COMPANIES, Company, found_consortium
from tests.support.bundle_world import NOTHING, BundleWorld, hash_of
from tests.support.copies import Template

__all__ = ["BENCHES", "MACHINES", "Inspected", "RefusedError", "TruthWorld", "copy_truth_world", "model_digest"]

_GAS = 2_500_000
MORE_COMPANIES = (("Grey Laboratories", Role.INSPECTOR), ("Dune Works", Role.MANUFACTURER | Role.INSPECTOR))
MACHINES = {
    "forge": "Alder Forge",
    "mill": "Birch Machining",
    "line": "Cedar Assembly",
    "cell": "Dune Works",
    "bench": "Umbra Inspection",
    "booth": "Grey Laboratories",
}
"""Whose each machine is."""
BENCHES = {"Umbra Inspection": "bench", "Grey Laboratories": "booth", "Dune Works": "cell"}
"""On which machine each inspector measures; Dune Works on the one that it makes parts on."""


class RefusedError(Exception):
    """The contract refused a record."""


@dataclass
class Inspected:
    """What an inspector keeps about a certificate."""

    inspector: str
    statement: Statement
    entry: EvidenceEntry | None
    """The entry that it names; None if there is none with the leaf hash that it states."""
    anchor_size: int
    inference: Inference | None
    """None by procedure."""


@dataclass
class TruthWorld(BundleWorld):
    """The companies, and how many records were made and refused, by kind."""

    choose: random.Random = field(default_factory=random.Random)
    models: dict[str, int] = field(default_factory=dict)
    """By inspector's name."""
    issues: dict[int, Inspected] = field(default_factory=dict)
    """By certificate."""
    finishes: dict[int, str] = field(default_factory=dict)
    """The machine of each record that finished an operation."""
    made: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    anchored: dict[str, int] = field(default_factory=dict)
    """How many entries of each machine's stream are on the ledger: a suspended company anchors none."""
    counts: dict[Contract, int] = field(default_factory=dict)
    nonces: Counter[bytes] = field(default_factory=Counter)
    _log: list[Recorded[Event]] = field(default_factory=list)
    _read_to: int = -1

    def company(self, name: str) -> Company:
        return next(one for one in self.consortium.companies if one.name == name)

    def by_number(self, number: int) -> Company:
        return self.consortium.companies[number - 1]

    def owner_of(self, machine: str) -> Company:
        return self.company(MACHINES[machine])

    def act(self, company: Company, *records: Record) -> list[int]:
        """Makes the records; returns their sequences. Raises RefusedError at the first that the contract refuses."""
        return [self._send(company.signer, record) for record in records]

    def _send(self, signer: Signer, record: Record) -> int:
        chain = self.consortium.chain
        if signer.address not in self.nonces:
            self.nonces[signer.address] = chain.node.transaction_count(signer.address)
        nonce = self.nonces[signer.address]
        self.nonces[signer.address] += 1
        to = chain.address(record.contract)
        sent = sign_transaction(Transaction(chain.chain_id, nonce, 10**9, 10**11, _GAS, to, call_data(record)), signer)
        chain.node.send(sent.raw)
        receipt = chain.node.receipt(sent.hash)
        kind = type(record).__name__
        if receipt is None or not receipt.succeeded:
            self.refused[kind] += 1
            raise RefusedError(kind)
        self.made[kind] += 1
        if record.contract not in self.counts:
            self.counts[record.contract] = chain.sequence(record.contract) - 1
        self.counts[record.contract] += 1
        return self.counts[record.contract]

    def everything(self) -> list[Recorded[Event]]:
        """All records of both contracts, in the order of their blocks."""
        chain = self.consortium.chain
        last = chain.final_number()
        for number in range(self._read_to + 1, last + 1):
            self._log += chain.recorded(chain.header(number))
        self._read_to = last
        return self._log

    def recorded(self) -> list[Recorded[Event]]:
        return [one for one in self.everything() if one.contract is Contract.LEDGER]

    def add_entry(self, machine: str, entry: EvidenceEntry) -> None:
        """Anchors a machine's log after an entry was added to it."""
        log = self.logs[machine]
        assert log.entries[entry.index] is entry
        self.act(self.owner_of(machine), Anchor(self.streams[machine], log.tree.size, log.tree.root()))
        self.anchored[machine] = log.tree.size

    def head_before(self, lot: bytes) -> bytes:
        """The head of a lot's history before its last record."""
        chain = self.consortium.chain
        head = start_of(chain.chain_id, chain.ledger, chain.ledger_id, lot)
        for record in [one for one in self.recorded() if lot in one.histories][:-1]:
            inner = inner_of(
                sequence=record.sequence,
                participant=record.participant,
                key=record.key,
                data=record.data,
                block_time=record.block_time,
            )
            head = link(head, record.topic, inner)
        return head

    def measured(self) -> list[int]:
        return [number for number, issued in self.issues.items() if issued.entry is not None]

    def evidence_of(self, certificate: int, *, shown: bool = True) -> ShownEvidence:
        issued = self.issues[certificate]
        machine, entry = BENCHES[issued.inspector], issued.entry
        tree = self.logs[machine].tree
        assert entry is not None
        return ShownEvidence(
            record=certificate,
            inclusion=tuple(tree.inclusion_proof(entry.index, issued.anchor_size)),
            consistency=tuple(tree.consistency_proof(issued.anchor_size, self.anchored[machine])),
            shown=EvidenceEntryShown(entry.kind, entry.salt, entry.entry) if shown else None,
        )

    def finish_evidence_of(self, record: int) -> ShownEvidence:
        entry, machine = self.finished[record], self.finishes[record]
        inclusion = self.logs[machine].tree.inclusion_proof(entry.index, self.anchored[machine])
        opened = EvidenceEntryShown(entry.kind, entry.salt, entry.entry)
        return ShownEvidence(record, tuple(inclusion), (), opened)

    def inference_of(self, certificate: int) -> InferenceShown:
        inference = self.issues[certificate].inference
        assert inference is not None
        return InferenceShown(certificate, inference.salt, inference.window, inference.logits)

    def lied(self, certificate: int) -> bool:
        """Whether there is no inference that the certificate's verdict follows from."""
        issued = self.issues[certificate]
        return issued.inference is None or int(issued.inference.verdict) != issued.statement.verdict


def _build(store: Store, engine: EmbeddedChain) -> TruthWorld:
    world = TruthWorld(found_consortium(store, engine, (*COMPANIES, *MORE_COMPANIES)))
    for name, owner_name in MACHINES.items():
        owner = world.company(owner_name)
        machine = world.named(SubjectKind.MACHINE, owner, name)
        [world.machines[name]] = world.act(owner, RegisterMachine(hash_of(machine), NOTHING))
        stream = world.named(SubjectKind.STREAM, owner, f"{name}-log")
        world.act(owner, OpenStream(hash_of(stream), world.machines[name], NOTHING))
        world.streams[name], world.logs[name] = stream.subject, EvidenceLog()
    for name in BENCHES:
        inspector = world.company(name)
        [model] = world.act(inspector, RegisterModel(model_digest(name), NOTHING))
        world.act(world.consortium.auditor, ApproveModel(model, NOTHING))
        world.models[name] = model
    return world


def model_digest(inspector: str) -> bytes:
    """Of an inspector's model, whose bytes nobody needs here: no model is executed."""
    return sha256(inspector.encode())


def _signers(world: TruthWorld) -> Iterator[Signer]:
    yield world.consortium.owner.signer
    for company in world.consortium.companies:
        yield company.signer


_FOUNDED = Template(_build, _signers)


def copy_truth_world(store: Store, seed: int) -> TruthWorld:
    """The companies on a ledger without orders and lots, in an empty store."""
    world, _ = _FOUNDED.copy(store)
    world.choose = random.Random(seed)  # noqa: S311  # which acts a test tries
    return world
