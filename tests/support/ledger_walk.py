"""Records as the contracts would allow them, chosen at random, on the ledger of tests/support/fake_ledger.py."""

from __future__ import annotations

import random
from collections.abc import Callable

from millmark.ledger.records import (
    AssignmentState,
    CertificateState,
    Gate,
    LotState,
    OrderState,
    TransformationKind,
    Verdict,
)
from tests.support.fake_ledger import FakeLedger

__all__ = ["BUYER", "COORDINATOR", "INSPECTOR", "MAKER", "OTHER", "PARTIES", "Walk"]

PARTIES = (1, 2, 3, 4, 5)
BUYER, COORDINATOR, MAKER, INSPECTOR, OTHER = PARTIES


class Walk:
    """Chooses among what the contracts would allow."""

    def __init__(self, choose: random.Random) -> None:
        self.choose = choose
        self.fake = FakeLedger()
        self.count = 0
        for party in PARTIES:
            self.fake.admit(party)
        self.machines = [self.fake.register_machine(MAKER, name) for name in "ab"]
        self.models = [self.fake.register_model(INSPECTOR, "a"), self.fake.publish_model(INSPECTOR, "b")]
        for model in self.models:
            self.fake.approve_model(COORDINATOR, model)
        self.stream = self.fake.open_stream(self.machines[0], "s")
        self.fake.receive("first", MAKER, 100)

    def step(self) -> None:
        self.count += 1
        actions: list[Callable[[], None]] = [
            self.place, self.assign, self.commission, self.receive, self.transform, self.rework, self.scrap,
            self.pack, self.unpack, self.quarantine, self.release, self.offer, self.answer, self.certify, self.revoke,
            self.send_back, self.reclaim, self.waive,
            self.anchor, self.open, self.demand, self.rework_in_place, self.allocate, self.deallocate,
        ]  # fmt: skip
        self.choose.choice(actions)()
        if self.choose.random() < 0.4:
            self.fake.chain.mine(self.choose.randint(1, 3))

    def lots(self, *states: LotState, packed: bool = False) -> list[bytes]:
        chosen = self.fake.lots.items()
        return [name for name, lot in chosen if lot.state in states and (packed or not lot.parent)]

    def one(self, *states: LotState, **kinds: bool) -> bytes | None:
        found = self.lots(*states, **kinds)
        return self.choose.choice(found) if found else None

    def empty(self, *states: LotState) -> bytes | None:
        found = [name for name in self.lots(*states) if not self.fake.lots[name].contents]
        return self.choose.choice(found) if found else None

    def order(self, *states: OrderState) -> bytes | None:
        found = [name for name, order in self.fake.orders.items() if order.state in states]
        return self.choose.choice(found) if found else None

    def place(self) -> None:
        order = self.order(OrderState.PLACED)
        if order and self.choose.random() < 0.7:
            self.fake.accept_order(order)
        elif order:
            self.fake.move_order(order, "OrderCancelled", BUYER, OrderState.CANCELLED)
        else:
            gates = (Gate(INSPECTOR, self.models[0]), Gate(OTHER))[: self.choose.randrange(3)]
            self.fake.place(f"o{self.count}", BUYER, COORDINATOR, *gates, operations=2)

    def assign(self) -> None:
        order = self.order(OrderState.ACCEPTED, OrderState.IN_PRODUCTION)
        if order is None:
            return
        operation = self.choose.randrange(2)
        current = self.fake.assignments.get((order, operation))
        state = current.state if current else AssignmentState.NONE
        if state in (AssignmentState.PROPOSED, AssignmentState.ACCEPTED, AssignmentState.STARTED):
            if self.choose.random() < 0.2:
                self.fake.move_assignment(order, operation, "AssignmentCancelled", AssignmentState.CANCELLED)
            elif state is AssignmentState.PROPOSED and self.choose.random() < 0.3:
                self.fake.move_assignment(order, operation, "AssignmentDeclined", AssignmentState.DECLINED)
            elif state is AssignmentState.PROPOSED:
                self.fake.accept(order, operation)
            elif state is AssignmentState.ACCEPTED:
                self.fake.start(order, operation)
            else:
                self.fake.finish(order, operation)
        else:
            self.fake.propose(order, operation, self.choose.choice(self.machines))

    def started(self) -> tuple[bytes, int] | None:
        live = [name for name, entry in self.fake.assignments.items() if entry.state is AssignmentState.STARTED]
        return self.choose.choice(live) if live else None

    def commission(self) -> None:
        if found := self.started():
            self.fake.commission(f"c{self.count}", found[0], 8, found[1])

    def receive(self) -> None:
        self.fake.receive(f"r{self.count}", self.choose.choice(PARTIES), 10)

    def transform(self) -> None:
        lot = self.empty(LotState.HELD)
        if lot is None or self.fake.lots[lot].quantity < 2:
            return
        order = self.fake.lots[lot].order
        part = self.choose.randint(2, self.fake.lots[lot].quantity)
        outputs = {f"t{self.count}a": 1, f"t{self.count}b": part - 1}
        self.fake.transform(TransformationKind.SPLIT, {lot: part}, outputs, order=order)

    def rework(self) -> None:
        if (lot := self.empty(LotState.QUARANTINED)) is None or self.fake.lots[lot].order:
            return
        taken = self.choose.randint(1, self.fake.lots[lot].quantity)
        self.fake.transform(TransformationKind.REWORK, {lot: taken}, {f"w{self.count}": taken})

    def rework_in_place(self) -> None:
        if lot := self.empty(LotState.HELD, LotState.QUARANTINED):
            holder = self.fake.lots[lot].custodian
            others = [
                name
                for name in self.lots(LotState.HELD)
                if name != lot and self.fake.lots[name].custodian == holder and not self.fake.lots[name].contents
            ]
            self.fake.rework(lot, *self.choose.sample(others, min(len(others), self.choose.randint(0, 2))))

    def allocate(self) -> None:
        lot, order = self.one(LotState.HELD), self.order(OrderState.IN_PRODUCTION)
        if lot and order and not self.fake.lots[lot].order:
            self.fake.allocate(lot, order)

    def deallocate(self) -> None:
        lot = self.one(LotState.HELD, LotState.QUARANTINED)
        if lot and self.fake.lots[lot].order:
            self.fake.deallocate(lot)

    def scrap(self) -> None:
        if lot := self.empty(LotState.HELD, LotState.QUARANTINED):
            self.fake.scrap(lot, self.choose.randint(1, self.fake.lots[lot].quantity))

    def pack(self) -> None:
        parent = self.one(LotState.HELD)
        holder = self.fake.lots[parent].custodian if parent else 0
        others = [lot for lot in self.lots(LotState.HELD) if lot != parent and self.fake.lots[lot].custodian == holder]
        if parent and others:
            self.fake.pack(parent, *self.choose.sample(others, min(2, len(others))))

    def unpack(self) -> None:
        inside = [(lot.parent, name) for name, lot in self.fake.lots.items() if lot.parent]
        parent, child = self.choose.choice(inside) if inside else (None, None)
        if parent and child and parent in self.lots(LotState.HELD, LotState.QUARANTINED):
            self.fake.unpack(parent, child)

    def quarantine(self) -> None:
        if lot := self.one(LotState.HELD, LotState.OFFERED):
            self.fake.quarantine(lot, self.fake.lots[lot].custodian)

    def release(self) -> None:
        if lot := self.one(LotState.QUARANTINED, packed=True):
            self.fake.release(lot)

    def offer(self) -> None:
        if lot := self.one(LotState.HELD):
            self.fake.offer(
                lot, self.choose.choice([party for party in PARTIES if party != self.fake.lots[lot].custodian])
            )

    def send_back(self) -> None:
        if lot := self.empty(LotState.QUARANTINED):
            self.fake.send_back(lot)

    def reclaim(self) -> None:
        if lot := self.one(LotState.HELD, LotState.OFFERED, LotState.QUARANTINED, LotState.RETURNING):
            self.fake.reclaim(lot, BUYER)

    def answer(self) -> None:
        if lot := self.one(LotState.OFFERED, LotState.RETURNING):
            if self.choose.random() < 0.6:
                self.fake.take(lot, in_part=self.choose.random() < 0.3)
            else:
                self.fake.end_offer(lot, declined=self.choose.random() < 0.5)

    def certify(self) -> None:
        if lot := self.one(*LotState, packed=True):
            verdict = self.choose.choice((Verdict.PASS, Verdict.FAIL))
            inspector = self.choose.choice((INSPECTOR, INSPECTOR, OTHER))
            model = self.models[0] if inspector == INSPECTOR else 0
            self.fake.certify(lot, inspector, model, verdict, self.stream)

    def waive(self) -> None:
        held = self.lots(*(one for one in LotState if one is not LotState.SPENT), packed=True)
        gated = [(lot, inspector) for lot in held for inspector in self.fake.inspectors(lot)]
        if gated:
            self.fake.waive(*self.choose.choice(gated))

    def revoke(self) -> None:
        if lot := self.certified(CertificateState.ISSUED, CertificateState.DEMANDED, CertificateState.UPHELD):
            self.fake.revoke(lot)

    def certified(self, *states: CertificateState) -> bytes | None:
        """A lot whose latest certificate is in one of these states."""
        found = [lot for lot, entry in self.fake.certificates.items() if entry.state in states]
        return self.choose.choice(found) if found else None

    def open(self) -> None:
        if lot := self.certified(CertificateState.ISSUED, CertificateState.DEMANDED):
            if self.choose.random() < 0.5:
                self.fake.uphold(lot, MAKER, executed=self.choose.random() < 0.5)
            else:
                self.fake.refute(lot, BUYER, self.choose.choice(list(Verdict)))

    def demand(self) -> None:
        if lot := self.certified(CertificateState.ISSUED):
            self.fake.demand(lot, BUYER)

    def anchor(self) -> None:
        self.fake.anchor(self.stream, MAKER, self.fake.streams[self.stream][0] + 1)
