"""The workload: unique events of several machines, in a form that the ledger accepts repeatedly.

An event is a proposed revision of its machine's order, identified by its claims root. The contract does not refuse
repetitions, so a record that is sent twice shows up twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from millmark.ledger.canonical import sha256
from millmark.ledger.chain import Chain, Deployment, Node, Transport, deploy
from millmark.ledger.chain.profiles import EngineProfile
from millmark.ledger.ids import SubjectKind, subject
from millmark.ledger.keys import LocalSigner
from millmark.ledger.records import AcceptKey, Admit, OrderTerms, PlaceOrder, ProposeRevision, Record, Role
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.submit import Submitter
from millmark.services.store import open_store

_MONEY_WEI = 10**22
_DUE_AT = 4_000_000_000
_MACHINES = 4
_BUYER, _COORDINATOR = 1, 2


@dataclass(frozen=True, slots=True)
class Event:
    """One report of a machine. `number` counts the machine's events from 0."""

    key: str
    machine: int
    """Number of the machine, whose events must be on the ledger in order. Several machines may share an order."""
    number: int

    @property
    def root(self) -> bytes:
        """Claims root of the event's record, 32 bytes."""
        return sha256(self.key.encode())


@dataclass(frozen=True, slots=True)
class Site:
    """A deployed ledger with one order per machine, and the key that reports."""

    deployment: Deployment
    profile: EngineProfile
    signer: LocalSigner
    orders: tuple[bytes, ...]
    records: int
    """Number of records on the ledger before the first event."""

    def connect(self, transport: Transport) -> Chain:
        return Chain(Node(transport), self.profile, self.deployment)

    def record(self, event: Event) -> Record:
        return ProposeRevision(self.orders[event.machine % len(self.orders)], _terms(event.root))


def build_events(count: int, prefix: str = "event") -> list[Event]:
    """Builds `count` events, for the machines in turn."""
    return [Event(f"{prefix}-{place}", place % _MACHINES, place // _MACHINES) for place in range(count)]


def build_signer(seed: int, name: str) -> LocalSigner:
    """A key derived from the seed, for the lab only: anyone can compute it."""
    return LocalSigner.from_bytes(sha256(f"fault lab/{seed}/{name}".encode()))


def founding_keys(seed: int) -> tuple[LocalSigner, LocalSigner, LocalSigner]:
    """The keys of owner, buyer and coordinator, which send the transactions of `found_site`."""
    owner, buyer, coordinator = (build_signer(seed, name) for name in ("owner", "buyer", "coordinator"))
    return owner, buyer, coordinator


def found_site(folder: Path, transport: Transport, profile: EngineProfile, seed: int) -> Site:
    """Deploys the contracts, admits two companies and places the orders, without faults. Where the node gives no money,
    the `founding_keys` have to have it."""
    node = Node(transport)
    owner, signer, other = founding_keys(seed)
    if profile.faucet:
        for key in (owner, signer, other):
            node.fund(key.address, _MONEY_WEI)
    deployment = deploy(node, profile, owner)
    chain = Chain(node, profile, deployment)
    hashes = [sha256(f"order/{machine}".encode()) for machine in range(_MACHINES)]
    # In a store of its own, so that the store under test contains nothing but the events.
    with open_store(f"sqlite:///{folder / 'founding.sqlite'}") as store:
        outbox = Outbox(store)
        admissions: list[Record] = [
            Admit(int(role), key.address, bytes(32)) for role, key in ((Role.BUYER, signer), (Role.COORDINATOR, other))
        ]
        _record(Submitter(chain, outbox, owner), "admit", admissions)
        for number, key in ((_BUYER, signer), (_COORDINATOR, other)):
            _record(Submitter(chain, outbox, key), f"accept-{number}", [AcceptKey(number)])
        _record(
            Submitter(chain, outbox, signer),
            "place",
            [PlaceOrder(each, _terms(bytes(32))) for each in hashes],
        )
    orders = tuple(subject(SubjectKind.ORDER, _BUYER, each) for each in hashes)
    return Site(deployment, profile, signer, orders, _MACHINES)


def _record(submitter: Submitter, name: str, records: list[Record]) -> None:
    submitter.submit([(f"{name}-{place}", record) for place, record in enumerate(records)])
    submitter.drain()


def _terms(root: bytes) -> OrderTerms:
    return OrderTerms(1, _COORDINATOR, (), _DUE_AT, 0, bytes(3), root)
