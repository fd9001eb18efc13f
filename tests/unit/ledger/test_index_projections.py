"""After any legal sequence of records the index keeps what the contracts keep, however it was followed."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millmark.ledger.events import EVENTS
from millmark.ledger.events.registry import (
    Closed,
    KeyAdded,
    KeyChanged,
    KeyProposed,
    KeyRevoked,
    MachineRetired,
    ModelOpened,
    ModelRetired,
    NameKeySet,
    OwnershipAccepted,
    OwnershipOffered,
    ParticipantDeparted,
    ParticipantReinstated,
    ParticipantSuspended,
    Published,
    RecoveryAccepted,
    RecoveryObjected,
    RecoveryOverruled,
    RecoveryProposed,
    RolesSet,
    TrusteeNamed,
)
from millmark.ledger.index import Follower, fetch_status
from millmark.ledger.index.projections import PROJECTIONS
from millmark.ledger.provenance import trace_lot
from millmark.ledger.records import (
    ALL_ROLES,
    AssignmentState,
    CertificateState,
    Contract,
    Gate,
    LotState,
    ModelState,
    OrderState,
    OrderTerms,
    Role,
    TransformationKind,
    Verdict,
)
from millmark.ledger.store import Lineage, Registry, Rows, Store
from millmark.ledger.store.rows import (
    AssignmentRow,
    CertificateRow,
    HeadRow,
    KeyRow,
    LotInputRow,
    LotOutputRow,
    LotRow,
    MachineRow,
    ModelRow,
    NameKeyRow,
    OperationRow,
    OrderRow,
    PackingRow,
    ParticipantRow,
    PublicationRow,
    RecoveryRow,
    StreamRow,
    WaiverRow,
    gates_of,
)
from millmark.ledger.store.schema import INDEX
from tests.support.fake_ledger import FakeLedger, Lot, Order, key_of
from tests.support.stores import new_store

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
            self.anchor, self.open, self.demand, self.allocate, self.deallocate,
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
                self.fake.take(lot)
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


def dump(store: Store) -> dict[str, list[object]]:
    with store.reading() as connection:
        return {kind.__name__: Rows(connection).find(kind) for kind in INDEX}


def assert_mirrors(store: Store, fake: FakeLedger) -> None:
    with store.reading() as connection:
        rows = Rows(connection)
        assert {row.subject: row.head for row in rows.find(HeadRow)} == fake.chain.heads
        assert {row.subject: _lot(row) for row in rows.find(LotRow)} == fake.lots
        orders = {row.subject: _order(row) for row in rows.find(OrderRow)}
        assert orders == fake.orders
        assigned = {row.sequence: row for row in rows.find(AssignmentRow)}
        current = {(row.order, row.operation): row for row in rows.find(OperationRow)}
        assert current.keys() == fake.assignments.keys()
        for name, entry in fake.assignments.items():
            row = assigned[current[name].assignment]
            assert (row.sequence, row.machine, row.owner, row.state) == tuple(vars(entry).values())[:4]
            assert current[name].finished_once == entry.finished_once
        latest = {row.subject: row.certificate for row in rows.find(LotRow) if row.certificate}
        for lot, certificate in fake.certificates.items():
            kept = rows.get(CertificateRow, latest.pop(lot))
            assert kept is not None
            assert (kept.sequence, kept.model, kept.issuer, kept.verdict) == tuple(vars(certificate).values())[:4]
            assert (kept.state, kept.opening_deadline) == (certificate.state, certificate.opening_deadline)
            assert (kept.revoked_at != 0) == (certificate.state is CertificateState.REVOKED)
            opened = certificate.state in (CertificateState.UPHELD, CertificateState.REFUTED)
            over = certificate.state is CertificateState.REVOKED
            assert (kept.opened_at != 0) == opened or over
        assert not latest
        assert {row.subject: (row.size, row.root) for row in rows.find(StreamRow)} == fake.streams


def _order(row: OrderRow) -> Order:
    return Order(
        row.sequence, row.buyer, row.coordinator, gates_of(row), row.operations, row.finished, row.live,
        OrderState(row.state),
    )  # fmt: skip


def _lot(row: LotRow) -> Lot:
    return Lot(
        row.number, row.order, row.quantity, row.custodian, row.unit, row.parent, row.counterparty,
        LotState(row.state), row.contents, row.offer,
    )  # fmt: skip


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(min_value=0, max_value=2**32))
def test_index_mirrors_the_contracts(seed: int) -> None:
    choose = random.Random(seed)  # noqa: S311  # a reproducible walk, no secret
    walk = Walk(choose)
    with tempfile.TemporaryDirectory() as folder:
        store = new_store(Path(folder), "a.db")
        other = new_store(Path(folder), "b.db")
        follower = Follower(walk.fake.chain, store)
        for _ in range(120):
            walk.step()
            if choose.random() < 0.1:
                follower.follow(limit=choose.choice([None, 1, 3]))
        walk.fake.chain.mine()
        follower.follow()
        assert_mirrors(store, walk.fake)
        incremental, status = dump(store), fetch_status(store)
        Follower(walk.fake.chain, other).follow()
        assert (dump(other), fetch_status(other)) == (incremental, status)
        follower.rebuild()
        assert (dump(store), fetch_status(store)) == (incremental, status)
        store.close()
        other.close()


def test_every_kind_of_record_has_a_projection() -> None:
    assert set(PROJECTIONS) == set(EVENTS)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return new_store(tmp_path, "index.db")


def test_registry(store: Store) -> None:
    fake = FakeLedger()
    fake.admit(1)
    fake.admit(2)
    fake.accept_key(1)
    number = (1).to_bytes(32, "big")
    fake.chain.record(RolesSet(1, 5), 0, number)
    fake.chain.record(ParticipantSuspended(1, bytes(32)), 0, number)
    fake.chain.record(ParticipantReinstated(1), 0, number)
    fake.chain.record(ParticipantSuspended(2, bytes(32)), 0, bytes(31) + b"\x02")
    suspended_at = fake.chain.now
    fake.chain.record(TrusteeNamed(2, 1), 0, bytes(31) + b"\x02")
    fake.chain.record(KeyProposed(b"\x07" * 20, 4, admin=False), 1, number)
    fake.chain.record(KeyAdded(4, admin=False), 1, number, key=b"\x07" * 20)
    fake.chain.record(KeyRevoked(b"\x07" * 20, 0), 1, number)
    fake.chain.record(KeyRevoked(b"\x07" * 20, 5), 1, number)
    machine = fake.register_machine(1, "m")
    fake.chain.record(MachineRetired(machine, bytes(32)), 1, bytes(32))
    model = fake.register_model(1, "x")
    fake.approve_model(2, model)
    fake.withdraw_model(2, model, 77)
    now = fake.chain.now
    fake.chain.mine()
    Follower(fake.chain, store).follow()
    with store.reading() as connection:
        rows = Rows(connection)
        first, second = rows.find(ParticipantRow)
        assert (first.roles, first.keys, first.suspended, second.suspended) == (5, 1, False, True)
        assert (first.inactive_since, second.inactive_since, second.trustee) == (0, suspended_at, 1)
        key = rows.get(KeyRow, b"\x07" * 20)
        assert key == KeyRow(b"\x07" * 20, 1, 4, False, now, now, 5, now)
        found = rows.get(MachineRow, machine)
        assert found is not None
        assert (found.owner, found.retired_at) == (1, now)
        kept = rows.get(ModelRow, model)
        assert kept is not None
        assert (kept.inspector, kept.approver, kept.state) == (1, 2, ModelState.WITHDRAWN)
        assert (kept.approved_at, kept.withdrawn_at, kept.defective_since) == (now, now, 77)


def test_keys_are_changed_and_end_by_a_recovery(store: Store) -> None:
    fake, number = FakeLedger(), (1).to_bytes(32, "big")
    fake.admit(1)
    fake.accept_key(1)
    old, box, fresh = key_of(1), b"\x07" * 20, b"\x08" * 20
    fake.chain.record(KeyAdded(int(Role.MANUFACTURER), admin=False), 1, number, key=box)
    fake.chain.record(KeyChanged(box, int(Role.CARRIER), admin=True), 1, number)
    fake.chain.mine()
    Follower(fake.chain, store).follow()
    fake.chain.record(RecoveryProposed(1, b"\x09" * 20, 70), 0, number)
    fake.chain.record(RecoveryProposed(1, fresh, 77), 0, number)
    fake.chain.record(RecoveryObjected(88), 1, number)
    fake.chain.record(RecoveryOverruled(1), 0, number)
    proposed = fake.chain.now
    fake.chain.mine()
    Follower(fake.chain, store).follow()
    with store.reading() as connection:
        rows = Rows(connection)
        assert rows.get(RecoveryRow, 1) == RecoveryRow(1, fresh, proposed, 88, True, True, 0)
        found = rows.get(KeyRow, box)
        assert found is not None
        assert (found.roles, found.admin, found.revoked_at) == (int(Role.CARRIER), True, 0)
    fake.chain.record(RecoveryAccepted(), 1, number, key=fresh)
    now = fake.chain.now
    fake.chain.mine()
    Follower(fake.chain, store).follow()
    with store.reading() as connection:
        rows = Rows(connection)
        ended = [rows.get(KeyRow, key) for key in (old, box)]
        assert [key.revoked_at for key in ended if key is not None] == [now, now]
        assert rows.get(KeyRow, fresh) == KeyRow(fresh, 1, int(ALL_ROLES), True, now, 0, 0, 0)
        recovery, company = rows.get(RecoveryRow, 1), rows.get(ParticipantRow, 1)
        assert recovery is not None
        assert company is not None
        assert (recovery.accepted_at, company.keys) == (now, 1)


def test_a_company_leaves_and_comes_back(store: Store) -> None:
    fake, number = FakeLedger(), (1).to_bytes(32, "big")
    fake.admit(1)
    fake.chain.record(ParticipantDeparted(bytes(32)), 1, number)
    fake.chain.mine()
    Follower(fake.chain, store).follow()
    with store.reading() as connection:
        found = Rows(connection).get(ParticipantRow, 1)
        assert found is not None
        assert (found.departed, found.suspended) == (True, False)
        assert Registry(connection).participant(1) is None
    fake.chain.record(ParticipantReinstated(1), 0, number)
    fake.chain.mine()
    Follower(fake.chain, store).follow()
    with store.reading() as connection:
        assert Registry(connection).participant(1) is not None


def test_records_of_the_registrys_owner_change_no_row(store: Store) -> None:
    fake = FakeLedger()
    fake.admit(1)
    for event in (OwnershipOffered(b"\x01" * 20), OwnershipAccepted(b"\x02" * 20), Closed(b"\x03" * 20)):
        fake.chain.record(event, 0, bytes(32))
    lot = fake.receive("lot", 1, 5)
    fake.note(1, lot)
    fake.note(0, lot)
    fake.chain.mine()
    Follower(fake.chain, store).follow()
    status = fetch_status(store)
    assert status is not None
    assert (status.registry_sequence, status.ledger_sequence) == tuple(
        fake.chain.sequences[contract] for contract in (Contract.REGISTRY, Contract.LEDGER)
    )


def test_name_keys_and_publications(store: Store) -> None:
    fake, number = FakeLedger(), (1).to_bytes(32, "big")
    fake.admit(1)
    fake.chain.record(NameKeySet(b"\x01" * 32), 1, number)
    fake.chain.record(NameKeySet(b"\x02" * 32), 1, number)
    fake.chain.record(Published(1, b"\x03" * 32), 0, bytes(32))
    last = fake.chain.record(Published(1, b"\x04" * 32), 0, bytes(32))
    now = fake.chain.now
    fake.chain.mine()
    Follower(fake.chain, store).follow()
    with store.reading() as connection:
        rows = Rows(connection)
        assert [row.hash for row in rows.find(NameKeyRow, participant=1)] == [b"\x01" * 32, b"\x02" * 32]
        assert rows.find(PublicationRow) == [PublicationRow(1, b"\x04" * 32, last, now)]


def test_h11_a_model_is_opened_retired_and_registered_again(store: Store) -> None:
    fake = FakeLedger()
    fake.admit(1)
    model = fake.register_model(1, "x")
    fake.approve_model(2, model)
    fake.chain.record(ModelOpened(model, open=True), 1, model.to_bytes(32, "big"))
    fake.chain.record(ModelRetired(model, bytes(32)), 1, model.to_bytes(32, "big"))
    again, now = fake.register_model(1, "x"), fake.chain.now
    fake.chain.mine()
    Follower(fake.chain, store).follow()
    with store.reading() as connection:
        first, second = (Rows(connection).get(ModelRow, one) for one in (model, again))
        assert first is not None
        assert second is not None
        assert (first.open, first.state, first.retired_at) == (True, ModelState.RETIRED, now)
        assert (second.subject, second.state) == (first.subject, ModelState.REGISTERED)


def test_orders_end_as_their_records_say(store: Store) -> None:
    fake = FakeLedger()
    declined, delivered = fake.place("r", 1, 2), fake.place("d", 1, 2)
    fake.move_order(declined, "OrderCancelled", 2, OrderState.CANCELLED)
    fake.accept_order(delivered)
    fake.move_order(delivered, "OrderCompleted", 2, OrderState.COMPLETED)
    fake.move_order(delivered, "OrderDelivered", 1, OrderState.DELIVERED)
    fake.chain.mine()
    Follower(fake.chain, store).follow()
    assert_mirrors(store, fake)


def test_revision_replaces_the_terms(store: Store) -> None:
    fake = FakeLedger()
    order = fake.place("o", 1, 2)
    terms = OrderTerms(9, 3, (Gate(4, 5), Gate(5)), 6, 7, b"H87", b"\x08" * 32)
    proposal = fake._ledger("RevisionProposed", 1, order, terms=terms)
    fake._ledger("RevisionAccepted", 2, order, proposal=proposal, awaited=3, terms=terms)
    fake.chain.mine()
    Follower(fake.chain, store).follow()
    assert_mirrors(store, fake)
    fake._ledger("RevisionAccepted", 3, order, proposal=proposal, awaited=0, terms=terms)
    fake.chain.mine()
    Follower(fake.chain, store).follow()
    with store.reading() as connection:
        row = Rows(connection).get(OrderRow, order)
    assert row is not None
    assert (row.operations, row.coordinator, row.gates, row.due_at) == (9, 3, "4:5 5:0", 6)
    assert (row.quantity, row.unit, row.claims_root) == (7, b"H87", b"\x08" * 32)
    assert row.state == OrderState.PLACED


def test_a_waiver_names_the_latest_certificate_of_its_inspector(store: Store) -> None:
    walk = Walk(random.Random(3))  # noqa: S311  # a reproducible walk, no secret
    fake = walk.fake
    order = fake.place("o", 1, 2, Gate(4, walk.models[0]), Gate(5))
    fake.accept_order(order)
    fake.begin(order, 0, walk.machines[0])
    lot = fake.commission("l", order, 1)
    first = fake.waive(lot, 5)
    certificate = fake.certify(lot, 5, 0, Verdict.FAIL, walk.stream)
    second = fake.waive(lot, 5)
    fake.chain.mine()
    Follower(fake.chain, store).follow()
    assert_mirrors(store, fake)
    with store.reading() as connection:
        rows = {row.sequence: row for row in Rows(connection).find(WaiverRow, lot=lot)}
    assert [(row.inspector, row.certificate, row.buyer, row.order) for row in rows.values()] == [
        (5, 0, 1, order),
        (5, certificate, 1, order),
    ]
    shown = trace_lot(store, lot).waivers
    assert [(one.sequence, one.certificate, one.holds) for one in shown] == [
        (first, None, False),
        (second, certificate, True),
    ]


def test_a_component_of_a_rework_is_found_from_both_sides(store: Store) -> None:
    fake = FakeLedger()
    part, bolts = fake.receive("part", 1, 1), fake.receive("bolts", 1, 5)
    fake.rework(part, bolts)
    fake.chain.mine()
    Follower(fake.chain, store).follow()
    assert_mirrors(store, fake)
    with store.reading() as connection:
        rows, lineage = Rows(connection), Lineage(connection)
        assert rows.find(LotInputRow) == [LotInputRow(3, bolts, 1, component=True)]
        assert rows.find(LotOutputRow) == [LotOutputRow(3, part, 1)]
        assert lineage.upstream([part], 9, 9) == [(part, 0), (bolts, 1)]
        assert lineage.downstream([bolts], 9, 9) == [(bolts, 0), (part, 1)]


def test_packing_notes_from_when_to_when(store: Store) -> None:
    fake = FakeLedger()
    box, part = fake.receive("box", 1, 1), fake.receive("part", 1, 1)
    fake.pack(box, part)
    fake.offer(box, 2)
    fake.take(box)
    fake.unpack(box, part)
    fake.chain.mine()
    Follower(fake.chain, store).follow()
    with store.reading() as connection:
        assert Rows(connection).find(PackingRow) == [PackingRow(3, part, box, 6)]
        lot = Rows(connection).get(LotRow, part)
    assert lot is not None
    assert (lot.parent, lot.packed_by, lot.custodian) == (None, 0, 2)
