"""Companies on the embedded chain who may be honest or not, and what they keep off the chain.

Records are sent directly, one transaction each: a world refuses many of them, and none is resubmitted.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

from millmark.ledger.canonical import sha256
from millmark.ledger.chain import EmbeddedChain, Transaction, call_data, sign_transaction
from millmark.ledger.events import Event, Recorded
from millmark.ledger.records import (
    ApproveModel,
    Contract,
    Record,
    RegisterModel,
    Role,
)
from millmark.ledger.signatures import Signer
from millmark.ledger.store import Store
from millmark.services.demo.consortium import COMPANIES, Company, found_consortium
from tests.support.bundle_world import NOTHING, BundleWorld, signers_of
from tests.support.ledger_world import Template

__all__ = ["BENCHES", "MACHINES", "RefusedError", "TruthWorld", "copy_truth_world", "model_digest"]

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
class TruthWorld(BundleWorld):
    """The companies, and how many records were made and refused, by kind."""

    choose: random.Random = field(default_factory=random.Random)
    models: dict[str, int] = field(default_factory=dict)
    """By inspector's name."""
    made: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
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


def _build(store: Store, engine: EmbeddedChain) -> TruthWorld:
    world = TruthWorld(found_consortium(store, engine, (*COMPANIES, *MORE_COMPANIES)))
    for machine in MACHINES:
        world.equip(machine)
    for name in BENCHES:
        inspector = world.company(name)
        [model] = world.act(inspector, RegisterModel(model_digest(name), NOTHING))
        world.act(world.consortium.auditor, ApproveModel(model, NOTHING))
        world.models[name] = model
    return world


def model_digest(inspector: str) -> bytes:
    """Of an inspector's model, whose bytes nobody needs here: no model is executed."""
    return sha256(inspector.encode())


_FOUNDED = Template(_build, lambda world: signers_of(world.consortium))


def copy_truth_world(store: Store, seed: int) -> TruthWorld:
    """The companies on a ledger without orders and lots, in an empty store."""
    world, _ = _FOUNDED.copy(store)
    world.choose = random.Random(seed)  # noqa: S311  # which acts a test tries
    return world
