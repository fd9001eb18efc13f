"""What companies do in a random world: honestly, wrongly, in collusion, or not at all. The contracts refuse what may
not be; what they take happened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from millmark.ledger.canonical import sha256
from millmark.ledger.evidence import (
    EvidenceEntry,
    LeafKind,
    build_window_commitment,
    build_window_entry,
)
from millmark.ledger.ids import SubjectKind
from millmark.ledger.records import (
    AcceptAssignment,
    AcceptCustody,
    AcceptOrder,
    AllocateLot,
    CancelAssignment,
    CommissionLot,
    CompleteOrder,
    ConfirmDelivery,
    DeallocateLot,
    DemandOpening,
    Disposition,
    FinishAssignment,
    Gate,
    Input,
    Item,
    Note,
    NoteKind,
    OfferCustody,
    OrderTerms,
    Output,
    PackLots,
    PlaceOrder,
    ProposeAssignment,
    QuarantineLot,
    ReceiveLot,
    Reinstate,
    ReleaseLot,
    ReturnLot,
    RevokeCertificate,
    Rework,
    ReworkLot,
    ScrapLot,
    StartAssignment,
    Statement,
    Suspend,
    Transformation,
    TransformationKind,
    TransformLots,
    UnpackLots,
    Verdict,
    WaiveGate,
    WithdrawModel,
)
from millmark.quality.inference import Inference, pack_window
from millmark.services.demo.consortium import Company
from tests.proofs.truth.world import BENCHES, MACHINES, RefusedError, TruthWorld, model_digest
from tests.support.bundle_world import GRAM, NOTHING, PIECE, YEAR_S, Inspection, hash_of

DAY_S = 86_400
MAKING = ("forge", "mill", "line", "cell")


@dataclass
class Job:
    """An assignment of an order's operation, and how far it is."""

    order: bytes
    operation: int
    number: int
    machine: str
    state: str = "accepted"


@dataclass
class Choices:
    """What there is to choose from. It serves the choice only, and may be wrong: then the contract refuses."""

    world: TruthWorld
    holders: dict[bytes, str] = field(default_factory=dict)
    """The company that has each lot."""
    orders: dict[bytes, bytes] = field(default_factory=dict)
    """The order of each lot."""
    placed: list[bytes] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    inside: dict[bytes, bytes] = field(default_factory=dict)
    amounts: dict[bytes, int] = field(default_factory=dict)
    units: dict[bytes, bytes] = field(default_factory=dict)
    count: int = 0

    def chance(self, of_one: float) -> bool:
        return self.world.choose.random() < of_one

    def lot(self) -> bytes:
        return self.world.choose.choice(list(self.holders))

    def held(self) -> tuple[bytes, Company]:
        """A lot and the company that has it."""
        lot = self.lot()
        return lot, self.world.company(self.holders[lot])

    def job(self, state: str) -> Job:
        return self.world.choose.choice([one for one in self.jobs if one.state == state])

    def beside(self, lot: bytes) -> list[bytes]:
        """What the same company has."""
        return [one for one, name in self.holders.items() if name == self.holders[lot] and one != lot]

    def operation(self, lot: bytes) -> int:
        """An operation of the lot's order that its holder has under way; any if there is none."""
        found = [one for one in self.jobs if one.state == "started" and one.order == self.order_of(lot)]
        mine = [one.operation for one in found if MACHINES[one.machine] == self.holders[lot]]
        return self.world.choose.choice(mine or [0, 1])

    def order_of(self, lot: bytes) -> bytes:
        return self.orders.get(lot, NOTHING)

    def new_name(self, kind: str) -> str:
        self.count += 1
        return f"{kind}-{self.count}"

    def document(self, text: str) -> bytes:
        return self.world.document({"text": text}) if self.chance(0.3) else NOTHING

    def take_over(self, lot: bytes, name: str, holder: str, amount: tuple[int, bytes], order: bytes = NOTHING) -> None:
        self.world.lots[name], self.holders[lot] = lot, holder
        self.amounts[lot], self.units[lot] = amount
        if order != NOTHING:
            self.orders[lot] = order


class LotActs(Choices):
    # Lots

    def receive(self) -> None:
        world, owner = self.world, self.world.owner_of(self.world.choose.choice(MAKING))
        name = self.new_name("stock")
        identity = world.named(SubjectKind.LOT, owner, name)
        quantity, unit = (40, GRAM) if self.chance(0.4) else (10, PIECE)
        world.act(owner, ReceiveLot(hash_of(identity), quantity, unit, self.document("a supplier's delivery")))
        self.take_over(identity.subject, name, owner.name, (quantity, unit))

    def commission(self) -> None:
        job, world = self.job("started"), self.world
        owner, name = world.owner_of(job.machine), self.new_name("piece")
        identity = world.named(SubjectKind.LOT, owner, name)
        quantity = world.choose.choice([1, 1, 1, 4])
        world.act(owner, CommissionLot(hash_of(identity), job.order, job.operation, quantity, PIECE, NOTHING))
        self.take_over(identity.subject, name, owner.name, (quantity, PIECE), job.order)

    def transform(
        self, kind: TransformationKind, inputs: dict[bytes, tuple[int, bool]], quantities: list[int], order: bytes,
        operation: int = 0, unit: bytes = PIECE, yields: tuple[int, int] = (1, 1),
    ) -> None:  # fmt: skip
        world, maker = self.world, self.world.company(self.holders[next(iter(inputs))])
        names = [self.new_name("made") for _ in quantities]
        made = [world.named(SubjectKind.LOT, maker, name) for name in names]
        change = Transformation(
            kind=kind, order=order, operation=operation, unit=unit, output_unit=PIECE, loss=0,
            yield_in=yields[0], yield_out=yields[1], claims_root=self.document(kind.name),
            inputs=tuple(Input(lot, self.order_of(lot), *inputs[lot]) for lot in sorted(inputs)),
            outputs=tuple(
                Output(hash_of(one), quantity, PIECE, NOTHING) for one, quantity in zip(made, quantities, strict=True)
            ),
        )  # fmt: skip
        world.act(maker, TransformLots(change))
        for taken, (quantity, _) in inputs.items():
            self.amounts[taken] -= quantity
            if not self.amounts[taken]:
                del self.holders[taken]
        for name, identity, quantity in zip(names, made, quantities, strict=True):
            self.take_over(identity.subject, name, maker.name, (quantity, PIECE), order)

    def convert(self) -> None:
        """Stock becomes pieces: under an assignment, if the company has one, or else for stock."""
        lot, company = self.held()
        unit = self.units[lot]
        taken, yields = (20, (10, 1)) if unit == GRAM else (min(2, self.amounts[lot]), (1, 1))
        made = [1] * (taken * yields[1] // yields[0])
        jobs = [one for one in self.jobs if one.state == "started" and MACHINES[one.machine] == company.name]
        order, operation = self.order_of(lot), 0
        if jobs:
            job = self.world.choose.choice(jobs)
            order, operation = job.order, job.operation
        self.transform(TransformationKind.CONVERSION, {lot: (taken, False)}, made, order, operation, unit, yields)

    def split(self) -> None:
        lot = self.world.choose.choice([one for one in self.holders if self.amounts[one] > 1])
        if self.units[lot] == PIECE:
            self.transform(TransformationKind.SPLIT, {lot: (2, False)}, [1, 1], self.order_of(lot))

    def merge(self) -> None:
        first = self.lot()
        second = self.world.choose.choice(self.beside(first))
        inputs = {first: (1, False), second: (1, False)}
        self.transform(TransformationKind.MERGE, inputs, [2], self.order_of(first))

    def assemble(self) -> None:
        lot = self.lot()
        used = self.world.choose.choice(self.beside(lot))
        order = self.order_of(lot)
        operation = self.operation(lot)
        inputs = {lot: (1, False), used: (1, True)}
        self.transform(TransformationKind.CONVERSION, inputs, [1], order, operation)

    def rework(self) -> None:
        """Reworks a lot in place, sometimes with a component."""
        lot, company = self.held()
        others = self.beside(lot)
        used = self.world.choose.sample(others, min(len(others), self.world.choose.randrange(2)))
        components = tuple(Input(one, self.order_of(one), 1, component=True) for one in used)
        operation, order = self.operation(lot), self.order_of(lot)
        self.world.act(company, ReworkLot(Rework(lot, order, operation, NOTHING, components)))

    def allocate(self) -> None:
        lot, company = self.held()
        job = self.job("started")
        self.world.act(company, AllocateLot(lot, job.order, job.operation, NOTHING))
        self.orders[lot] = job.order

    def deallocate(self) -> None:
        lot = self.world.choose.choice(list(self.orders))
        self.world.act(self.world.consortium.buyer, DeallocateLot(lot, self.orders[lot], NOTHING))
        del self.orders[lot]

    def pack(self) -> None:
        parent, company = self.held()
        child = self.world.choose.choice(self.beside(parent))
        self.world.act(company, PackLots(parent, (child,)))
        self.inside[child] = parent

    def unpack(self) -> None:
        child = self.world.choose.choice(list(self.inside))
        parent = self.inside[child]
        self.world.act(self.world.company(self.holders[parent]), UnpackLots(parent, (child,)))
        self.holders[child] = self.holders[parent]
        del self.inside[child]

    def scrap(self) -> None:
        lot, company = self.held()
        disposition = self.world.choose.choice([Disposition.SCRAPPED, Disposition.LOST, Disposition.RECYCLED])
        self.world.act(company, ScrapLot(lot, 1, disposition, self.document("no use")))
        self.amounts[lot] -= 1

    # Custody

    def hand_on(self) -> None:
        lot, company = self.held()
        if self.inside and self.chance(0.3):
            lot = self.world.choose.choice(list(self.inside.values()))
            company = self.world.company(self.holders[lot])
        takers = [*self.world.consortium.makers, self.world.consortium.carrier, self.world.consortium.buyer]
        taker = self.world.choose.choice([*takers, self.world.consortium.buyer])
        content = sorted(child for child, parent in self.inside.items() if parent == lot)
        items = (Item(lot, self.order_of(lot)), *(Item(one, self.order_of(one)) for one in content))
        [offer] = self.world.act(company, OfferCustody(items, taker.number, NOTHING))
        if self.chance(0.9):
            self.world.act(taker, AcceptCustody(items, offer, NOTHING))
        else:
            return
        for item in items:
            self.holders[item.lot] = taker.name

    def send_back(self) -> None:
        lot, company = self.held()
        identity = self.world.identities[lot]
        maker = self.world.by_number(identity.creator)
        [offer] = self.world.act(company, ReturnLot(lot, maker.number, hash_of(identity), NOTHING))
        self.world.act(maker, AcceptCustody((Item(lot, self.order_of(lot)),), offer, NOTHING))
        self.holders[lot] = maker.name

    def quarantine(self) -> None:
        lot, company = self.held()
        self.world.act(company, QuarantineLot(lot, self.order_of(lot), self.document("looks odd")))

    def release(self) -> None:
        lot, company = self.held()
        self.world.act(company, ReleaseLot(lot, self.order_of(lot), NOTHING))


class CertificateActs(Choices):
    def certify(self) -> None:
        """By inference: on a window of the lot, on one of another lot, or on what nobody measured; with the verdict of
        the inference, or another one."""
        lot, name = self.lot(), self.world.choose.choice(list(BENCHES))
        verdict = Verdict.PASS if self.chance(0.65) else Verdict.FAIL
        inferred = verdict if self.chance(0.8) else Verdict(3 - verdict)
        window, salt = pack_window([self.count, *range(7, 22)]), sha256(lot + self.count.to_bytes(4, "big"))
        entry = self.window(lot, BENCHES[name], build_window_commitment(salt, window))
        leaf = entry.leaf_hash if self.chance(0.9) else sha256(b"nobody measured this")
        inference = self.world.infer(
            lot, entry, inferred, salt, window, machine=BENCHES[name], model=model_digest(name), leaf=leaf
        )
        self.issue((lot,), name, self.world.models[name], verdict, inference.digest, entry, leaf, inference)

    def certify_many(self) -> None:
        """By procedure, on several lots."""
        name = self.world.choose.choice(list(BENCHES))
        lots = sorted({self.lot() for _ in range(3)})
        entry = self.window(lots[0], BENCHES[name], sha256(b"a gauge"))
        verdict = Verdict.PASS if self.chance(0.7) else Verdict.FAIL
        self.issue(tuple(lots), name, 0, verdict, sha256(entry.leaf_hash), entry, entry.leaf_hash, None)

    def window(self, lot: bytes, machine: str, commitment: bytes) -> EvidenceEntry:
        log = self.world.logs[machine]
        if log.entries and self.chance(0.2):
            return self.world.choose.choice(log.entries)
        self.count += 1
        last = log.tree.size
        entry = log.append(build_window_entry(lot, commitment, last, last, 0), kind=LeafKind.WINDOW)
        self.world.anchor(machine)
        return entry

    def issue(
        self, lots: tuple[bytes, ...], name: str, model: int, verdict: Verdict, digest: bytes, entry: EvidenceEntry,
        leaf: bytes, inference: Inference | None,
    ) -> None:  # fmt: skip
        world, machine = self.world, BENCHES[name]
        lasts = DAY_S * world.choose.choice([1, 30, 365])
        statement = Statement(
            items=tuple(Item(lot, self.order_of(lot)) for lot in lots), model=model, verdict=verdict,
            expires_at=world.now() + lasts, inference_digest=digest, claims_root=self.document("an inspection"),
            stream=world.streams[machine], leaf_index=entry.index, leaf_hash=leaf,
        )  # fmt: skip
        measured = entry if leaf == entry.leaf_hash else None
        world.issue(Inspection(world.company(name), machine, statement, measured, 0, inference))

    def certificate(self) -> tuple[int, Inspection]:
        return self.world.choose.choice(list(self.world.inspections.items()))

    def revoke(self) -> None:
        number, issued = self.certificate()
        lots = tuple(item.lot for item in issued.statement.items)
        self.world.act(issued.inspector, RevokeCertificate(lots, number, self.document("wrong")))

    def demand(self) -> None:
        number, issued = self.certificate()
        item = issued.statement.items[0]
        self.world.act(self.world.consortium.auditor, DemandOpening(item.lot, item.order, number))

    def open(self) -> None:
        """The inspector shows the inference that was demanded, or an auditor the one that differs from the verdict."""
        number, issued = self.certificate()
        if issued.inference is None or issued.entry is None:
            raise LookupError
        self.world.open(issued.inspector if self.chance(0.5) else self.world.consortium.auditor, number)


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
            (self.rework, 3), (self.certify, 12), (self.certify_many, 2), (self.revoke, 2),
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
        if leaf == entry.leaf_hash:
            world.finished[sequence] = job.machine, entry

    def entry(self, machine: str) -> EvidenceEntry:
        log = self.world.logs[machine]
        if log.entries and self.chance(0.25):
            return self.world.choose.choice(log.entries)
        entry = log.append({"force_n": self.world.choose.randrange(1000)}, kind=LeafKind.OPERATION)
        self.world.anchor(machine)
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
        self.world.act(company, Note((lot,), (NOTHING,), kind, 0, self.document("a note")))

    def correct(self) -> None:
        """Who holds a lot corrects a record of it, an own one or not."""
        lot, company = self.held()
        about = self.world.choose.choice([one for one in self.world.recorded() if lot in one.histories])
        why = self.document("said wrongly")
        self.world.act(company, Note((lot,), (NOTHING,), NoteKind.CORRECTION, about.sequence, why))

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
