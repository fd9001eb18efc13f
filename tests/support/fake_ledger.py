"""The two contracts on a fake chain: what they record, and the state that they keep, as contracts/src has it.

Nothing is refused: a test calls only what the contracts would allow.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ledger.events import Event
from ledger.events.certificates import (
    CertificateIssued,
    CertificateRefuted,
    CertificateRevoked,
    CertificateUpheld,
    OpeningDemanded,
)
from ledger.events.custody import CustodyAccepted, CustodyDeclined, CustodyOffered, CustodyWithdrawn
from ledger.events.evidence import StreamAnchored, StreamOpened
from ledger.events.lots import (
    LotCommissioned,
    LotQuarantined,
    LotReceived,
    LotReleased,
    LotScrapped,
    LotsPacked,
    LotsTransformed,
    LotsUnpacked,
)
from ledger.events.orders import AssignmentProposed, OrderPlaced, RecordSuperseded
from ledger.events.registry import (
    MachineRegistered,
    ModelApproved,
    ModelPublished,
    ModelRegistered,
    ModelWithdrawn,
    ParticipantAdmitted,
)
from ledger.evidence import EvidenceLog
from ledger.ids import Identity, SubjectKind
from ledger.records import (
    AssignmentState,
    CertificateState,
    Input,
    LotState,
    ModelState,
    OrderState,
    OrderTerms,
    Output,
    Role,
    Statement,
    Transformation,
    TransformationKind,
    Verdict,
)
from tests.support.event_data import event_of
from tests.support.fake_chain import FakeChain, digest, key_of

NONE = bytes(32)
PIECE = b"H87"
EMPTY_ROOT = bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")


@dataclass
class Order:
    sequence: int
    buyer: int
    coordinator: int
    inspector: int
    model: int
    operations: int
    finished: int = 0
    live: int = 0
    state: OrderState = OrderState.PLACED


@dataclass
class Assignment:
    sequence: int = 0
    machine: int = 0
    owner: int = 0
    state: AssignmentState = AssignmentState.NONE
    finished_once: bool = False


@dataclass
class Lot:
    number: int
    order: bytes | None
    quantity: int
    custodian: int
    unit: bytes
    parent: bytes | None = None
    counterparty: int = 0
    state: LotState = LotState.HELD
    contents: int = 0


@dataclass
class Certificate:
    sequence: int
    model: int
    issuer: int
    verdict: Verdict
    state: CertificateState = CertificateState.ISSUED
    opening_deadline: int = 0


@dataclass
class FakeLedger:
    chain: FakeChain = field(default_factory=FakeChain)
    owners: dict[int, int] = field(default_factory=dict)
    models: dict[int, ModelState] = field(default_factory=dict)
    orders: dict[bytes, Order] = field(default_factory=dict)
    assignments: dict[tuple[bytes, int], Assignment] = field(default_factory=dict)
    lots: dict[bytes, Lot] = field(default_factory=dict)
    certificates: dict[bytes, Certificate] = field(default_factory=dict)
    streams: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)
    logs: dict[bytes, EvidenceLog] = field(default_factory=dict)
    identities: dict[bytes, Identity] = field(default_factory=dict)

    def leaf(self, stream: bytes, index: int) -> bytes:
        """Zeros for an entry that nobody anchored."""
        entries = self.logs[stream].entries
        return entries[index].leaf_hash if index < len(entries) else NONE

    def _name(self, kind: SubjectKind, creator: int, name: str) -> bytes:
        """The subject of `urn:example:NAME`."""
        identity = Identity(kind, creator, f"urn:example:{name.replace(' ', '-')}", digest("salt", name))
        self.identities[identity.subject] = identity
        return identity.subject

    def _ledger(self, event: Event, participant: int, *histories: bytes) -> int:
        return self.chain.record(event, participant, histories[0], histories)

    # Registry

    def admit(self, participant: int, roles: int = Role.all()) -> None:
        self.chain.record(ParticipantAdmitted(participant, roles, key_of(participant), NONE), 0, _number(participant))

    def register_machine(self, owner: int, name: str) -> int:
        machine = self.chain.record(MachineRegistered(NONE), owner, self._name(SubjectKind.MACHINE, owner, name))
        self.owners[machine] = owner
        return machine

    def register_model(self, inspector: int, name: str) -> int:
        return self._model(ModelRegistered(digest("weights", name), NONE), inspector, name)

    def publish_model(self, inspector: int, name: str) -> int:
        return self._model(ModelPublished(digest("weights", name), digest("code", name)[:20], NONE), inspector, name)

    def _model(self, event: Event, inspector: int, name: str) -> int:
        model = self.chain.record(event, inspector, digest("model", name))
        self.models[model] = ModelState.REGISTERED
        return model

    def approve_model(self, auditor: int, model: int) -> None:
        self.chain.record(ModelApproved(model, NONE), auditor, _number(model))
        self.models[model] = ModelState.APPROVED

    def withdraw_model(self, participant: int, model: int, defective_since: int = 0) -> None:
        self.chain.record(ModelWithdrawn(model, defective_since, digest("defect")), participant, _number(model))
        self.models[model] = ModelState.WITHDRAWN

    # Orders and assignments

    def place(
        self, name: str, buyer: int, coordinator: int, *, inspector: int = 0, model: int = 0, operations: int = 1
    ) -> bytes:
        order = self._name(SubjectKind.ORDER, buyer, name)
        terms = OrderTerms(operations, inspector, model, self.chain.now + 86_400, digest("terms", name))
        sequence = self._ledger(OrderPlaced(coordinator, terms), buyer, order)
        self.orders[order] = Order(sequence, buyer, coordinator, inspector, model, operations)
        return order

    def move_order(self, order: bytes, kind: str, participant: int, state: OrderState) -> None:
        self._ledger(event_of(kind), participant, order)
        self.orders[order].state = state

    def accept_order(self, order: bytes) -> None:
        self.move_order(order, "OrderAccepted", self.orders[order].coordinator, OrderState.ACCEPTED)

    def propose(self, order: bytes, operation: int, machine: int) -> int:
        entry = self.orders[order]
        event = AssignmentProposed(operation, machine, self.owners[machine], NONE)
        made = self._ledger(event, entry.coordinator, order)
        current = self.assignments.setdefault((order, operation), Assignment())
        current.sequence, current.machine, current.owner = made, machine, self.owners[machine]
        current.state = AssignmentState.PROPOSED
        entry.live += 1
        return made

    def move_assignment(
        self, order: bytes, operation: int, kind: str, state: AssignmentState, **fields: object
    ) -> None:
        current = self.assignments[order, operation]
        actor = self.orders[order].coordinator if state is AssignmentState.CANCELLED else current.owner
        self._ledger(event_of(kind, operation=operation, assignment=current.sequence, **fields), actor, order)
        current.state = state
        if state not in (AssignmentState.ACCEPTED, AssignmentState.STARTED):
            self.orders[order].live -= 1

    def accept(self, order: bytes, operation: int = 0) -> None:
        self.move_assignment(order, operation, "AssignmentAccepted", AssignmentState.ACCEPTED)

    def start(self, order: bytes, operation: int = 0) -> None:
        self.move_assignment(order, operation, "AssignmentStarted", AssignmentState.STARTED)
        if self.orders[order].state is OrderState.ACCEPTED:
            self.orders[order].state = OrderState.IN_PRODUCTION

    def finish(self, order: bytes, operation: int, stream: bytes) -> None:
        evidence: dict[str, object] = {"stream": stream, "leaf_index": 0, "leaf_hash": self.leaf(stream, 0)}
        self.move_assignment(order, operation, "AssignmentFinished", AssignmentState.FINISHED, **evidence)
        current = self.assignments[order, operation]
        self.orders[order].finished += not current.finished_once
        current.finished_once = True

    def begin(self, order: bytes, operation: int, machine: int) -> None:
        """Proposed, accepted and started."""
        self.propose(order, operation, machine)
        self.accept(order, operation)
        self.start(order, operation)

    # Evidence

    def open_stream(self, machine: int, name: str) -> bytes:
        owner = self.owners[machine]
        stream = self._name(SubjectKind.STREAM, owner, name)
        self.chain.record(StreamOpened(machine, NONE), owner, stream)
        self.streams[stream] = (0, EMPTY_ROOT)
        self.anchor(stream, owner, 1)
        return stream

    def anchor(self, stream: bytes, owner: int, size: int) -> None:
        log = self.logs.setdefault(stream, EvidenceLog())
        for index in range(log.tree.size, size):
            log.append({"reading": index}, digest("entry salt", stream, index))
        root = log.tree.root(size)
        self.chain.record(StreamAnchored(size, root), owner, stream)
        self.streams[stream] = (size, root)

    # Lots

    def commission(self, name: str, order: bytes, quantity: int, operation: int = 0) -> bytes:
        current = self.assignments[order, operation]
        lot = self._name(SubjectKind.LOT, current.owner, name)
        event = LotCommissioned(order, current.sequence, quantity, PIECE, NONE)
        made = self._ledger(event, current.owner, lot)
        self.lots[lot] = Lot(made * 64, order, quantity, current.owner, PIECE)
        return lot

    def receive(self, name: str, holder: int, quantity: int, unit: bytes = PIECE) -> bytes:
        lot = self._name(SubjectKind.LOT, holder, name)
        made = self._ledger(LotReceived(quantity, unit, NONE), holder, lot)
        self.lots[lot] = Lot(made * 64, None, quantity, holder, unit)
        return lot

    def transform(
        self,
        kind: TransformationKind,
        inputs: dict[bytes, int],
        outputs: dict[str, int],
        *,
        order: bytes | None = None,
        operation: int = 0,
    ) -> list[bytes]:
        taken = sorted(inputs)
        first = self.lots[taken[0]]
        by = first.counterparty if first.state is LotState.QUARANTINED else 0
        lots = [self._name(SubjectKind.LOT, first.custodian, name) for name in outputs]
        change = Transformation(
            kind=kind,
            order=order or NONE,
            operation=operation,
            unit=first.unit,
            output_unit=PIECE,
            loss=0,
            yield_in=1,
            yield_out=1,
            claims_root=NONE,
            inputs=tuple(Input(lot, inputs[lot]) for lot in taken),
            outputs=tuple(Output(digest("id", name), quantity, NONE) for name, quantity in outputs.items()),
        )
        made = self.chain.record(LotsTransformed(change), first.custodian, lots[0], (*taken, *lots))
        for lot in taken:
            self._consume(lot, inputs[lot])
        for place, (lot, quantity) in enumerate(zip(lots, outputs.values(), strict=True)):
            state = LotState.QUARANTINED if by else LotState.HELD
            self.lots[lot] = Lot(made * 64 + place, order, quantity, first.custodian, PIECE, None, by, state)
        return lots

    def _consume(self, lot: bytes, quantity: int) -> None:
        entry = self.lots[lot]
        entry.quantity -= quantity
        if not entry.quantity:
            entry.state, entry.counterparty = LotState.SPENT, 0

    def scrap(self, lot: bytes, quantity: int) -> None:
        self._ledger(LotScrapped(quantity, NONE), self.lots[lot].custodian, lot)
        self._consume(lot, quantity)

    def pack(self, parent: bytes, *lots: bytes) -> None:
        self._ledger(LotsPacked(), self.lots[parent].custodian, parent, *sorted(lots))
        self.lots[parent].contents += len(lots)
        for lot in lots:
            self.lots[lot].parent = parent

    def unpack(self, parent: bytes, *lots: bytes) -> None:
        holder = self.lots[parent].custodian
        self._ledger(LotsUnpacked(), holder, parent, *sorted(lots))
        self.lots[parent].contents -= len(lots)
        for lot in lots:
            self.lots[lot].parent, self.lots[lot].custodian = None, holder

    def quarantine(self, lot: bytes, by: int) -> None:
        self._ledger(LotQuarantined(NONE), by, lot)
        self.lots[lot].state, self.lots[lot].counterparty = LotState.QUARANTINED, by

    def release(self, lot: bytes) -> None:
        self._ledger(LotReleased(NONE), self.lots[lot].counterparty, lot)
        self.lots[lot].state, self.lots[lot].counterparty = LotState.HELD, 0

    def offer(self, lot: bytes, to: int) -> None:
        self._ledger(CustodyOffered(to, NONE), self.lots[lot].custodian, lot)
        self.lots[lot].state, self.lots[lot].counterparty = LotState.OFFERED, to

    def take(self, lot: bytes) -> None:
        """The offer is accepted."""
        entry = self.lots[lot]
        self._ledger(CustodyAccepted(entry.custodian, NONE), entry.counterparty, lot)
        entry.custodian, entry.counterparty, entry.state = entry.counterparty, 0, LotState.HELD

    def end_offer(self, lot: bytes, *, declined: bool) -> None:
        entry = self.lots[lot]
        event, actor = (
            (CustodyDeclined(NONE), entry.counterparty) if declined else (CustodyWithdrawn(NONE), entry.custodian)
        )
        self._ledger(event, actor, lot)
        entry.state, entry.counterparty = LotState.HELD, 0

    # Certificates

    def certify(
        self,
        lot: bytes,
        inspector: int,
        model: int,
        verdict: Verdict,
        stream: bytes,
        lasts_s: int = 10**6,
        leaf_index: int = 0,
    ) -> int:
        entry = self.lots[lot]
        statement = Statement(
            lot=lot,
            order=entry.order or NONE,
            model=model,
            verdict=verdict,
            expires_at=self.chain.now + lasts_s,
            inference_digest=digest("inference", lot, self.chain.now),
            claims_root=NONE,
            stream=stream,
            leaf_index=leaf_index,
            leaf_hash=self.leaf(stream, leaf_index),
        )
        made = self._ledger(CertificateIssued(statement, *self.streams[stream]), inspector, lot)
        self.certificates[lot] = Certificate(made, model, inspector, verdict)
        self._follow(entry, verdict, inspector)
        return made

    def revoke(self, lot: bytes) -> None:
        entry = self.certificates[lot]
        self._ledger(CertificateRevoked(entry.sequence, NONE), entry.issuer, lot)
        entry.state = CertificateState.REVOKED

    def uphold(self, lot: bytes, participant: int, *, executed: bool = True) -> None:
        entry = self.certificates[lot]
        self._ledger(CertificateUpheld(entry.sequence, executed), participant, lot)
        entry.state = CertificateState.UPHELD

    def refute(self, lot: bytes, participant: int, executed: Verdict) -> None:
        entry = self.certificates[lot]
        self._ledger(CertificateRefuted(entry.sequence, executed), participant, lot)
        entry.state = CertificateState.REFUTED
        verdict = Verdict.PASS if executed is Verdict.PASS else Verdict.FAIL
        self._follow(self.lots[lot], verdict, entry.issuer)

    def demand(self, lot: bytes, participant: int) -> None:
        entry = self.certificates[lot]
        entry.state, entry.opening_deadline = CertificateState.DEMANDED, self.chain.now + 604_800
        self._ledger(OpeningDemanded(entry.sequence, entry.opening_deadline), participant, lot)

    def _follow(self, lot: Lot, verdict: Verdict, inspector: int) -> None:
        """The lot goes where an inspector's verdict sends it."""
        if lot.state is LotState.SPENT:
            return
        gate = lot.order is not None and self.orders[lot.order].inspector == inspector
        if verdict is Verdict.FAIL:
            if lot.state is not LotState.QUARANTINED or gate:
                lot.state, lot.counterparty = LotState.QUARANTINED, inspector
        elif lot.state is LotState.QUARANTINED and lot.counterparty == inspector:
            lot.state, lot.counterparty = LotState.HELD, 0

    def supersede(self, subject: bytes, participant: int, superseded: int) -> int:
        return self._ledger(RecordSuperseded(superseded, digest("correction")), participant, subject)


def _number(number: int) -> bytes:
    return number.to_bytes(32, "big")
