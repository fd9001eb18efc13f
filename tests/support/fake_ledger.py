"""The first world, records without a chain, as an index has them: the two contracts' records and their state as in
contracts/src, on blocks in memory.

Blocks, blooms and heads are computed with eth_abi and eth_bloom, so that the index is compared with independent code.
Nothing is refused: a test must call only what the contracts would allow.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from eth_abi.abi import encode
from eth_bloom.bloom import BloomFilter
from eth_utils.crypto import keccak

from millmark.ledger.events import Event, Header, Recorded
from millmark.ledger.events.lots import LotsTransformed
from millmark.ledger.evidence import EvidenceLog
from millmark.ledger.ids import Identity, SubjectKind, identifier_hash
from millmark.ledger.records import (
    ALL_ROLES,
    AssignmentState,
    CertificateState,
    Contract,
    Gate,
    Input,
    Item,
    LotState,
    ModelState,
    NoteKind,
    OrderState,
    OrderTerms,
    Output,
    Rework,
    Statement,
    Transformation,
    TransformationKind,
    Verdict,
)
from tests.support.event_data import build, encode_event, event_of

HEAD_TAG = keccak(text="millmark.history.v1")
BLOCK_TIME_S = 5
START_S = 1_760_000_000


def digest(*parts: object) -> bytes:
    """32 bytes derived from any values."""
    return hashlib.sha256(repr(parts).encode()).digest()


def key_of(participant: int) -> bytes:
    return digest("key", participant)[:20]


@dataclass
class FakeChain:
    """Adds records to an open block, which `mine` closes."""

    chain_id: int = 1234
    registry: bytes = b"\x11" * 20
    ledger: bytes = b"\x22" * 20
    ledger_id: bytes = b"\x44" * 32
    genesis: str = "genesis"
    finality_depth: int = 0
    first_block: int = 0
    headers: list[Header] = field(default_factory=list)
    records: list[tuple[Recorded[Event], ...]] = field(default_factory=list)
    heads: dict[bytes, bytes] = field(default_factory=dict)
    sequences: dict[Contract, int] = field(default_factory=lambda: dict.fromkeys(Contract, 0))
    fetched: list[int] = field(default_factory=list)
    """Numbers of the blocks whose records were fetched."""
    _open: list[Recorded[Event]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.headers:
            self.mine()

    # What a follower asks

    def genesis_hash(self) -> bytes:
        return self.headers[0].hash

    def head_number(self) -> int:
        return len(self.headers) - 1

    def final_number(self) -> int:
        return max(len(self.headers) - 1 - self.finality_depth, -1)

    def header(self, number: int) -> Header:
        return self.headers[number]

    def headers_of(self, numbers: Sequence[int]) -> Iterator[Header]:
        return map(self.header, numbers)

    def recorded_in_each(self, headers: Sequence[Header]) -> Iterator[tuple[Recorded[Event], ...]]:
        return map(self.recorded, headers)

    def recorded(self, header: Header) -> tuple[Recorded[Event], ...]:
        self.fetched.append(header.number)
        assert self.headers[header.number].hash == header.hash, "asked for a block that is not there"
        return self.records[header.number]

    # What contracts and validators do

    @property
    def now(self) -> int:
        """Timestamp of the open block."""
        return START_S + BLOCK_TIME_S * len(self.headers)

    def record(
        self,
        event: Event,
        participant: int,
        subject: bytes,
        histories: tuple[bytes, ...] = (),
        *,
        key: bytes | None = None,
    ) -> int:
        """Adds a record to the open block and returns its sequence. `key`: the acting key, by default the
        participant's."""
        self.sequences[event.contract] += 1
        acting = key or key_of(participant)
        made = Recorded(
            event=event,
            sequence=self.sequences[event.contract],
            participant=participant,
            subject=subject,
            key=acting,
            histories=histories,
            data=encode_event(event, acting, histories),
            block_number=len(self.headers),
            block_hash=b"",
            block_time=self.now,
            transaction_hash=digest("transaction", event.contract, self.sequences[event.contract]),
            log_index=len(self._open),
        )
        self._open.append(made)
        self._extend(made)
        return made.sequence

    def _extend(self, made: Recorded[Event]) -> None:
        inner = keccak(
            encode(
                ["uint40", "uint32", "address", "bytes32", "uint256"],
                [made.sequence, made.participant, made.key, keccak(made.data), made.block_time],
            )
        )
        for subject in made.histories:
            start = encode(
                ["bytes32", "uint256", "address", "bytes32", "bytes32"],
                [HEAD_TAG, self.chain_id, self.ledger, self.ledger_id, subject],
            )
            head = self.heads.get(subject, keccak(start))
            self.heads[subject] = keccak(encode(["bytes32"] * 3, [head, made.topic, inner]))

    def mine(self, blocks: int = 1) -> None:
        for _ in range(blocks):
            number = len(self.headers)
            parent = self.headers[-1].hash if self.headers else bytes(32)
            own = digest(self.genesis, number, parent, [record.data for record in self._open])
            bloom = BloomFilter()
            for record in self._open:
                bloom.add(self.ledger if record.contract is Contract.LEDGER else self.registry)
            self.headers.append(Header(number, own, parent, self.now, int(bloom).to_bytes(256, "big"), bytes(32)))
            self.records.append(tuple(replace(record, block_hash=own) for record in self._open))
            self._open.clear()


NONE = bytes(32)


@dataclass
class Order:
    sequence: int
    buyer: int
    coordinator: int
    gates: tuple[Gate, ...]
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
    stream: bytes = b""


@dataclass
class Lot:
    """State of a lot, as in the contract."""

    number: int
    order: bytes | None
    quantity: int
    custodian: int
    unit: bytes
    parent: bytes | None = None
    counterparty: int = 0
    state: LotState = LotState.HELD
    contents: int = 0
    offer: int = 0


@dataclass
class Certificate:
    """State of a certificate, as in the contract."""

    sequence: int
    model: int
    issuer: int
    verdict: Verdict
    state: CertificateState = CertificateState.ISSUED
    opening_deadline: int = 0
    lot: bytes = NONE


PIECE = b"H87"
EMPTY_ROOT = bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")


@dataclass
class FakeLedger:
    """Both contracts' state. Each method records one step and updates the state."""

    chain: FakeChain = field(default_factory=FakeChain)
    owners: dict[int, int] = field(default_factory=dict)
    models: dict[int, ModelState] = field(default_factory=dict)
    orders: dict[bytes, Order] = field(default_factory=dict)
    assignments: dict[tuple[bytes, int], Assignment] = field(default_factory=dict)
    lots: dict[bytes, Lot] = field(default_factory=dict)
    certificates: dict[bytes, Certificate] = field(default_factory=dict)
    """By lot, the one that decides about it."""
    latest: dict[tuple[bytes, int], Certificate] = field(default_factory=dict)
    """By lot and inspector."""
    stated: dict[int, bytes | None] = field(default_factory=dict)
    """The lot's order when a certificate was issued."""
    behind: dict[tuple[bytes, int], int] = field(default_factory=dict)
    """The certificate behind an inspector's latest quarantine of a lot."""
    reworked: dict[bytes, int] = field(default_factory=dict)
    streams: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)
    gauges: dict[int, bytes] = field(default_factory=dict)
    """The first stream of each machine."""
    logs: dict[bytes, EvidenceLog] = field(default_factory=dict)
    identities: dict[bytes, Identity] = field(default_factory=dict)

    def leaf(self, stream: bytes, index: int) -> bytes:
        """The leaf hash of an entry; zeros if it is not anchored."""
        entries = self.logs[stream].entries
        return entries[index].leaf_hash if index < len(entries) else NONE

    def _name(self, kind: SubjectKind, creator: int, name: str) -> bytes:
        """The subject of `urn:example:NAME`."""
        identity = Identity(kind, creator, f"urn:example:{name.replace(' ', '-')}", digest("salt", name))
        self.identities[identity.subject] = identity
        return identity.subject

    def _ledger(self, kind: str, participant: int, *histories: bytes, **fields: object) -> int:
        return self.chain.record(event_of(kind, **fields), participant, histories[0], histories)

    def _registry(self, kind: str, participant: int, subject: bytes, **fields: object) -> int:
        return self.chain.record(event_of(kind, **fields), participant, subject)

    def _named(self, kind: str, participant: int, **fields: object) -> int:
        """Registers something, whose subject is the record's own number."""
        return self._registry(kind, participant, _number(self.chain.sequences[Contract.REGISTRY] + 1), **fields)

    # Registry

    def admit(self, participant: int, roles: int = int(ALL_ROLES)) -> None:
        own: dict[str, object] = {"admitted": participant, "roles": roles, "first_key": key_of(participant)}
        self._registry("ParticipantAdmitted", 0, _number(participant), **own)

    def accept_key(self, participant: int) -> None:
        """The first key, with which all of the participant's records are signed, accepts."""
        self._registry("KeyAdded", participant, _number(participant), roles=int(ALL_ROLES), admin=True)

    def register_machine(self, owner: int, name: str) -> int:
        identity = self.identities[self._name(SubjectKind.MACHINE, owner, name)]
        hashed = identifier_hash(identity.salt, identity.identifier)
        machine = self._named("MachineRegistered", owner, identifier_hash=hashed)
        self.owners[machine] = owner
        return machine

    def register_model(self, inspector: int, name: str) -> int:
        return self._model("ModelRegistered", inspector, name)

    def publish_model(self, inspector: int, name: str) -> int:
        return self._model("ModelPublished", inspector, name, code=digest("code", name)[:20])

    def _model(self, kind: str, inspector: int, name: str, **fields: object) -> int:
        model = self._named(kind, inspector, digest=digest("weights", name), **fields)
        self.models[model] = ModelState.REGISTERED
        return model

    def approve_model(self, auditor: int, model: int) -> None:
        self._registry("ModelApproved", auditor, _number(model), model=model)
        self.models[model] = ModelState.APPROVED

    def withdraw_model(self, participant: int, model: int, defective_since: int = 0) -> None:
        own: dict[str, object] = {"defective_since": defective_since, "reason_root": digest("defect")}
        self._registry("ModelWithdrawn", participant, _number(model), model=model, **own)
        self.models[model] = ModelState.WITHDRAWN

    # Orders and assignments

    def place(self, name: str, buyer: int, coordinator: int, *gates: Gate, operations: int = 1) -> bytes:
        order = self._name(SubjectKind.ORDER, buyer, name)
        due_at, claims = self.chain.now + 86_400, digest("terms", name)
        terms = OrderTerms(operations, coordinator, gates, due_at, 0, bytes(3), claims)
        sequence = self._ledger("OrderPlaced", buyer, order, terms=terms)
        self.orders[order] = Order(sequence, buyer, coordinator, gates, operations)
        return order

    def move_order(self, order: bytes, kind: str, participant: int, state: OrderState) -> None:
        self._ledger(kind, participant, order)
        self.orders[order].state = state

    def accept_order(self, order: bytes) -> None:
        self.move_order(order, "OrderAccepted", self.orders[order].coordinator, OrderState.ACCEPTED)

    def propose(self, order: bytes, operation: int, machine: int) -> int:
        entry = self.orders[order]
        own: dict[str, object] = {"operation": operation, "machine": machine, "owner": self.owners[machine]}
        made = self._ledger("AssignmentProposed", entry.coordinator, order, **own)
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
        self._ledger(kind, actor, order, operation=operation, assignment=current.sequence, **fields)
        current.state = state
        if state not in (AssignmentState.ACCEPTED, AssignmentState.STARTED):
            self.orders[order].live -= 1

    def accept(self, order: bytes, operation: int = 0) -> None:
        self.move_assignment(order, operation, "AssignmentAccepted", AssignmentState.ACCEPTED)

    def start(self, order: bytes, operation: int = 0) -> None:
        current = self.assignments[order, operation]
        current.stream = self.gauges.get(current.machine) or self.open_stream(current.machine, f"{current.machine}")
        begun: dict[str, object] = {"stream": current.stream, "stream_size": self.streams[current.stream][0]}
        self.move_assignment(order, operation, "AssignmentStarted", AssignmentState.STARTED, **begun)
        if self.orders[order].state is OrderState.ACCEPTED:
            self.orders[order].state = OrderState.IN_PRODUCTION

    def finish(self, order: bytes, operation: int) -> None:
        current = self.assignments[order, operation]
        stream, index = current.stream, self.streams[current.stream][0]
        self.anchor(stream, current.owner, index + 1)
        evidence: dict[str, object] = {"stream": stream, "leaf_index": index, "leaf_hash": self.leaf(stream, index)}
        self.move_assignment(order, operation, "AssignmentFinished", AssignmentState.FINISHED, **evidence)
        self.orders[order].finished += not current.finished_once
        current.finished_once = True

    def begin(self, order: bytes, operation: int, machine: int) -> None:
        """Proposes an assignment, accepts it and starts it."""
        self.propose(order, operation, machine)
        self.accept(order, operation)
        self.start(order, operation)

    # Evidence

    def open_stream(self, machine: int, name: str) -> bytes:
        stream = self.open_log(self.owners[machine], name, machine)
        self.gauges.setdefault(machine, stream)
        return stream

    def open_log(self, owner: int, name: str, machine: int = 0) -> bytes:
        """Opens a stream, by default without a machine, as coordinators and auditors do for plans and logs."""
        stream = self._name(SubjectKind.STREAM, owner, name)
        self.chain.record(event_of("StreamOpened", machine=machine), owner, stream)
        self.streams[stream] = (0, EMPTY_ROOT)
        self.anchor(stream, owner, 1)
        return stream

    def anchor(self, stream: bytes, owner: int, size: int) -> None:
        log = self.logs.setdefault(stream, EvidenceLog())
        for index in range(log.tree.size, size):
            log.append({"reading": index}, digest("entry salt", stream, index))
        root = log.tree.root(size)
        self.chain.record(event_of("StreamAnchored", size=size, root=root), owner, stream)
        self.streams[stream] = (size, root)

    # Lots

    def commission(self, name: str, order: bytes, quantity: int, operation: int = 0) -> bytes:
        current = self.assignments[order, operation]
        lot = self._name(SubjectKind.LOT, current.owner, name)
        own: dict[str, object] = {"order": order, "assignment": current.sequence, "quantity": quantity, "unit": PIECE}
        made = self._ledger("LotCommissioned", current.owner, lot, **own)
        self.lots[lot] = Lot(made * 64, order, quantity, current.owner, PIECE)
        return lot

    def receive(self, name: str, holder: int, quantity: int, unit: bytes = PIECE) -> bytes:
        lot = self._name(SubjectKind.LOT, holder, name)
        made = self._ledger("LotReceived", holder, lot, quantity=quantity, unit=unit)
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
        hashes = [identifier_hash(self.identities[lot].salt, self.identities[lot].identifier) for lot in lots]
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
            inputs=tuple(Input(lot, self.lots[lot].order or NONE, inputs[lot]) for lot in taken),
            outputs=tuple(
                Output(one, quantity, PIECE, NONE) for one, quantity in zip(hashes, outputs.values(), strict=True)
            ),
        )
        made = self.chain.record(LotsTransformed(change), first.custodian, lots[0], (*taken, *lots))
        for lot in taken:
            self._consume(lot, inputs[lot])
        for place, (lot, quantity) in enumerate(zip(lots, outputs.values(), strict=True)):
            state = LotState.QUARANTINED if by else LotState.HELD
            self.lots[lot] = Lot(made * 64 + place, order, quantity, first.custodian, PIECE, None, by, state)
            if by:
                self.behind[lot, by] = self.behind.get((taken[0], by), 0)
            if kind is TransformationKind.SPLIT:
                self._hand_on(taken[0], lot)
        return lots

    def _hand_on(self, lot: bytes, part: bytes) -> None:
        for inspector in self.inspectors(part):
            latest = self.latest.get((lot, inspector))
            if latest is None or latest.sequence < self.reworked.get(lot, 0):
                continue
            self.latest[part, inspector] = latest
            known = self.certificates.get(part)
            if known is None or known.sequence < latest.sequence:
                self.certificates[part] = latest

    def inspectors(self, lot: bytes) -> tuple[int, ...]:
        order = self.lots[lot].order
        return () if order is None else tuple(gate.inspector for gate in self.orders[order].gates)

    def waive(self, lot: bytes, inspector: int) -> int:
        order = self.lots[lot].order
        assert order is not None
        latest = self.latest.get((lot, inspector))
        certificate = 0 if latest is None else latest.sequence
        own = {"inspector": inspector, "certificate": certificate}
        return self._ledger("GateWaived", self.orders[order].buyer, lot, **own)

    def rework(self, lot: bytes, *components: bytes) -> None:
        """Reworks a lot, of an order under its first operation; takes one of each component."""
        entry, taken = self.lots[lot], sorted(components)
        under = self.assignments[entry.order, 0].sequence if entry.order else 0
        inputs = tuple(Input(one, self.lots[one].order or NONE, 1, component=True) for one in taken)
        change = build(Rework, lot=lot, order=entry.order or NONE, components=inputs)
        self.reworked[lot] = self._ledger("LotReworked", entry.custodian, lot, *taken, rework=change, assignment=under)
        for one in taken:
            self._consume(one, 1)

    def allocate(self, lot: bytes, order: bytes) -> None:
        self._ledger("LotAllocated", self.lots[lot].custodian, lot, order=order, assignment=0)
        self.lots[lot].order = order

    def deallocate(self, lot: bytes) -> None:
        order = self.lots[lot].order
        assert order is not None
        self._ledger("LotDeallocated", self.orders[order].buyer, lot, order=order)
        self.lots[lot].order = None

    def _consume(self, lot: bytes, quantity: int) -> None:
        entry = self.lots[lot]
        entry.quantity -= quantity
        if not entry.quantity:
            entry.state, entry.counterparty = LotState.SPENT, 0

    def scrap(self, lot: bytes, quantity: int) -> None:
        self._ledger("LotScrapped", self.lots[lot].custodian, lot, quantity=quantity)
        self._consume(lot, quantity)

    def pack(self, parent: bytes, *lots: bytes) -> None:
        self._ledger("LotsPacked", self.lots[parent].custodian, parent, *sorted(lots))
        self.lots[parent].contents += len(lots)
        for lot in lots:
            self.lots[lot].parent = parent

    def unpack(self, parent: bytes, *lots: bytes) -> None:
        holder = self.lots[parent].custodian
        self._ledger("LotsUnpacked", holder, parent, *sorted(lots), custodian=holder)
        self.lots[parent].contents -= len(lots)
        for lot in lots:
            self.lots[lot].parent, self.lots[lot].custodian = None, holder

    def quarantine(self, lot: bytes, by: int) -> None:
        self._ledger("LotQuarantined", by, lot)
        self.lots[lot].state, self.lots[lot].counterparty = LotState.QUARANTINED, by
        self.behind[lot, by] = 0

    def release(self, lot: bytes) -> None:
        self._ledger("LotReleased", self.lots[lot].counterparty, lot)
        self.lots[lot].state, self.lots[lot].counterparty = LotState.HELD, 0

    def offer(self, lot: bytes, to: int) -> None:
        entry = self.lots[lot]
        entry.offer = self._ledger("CustodyOffered", entry.custodian, lot, to=to)
        entry.state, entry.counterparty = LotState.OFFERED, to

    def send_back(self, lot: bytes) -> None:
        """Offers a quarantined lot to its maker."""
        entry = self.lots[lot]
        entry.offer = self._ledger("ReturnOffered", entry.custodian, lot, to=self.maker(lot))
        entry.state = LotState.RETURNING

    def maker(self, lot: bytes) -> int:
        return self.identities[lot].creator

    def reclaim(self, lot: bytes, by: int) -> None:
        entry = self.lots[lot]
        self._ledger("CustodyReclaimed", by, lot, from_=entry.custodian)
        self._end_offer(entry)
        entry.custodian = by

    def _end_offer(self, entry: Lot) -> None:
        if entry.state is LotState.RETURNING:
            entry.state = LotState.QUARANTINED
        elif entry.state is LotState.OFFERED:
            entry.state, entry.counterparty = LotState.HELD, 0

    def take(self, lot: bytes) -> None:
        """Accepts the offered custody."""
        entry, to = self.lots[lot], self._asked(lot)
        self._ledger("CustodyAccepted", to, lot, offer=entry.offer)
        self._end_offer(entry)
        entry.custodian = to

    def end_offer(self, lot: bytes, *, declined: bool) -> None:
        entry = self.lots[lot]
        if declined:
            self._ledger("CustodyDeclined", self._asked(lot), lot, offer=entry.offer)
        else:
            self._ledger("CustodyWithdrawn", entry.custodian, lot)
        self._end_offer(entry)

    def _asked(self, lot: bytes) -> int:
        """To whom the lot is offered."""
        entry = self.lots[lot]
        return self.maker(lot) if entry.state is LotState.RETURNING else entry.counterparty

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
            items=(Item(lot, entry.order or NONE),),
            model=model,
            verdict=verdict,
            expires_at=self.chain.now + lasts_s,
            inference_digest=digest("inference", lot, self.chain.now),
            claims_root=NONE,
            stream=stream,
            leaf_index=leaf_index,
            leaf_hash=self.leaf(stream, leaf_index),
        )
        size, root = self.streams[stream]
        own: dict[str, object] = {"statement": statement, "anchor_size": size, "anchor_root": root}
        made = self._ledger("CertificateIssued", inspector, lot, **own)
        self.stated[made] = entry.order
        issued = self.latest[lot, inspector] = Certificate(made, model, inspector, verdict, lot=lot)
        inspectors = self.inspectors(lot)
        if not inspectors or inspector in inspectors:
            self.certificates[lot] = issued
        if inspector in inspectors:
            self._follow(lot, verdict, inspector, made)
        return made

    def revoke(self, lot: bytes) -> None:
        entry = self.certificates[lot]
        self._ledger("CertificateRevoked", entry.issuer, entry.lot, certificate=entry.sequence)
        entry.state = CertificateState.REVOKED

    def uphold(self, lot: bytes, participant: int, *, executed: bool = True) -> None:
        entry = self.certificates[lot]
        self._ledger("CertificateUpheld", participant, entry.lot, certificate=entry.sequence, executed=executed)
        entry.state = CertificateState.UPHELD

    def refute(self, lot: bytes, participant: int, executed: Verdict) -> None:
        entry = self.certificates[lot]
        self._ledger("CertificateRefuted", participant, entry.lot, certificate=entry.sequence, executed=executed)
        entry.state = CertificateState.REFUTED
        lot, by = entry.lot, entry.issuer
        order = self.lots[lot].order
        gated = by in self.inspectors(lot)
        known = executed is not Verdict.NONE or entry.verdict is Verdict.PASS
        if not gated or not known or entry.sequence < self.reworked.get(lot, 0) or order != self.stated[entry.sequence]:
            return
        if executed is not Verdict.PASS:
            self._follow(lot, Verdict.FAIL, by, 0)
        elif self.behind.get((lot, by)) == entry.sequence:
            self._follow(lot, Verdict.PASS, by, 0)

    def demand(self, lot: bytes, participant: int) -> None:
        entry = self.certificates[lot]
        entry.state, entry.opening_deadline = CertificateState.DEMANDED, self.chain.now + 604_800
        own: dict[str, object] = {"certificate": entry.sequence, "deadline": entry.opening_deadline}
        self._ledger("OpeningDemanded", participant, entry.lot, **own)

    def _follow(self, name: bytes, verdict: Verdict, inspector: int, certificate: int) -> None:
        """Changes the lot's state according to a verdict of its gate's inspector."""
        lot = self.lots[name]
        if lot.state is LotState.SPENT:
            return
        if verdict is Verdict.FAIL:
            lot.state, lot.counterparty = LotState.QUARANTINED, inspector
            self.behind[name, inspector] = certificate
        elif lot.state.is_quarantined and lot.counterparty == inspector:
            lot.state, lot.counterparty = LotState.HELD, 0

    def note(self, participant: int, *subjects: bytes, kind: int = 1, root: bytes = bytes(32)) -> int:
        return self._ledger("NoteRecorded", participant, *sorted(subjects), kind_=kind, about=0, claims_root=root)

    def correct(self, subject: bytes, participant: int, about: int) -> int:
        own: dict[str, object] = {
            "kind_": int(NoteKind.CORRECTION),
            "about": about,
            "claims_root": digest("correction"),
        }
        return self._ledger("NoteRecorded", participant, subject, **own)


def _number(number: int) -> bytes:
    return number.to_bytes(32, "big")
