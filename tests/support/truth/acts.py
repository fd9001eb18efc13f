"""What companies do in a random world: honestly, wrongly, in collusion, or not at all. The contracts refuse what may
not be; what they take happened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from millmark.ledger.canonical import keccak256, sha256
from millmark.ledger.evidence import (
    EvidenceEntry,
    LeafKind,
)
from millmark.ledger.ids import SubjectKind
from millmark.ledger.records import (
    AcceptAssignment,
    AcceptOrder,
    CancelAssignment,
    CompleteOrder,
    ConfirmDelivery,
    FinishAssignment,
    Gate,
    Note,
    NoteKind,
    Opening,
    OrderTerms,
    PlaceOrder,
    ProposeAssignment,
    Reinstate,
    StartAssignment,
    Supersede,
    Suspend,
    WaiveGate,
    WithdrawModel,
)
from tests.support.bundle_world import NOTHING, YEAR_S, hash_of
from tests.support.truth.certificate_acts import CertificateActs
from tests.support.truth.choices import DAY_S, MAKING, Job
from tests.support.truth.lot_acts import LotActs
from tests.support.truth.world import BENCHES, RefusedError

__all__ = ["Acts"]


@dataclass
class Acts(LotActs, CertificateActs):
    """Chooses what is done, and does it."""

    def begin(self) -> None:
        """What every world begins with: stock, an order under way, and some pieces of it."""
        for act in (self.receive, self.receive, self.receive, self.place, self.assign, self.assign, self.assign):
            self._try(act)
        for act in (self.start, self.start, self.commission, self.commission, self.convert):
            self._try(act)

    def _try(self, act: Callable[[], None]) -> bool:
        try:
            act()
        except (RefusedError, LookupError):  # a lookup finds nothing to do it with
            return False
        return True

    def step(self) -> bool:
        """Tries one act; returns whether the contracts took it."""
        many: tuple[tuple[Callable[[], None], int], ...] = (
            (self.receive, 3), (self.place, 2), (self.assign, 3), (self.start, 6), (self.commission, 5),
            (self.finish, 3), (self.convert, 5), (self.split, 2), (self.merge, 1), (self.assemble, 3),
            (self.rework, 3), (self.make_anew, 2), (self.certify, 12), (self.certify_many, 2), (self.revoke, 2),
            (self.demand, 4), (self.open, 4), (self.wait, 2), (self.quarantine, 2), (self.release, 3), (self.pack, 2),
            (self.unpack, 1), (self.hand_on, 4), (self.send_back, 1), (self.scrap, 1), (self.note, 1),
            (self.correct, 1), (self.suspend, 1), (self.reinstate, 2), (self.withdraw_model, 1), (self.cancel, 1),
            (self.allocate, 2), (self.deallocate, 1), (self.deliver, 1), (self.waive, 2),
        )  # fmt: skip
        acts, weights = zip(*many, strict=True)
        [act] = self.world.choose.choices(acts, weights)
        return self._try(act)

    # Orders and assignments

    def place(self) -> None:
        if len(self.placed) == 2:
            raise LookupError
        world, buyer, coordinator = self.world, self.world.consortium.buyer, self.world.consortium.coordinator
        name = self.new_name("order")
        gates = tuple(self.gate(one) for one in ("Umbra Inspection", "Grey Laboratories") if self.chance(0.5))
        terms = OrderTerms(2, coordinator.number, gates, world.now() + YEAR_S, 0, bytes(3), NOTHING)
        identity = world.named(SubjectKind.ORDER, buyer, name)
        world.act(buyer, PlaceOrder(hash_of(identity), terms))
        world.act(coordinator, AcceptOrder(identity.subject, NOTHING))
        world.orders[name] = identity.subject
        self.placed.append(identity.subject)

    def gate(self, inspector: str) -> Gate:
        return Gate(self.world.company(inspector).number, self.world.models[inspector] if self.chance(0.8) else 0)

    def waive(self) -> None:
        lot = self.world.choose.choice(list(self.orders))
        inspector = self.world.company(self.world.choose.choice(["Umbra Inspection", "Grey Laboratories"]))
        waive = WaiveGate(lot, self.orders[lot], inspector.number, self.document("good enough"))
        self.world.act(self.world.consortium.buyer, waive)

    def assign(self) -> None:
        world, order = self.world, self.world.choose.choice(self.placed)
        operation, machine = world.choose.randrange(2), world.choose.choice(MAKING)
        owner = world.owner_of(machine)
        propose = ProposeAssignment(order, operation, world.machines[machine], NOTHING)
        [number] = world.act(world.consortium.coordinator, propose)
        self.jobs.append(Job(order, operation, number, machine))
        world.act(owner, AcceptAssignment(order, operation, number, NOTHING))

    def start(self) -> None:
        job, world = self.job("accepted"), self.world
        start = StartAssignment(job.order, job.operation, job.number, world.streams[job.machine], NOTHING)
        world.act(world.owner_of(job.machine), start)
        job.state = "started"

    def finish(self) -> None:
        """Names a new measurement, one that another operation named, or one that nobody made."""
        job, world = self.job("started"), self.world
        entry = self.entry(job.machine)
        leaf = entry.leaf_hash if self.chance(0.85) else sha256(b"nothing was measured")
        done = FinishAssignment(job.order, job.operation, job.number, world.streams[job.machine], entry.index, leaf)
        [sequence] = world.act(world.owner_of(job.machine), done)
        job.state = "finished"
        world.finishes[sequence] = job.machine
        if leaf == entry.leaf_hash:
            world.finished[sequence] = entry

    def entry(self, machine: str) -> EvidenceEntry:
        log = self.world.logs[machine]
        if log.entries and self.chance(0.25):
            return self.world.choose.choice(log.entries)
        entry = log.append({"force_n": self.world.choose.randrange(1000)}, kind=LeafKind.OPERATION)
        self.world.add_entry(machine, entry)
        return entry

    def cancel(self) -> None:
        job = self.job("started")
        self.world.act(
            self.world.consortium.coordinator, CancelAssignment(job.order, job.operation, job.number, NOTHING)
        )
        job.state = "cancelled"

    def deliver(self) -> None:
        world, order = self.world, self.world.choose.choice(self.placed)
        world.act(world.consortium.coordinator, CompleteOrder(order, NOTHING))
        buyer = world.consortium.buyer
        lots = sorted(lot for lot, one in self.orders.items() if one == order and self.holders[lot] == buyer.name)
        world.act(buyer, ConfirmDelivery(order, tuple(lots), NOTHING))

    # Whatever else is said

    def wait(self) -> None:
        self.world.consortium.chain.node.wait(DAY_S * self.world.choose.choice([1, 3, 9]))

    def note(self) -> None:
        lot, company = self.held()
        kind = self.world.choose.choice([NoteKind.OBSERVATION, NoteKind.RECALL_NOTICE])
        self.world.act(company, Note((lot,), (NOTHING,), kind, self.document("a note")))

    def correct(self) -> None:
        """Whoever made a lot's last record marks it as corrected."""
        world, lot = self.world, self.lot()
        recorded = [one for one in world.recorded() if lot in one.histories]
        last, before = recorded[-1], world.head_before(lot)
        opening = Opening(
            before, last.topic, last.sequence, last.participant, last.key, keccak256(last.data), last.block_time, ()
        )
        company = world.by_number(last.participant)
        world.act(company, Supersede(lot, opening, self.document("said wrongly")))

    def suspend(self) -> None:
        if not self.chance(0.3):
            raise LookupError
        company = self.world.choose.choice(self.world.consortium.companies[2:])
        self.world.act(self.world.consortium.owner, Suspend(company.number, NOTHING))

    def reinstate(self) -> None:
        company = self.world.choose.choice(self.world.consortium.companies[2:])
        self.world.act(self.world.consortium.owner, Reinstate(company.number))

    def withdraw_model(self) -> None:
        if not self.chance(0.5):
            raise LookupError
        name = self.world.choose.choice(list(BENCHES))
        since = self.world.now() - DAY_S * self.world.choose.choice([0, 2, 40])
        self.world.act(self.world.company(name), WithdrawModel(self.world.models[name], since, NOTHING))
