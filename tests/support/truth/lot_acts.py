"""What companies do with lots in a random world."""

from __future__ import annotations

from millmark.ledger.ids import SubjectKind
from millmark.ledger.records import (
    AcceptCustody,
    AcceptInPart,
    AllocateLot,
    CommissionLot,
    DeallocateLot,
    Disposition,
    Input,
    Item,
    OfferCustody,
    Output,
    PackLots,
    QuarantineLot,
    ReceiveLot,
    ReleaseLot,
    ReturnLot,
    Rework,
    ReworkLot,
    ScrapLot,
    Transformation,
    TransformationKind,
    TransformLots,
    UnpackLots,
)
from tests.support.bundle_world import GRAM, NOTHING, PIECE, hash_of
from tests.support.truth.choices import MAKING, Choices
from tests.support.truth.world import MACHINES

__all__ = ["LotActs"]


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

    def make_anew(self) -> None:
        """Reworks a lot into another one, with a name of its own."""
        lot = self.lot()
        operation = self.operation(lot)
        self.transform(TransformationKind.REWORK, {lot: (1, False)}, [1], self.order_of(lot), operation)

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
        if self.chance(0.1):
            self.world.act(taker, AcceptInPart(items, offer, 0, NOTHING))
        elif self.chance(0.9):
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
