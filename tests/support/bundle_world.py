"""A small factory on the embedded chain, in which every kind of record of orders and lots comes up: two orders of one
bar of steel, a revision, a declined machine, a failing part made anew, a box that travels, a corrected certificate, and
a key that turns out to be compromised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ledger.bundle import EvidenceEntryShown, InferenceShown, ShownEvidence
from ledger.canonical import Json, keccak256, sha256
from ledger.chain import Transport
from ledger.claims import Claims, build_claims
from ledger.evidence import EvidenceEntry, EvidenceLog, build_inference_context
from ledger.heads import inner_of, link, start_of
from ledger.ids import Identity, SubjectKind, identifier_hash
from ledger.keys import LocalSigner
from ledger.records import (
    AcceptAssignment,
    AcceptCustody,
    AcceptKey,
    AcceptOrder,
    AcceptRevision,
    Anchor,
    ApproveModel,
    CancelAssignment,
    CancelOrder,
    Challenge,
    CommissionLot,
    CompleteOrder,
    ConfirmDelivery,
    Contract,
    DeclineAssignment,
    DeclineCustody,
    DemandOpening,
    FinishAssignment,
    Input,
    IssueCertificate,
    Issued,
    Item,
    Link,
    OfferCustody,
    Opening,
    OpenStream,
    OrderTerms,
    Output,
    PackLots,
    PlaceOrder,
    ProposeAssignment,
    ProposeKey,
    ProposeRevision,
    QuarantineLot,
    ReceiveLot,
    Record,
    Recorded,
    RegisterMachine,
    RegisterModel,
    RejectOrder,
    ReleaseLot,
    RevokeCertificate,
    RevokeKey,
    ScrapLot,
    StartAssignment,
    Statement,
    Supersede,
    Transformation,
    TransformationKind,
    TransformLots,
    UnpackLots,
    Verdict,
    WithdrawCustody,
)
from ledger.records import Inference as OpenedInference
from ledger.store import Store
from ledger.submit import Submitter
from quality.decision import Verdict as ModelVerdict
from quality.digest import Inference
from services.demo.consortium import Company, Consortium, found_consortium

NOTHING = bytes(32)
GRAM, PIECE = b"GRM", b"H87"
YEAR_S = 365 * 86_400
MODEL_DIGEST = sha256(b"a model's canonical bytes")


@dataclass
class Inspection:
    """What the inspector keeps of one certificate."""

    certificate: int
    lot: bytes
    statement: Statement
    entry: EvidenceEntry
    anchor_size: int
    inference: Inference


@dataclass
class BundleWorld:
    consortium: Consortium
    model: int = 0
    packed_at: int = 0
    """When the box was packed."""
    machines: dict[str, int] = field(default_factory=dict)
    streams: dict[str, bytes] = field(default_factory=dict)
    logs: dict[str, EvidenceLog] = field(default_factory=dict)
    lots: dict[str, bytes] = field(default_factory=dict)
    orders: dict[str, bytes] = field(default_factory=dict)
    identities: dict[bytes, Identity] = field(default_factory=dict)
    documents: dict[bytes, Claims] = field(default_factory=dict)
    """By claims root."""
    inspections: dict[int, Inspection] = field(default_factory=dict)
    """By certificate."""
    finished: dict[int, EvidenceEntry] = field(default_factory=dict)
    """By sequence of the record."""

    @property
    def maker(self) -> Company:
        return self.consortium.makers[0]

    def act(self, company: Company, *records: Record) -> list[int]:
        return self.consortium.record(company, records)

    def named(self, kind: SubjectKind, company: Company, name: str) -> Identity:
        """`urn:example:NAME`, its salt made of it so that each run gives the same subjects."""
        identity = Identity(kind, company.number, f"urn:example:{name}", sha256(name.encode()))
        self.identities[identity.subject] = identity
        return identity

    def document(self, document: Json) -> bytes:
        claims = build_claims(document)
        self.documents[claims.root] = claims
        return claims.root

    def now(self) -> int:
        chain = self.consortium.chain
        return chain.header(chain.final_number()).timestamp

    def recorded(self) -> list[Recorded]:
        """All records of the ledger, oldest first."""
        chain = self.consortium.chain
        blocks = [chain.recorded(chain.header(number)) for number in range(chain.final_number() + 1)]
        return [record for block in blocks for record in block if record.contract is Contract.LEDGER]

    def note(self, machine: str, values: Json) -> EvidenceEntry:
        """A measured entry, anchored."""
        log = self.logs[machine]
        entry = log.append(values)
        company = self.consortium.inspector if machine == "bench" else self.maker
        self.act(company, Anchor(self.streams[machine], log.tree.size, log.tree.root()))
        return entry

    def transform(
        self,
        kind: TransformationKind,
        inputs: dict[str, int],
        outputs: dict[str, int],
        order: str = "",
        *,
        units: tuple[bytes, bytes] = (PIECE, PIECE),
        yields: tuple[int, int] = (1, 1),
        loss: int = 0,
    ) -> int:
        made = [self.named(SubjectKind.LOT, self.maker, name) for name in outputs]
        taken = sorted((self.lots[name], quantity) for name, quantity in inputs.items())
        change = Transformation(
            kind=kind,
            order=self.orders[order] if order else NOTHING,
            operation=0,
            unit=units[0],
            output_unit=units[1],
            loss=loss,
            yield_in=yields[0],
            yield_out=yields[1],
            claims_root=self.document({"step": kind.name}),
            inputs=tuple(Input(*pair) for pair in taken),
            outputs=tuple(
                Output(hash_of(identity), quantity, self.document({"piece": identity.identifier}))
                for identity, quantity in zip(made, outputs.values(), strict=True)
            ),
        )
        [sequence] = self.act(self.maker, TransformLots(change))
        self.lots.update({name: identity.subject for name, identity in zip(outputs, made, strict=True)})
        return sequence

    def certify(self, lot: str, verdict: Verdict, order: str = "", inferred: Verdict | None = None) -> int:
        """`inferred`: what the inference really says, where the statement says something else."""
        entry = self.note("bench", {"noise": [len(self.inspections), 7, -3], "part": lot})
        inference = self._inference(self.lots[lot], entry, inferred or verdict)
        statement = Statement(
            lot=self.lots[lot],
            order=self.orders[order] if order else NOTHING,
            model=self.model,
            verdict=verdict,
            expires_at=self.now() + YEAR_S,
            inference_digest=inference.digest,
            claims_root=self.document({"inspection": lot, "limits": {"noise": 9}, "passed": verdict == Verdict.PASS}),
            stream=self.streams["bench"],
            leaf_index=entry.index,
            leaf_hash=entry.leaf_hash,
        )
        [certificate] = self.act(self.consortium.inspector, IssueCertificate(statement))
        size = self.logs["bench"].tree.size
        self.inspections[certificate] = Inspection(certificate, self.lots[lot], statement, entry, size, inference)
        return certificate

    def _inference(self, lot: bytes, entry: EvidenceEntry, verdict: Verdict) -> Inference:
        context = build_inference_context(
            chain_id=self.consortium.chain.chain_id,
            ledger=self.consortium.chain.ledger,
            lot=lot,
            stream=self.streams["bench"],
            leaf_index=entry.index,
            leaf=entry.leaf_hash,
        )
        salt, logits = sha256(b"input" + lot), (-5,) if verdict is Verdict.PASS else (5,)
        return Inference(context, MODEL_DIGEST, salt, bytes(range(16)), logits, ModelVerdict(int(verdict)))

    def demand(self, company: Company, lot: str, certificate: int, order: str) -> None:
        self.act(company, DemandOpening(self.lots[lot], self.orders[order], certificate))

    def open(self, company: Company, certificate: int) -> None:
        """Shows the inference on chain, which upholds the certificate or refutes it."""
        inspection = self.inspections[certificate]
        history = [one for one in self.recorded() if inspection.lot in one.histories]
        place = next(at for at, one in enumerate(history) if one.sequence == certificate)
        record = history[place]
        opening = Opening(
            previous_head=self._head_before(inspection.lot, history[:place]),
            kind=record.topic,
            sequence=certificate,
            participant=record.participant,
            key=record.key,
            digest=keccak256(record.data),
            timestamp=record.block_time,
            later=tuple(Link(one.topic, inner(one)) for one in history[place + 1 :]),
        )
        statement = inspection.statement
        issued = Issued(statement, inspection.anchor_size, self.logs["bench"].tree.root(inspection.anchor_size))
        shown = inspection.inference
        opened = OpenedInference(shown.input, shown.salt, shown.logits, int(shown.verdict))
        self.act(company, Challenge(inspection.lot, opening, issued, opened))

    def lied(self, certificate: int) -> bool:
        """Whether the inspector stated another verdict than the inference's."""
        inspection = self.inspections[certificate]
        return int(inspection.inference.verdict) != inspection.statement.verdict

    def _head_before(self, lot: bytes, history: list[Recorded]) -> bytes:
        head = start_of(self.consortium.chain.chain_id, self.consortium.chain.ledger, lot)
        for record in history:
            head = link(head, record.topic, inner(record))
        return head

    def evidence_of(self, certificate: int, *, shown: bool = True) -> ShownEvidence:
        inspection, log = self.inspections[certificate], self.logs["bench"]
        entry = inspection.entry
        return ShownEvidence(
            record=certificate,
            inclusion=tuple(log.tree.inclusion_proof(entry.index, inspection.anchor_size)),
            consistency=tuple(log.tree.consistency_proof(inspection.anchor_size)),
            shown=EvidenceEntryShown(entry.salt, entry.entry) if shown else None,
        )

    def finish_evidence_of(self, record: int) -> ShownEvidence:
        entry, tree = self.finished[record], self.logs["press"].tree
        return ShownEvidence(
            record, tuple(tree.inclusion_proof(entry.index)), (), EvidenceEntryShown(entry.salt, entry.entry)
        )

    def inference_of(self, certificate: int) -> InferenceShown:
        inference = self.inspections[certificate].inference
        return InferenceShown(certificate, inference.salt, inference.input, inference.logits)


def inner(record: Recorded) -> bytes:
    """What a link carries of a record."""
    return inner_of(
        sequence=record.sequence,
        participant=record.participant,
        key=record.key,
        data=record.data,
        block_time=record.block_time,
    )


def hash_of(identity: Identity) -> bytes:
    return identifier_hash(identity.salt, identity.identifier)


def build_bundle_world(store: Store, transport: Transport | None = None) -> BundleWorld:
    world = BundleWorld(found_consortium(store, transport))
    chapters: tuple[Callable[[BundleWorld], None], ...] = (
        _plant, _orders, _steel, _pieces, _inspect, _correct, _deliver, _finish, _refused_orders, _rotate_key,
    )  # fmt: skip
    for chapter in chapters:
        chapter(world)
    return world


def _plant(world: BundleWorld) -> None:
    inspector, auditor = world.consortium.inspector, world.consortium.auditor
    for name, owner in (("press", world.maker), ("spare", world.maker), ("bench", inspector)):
        machine = world.named(SubjectKind.MACHINE, owner, name)
        [world.machines[name]] = world.act(owner, RegisterMachine(hash_of(machine), NOTHING))
        stream = world.named(SubjectKind.STREAM, owner, f"{name}-log")
        world.act(owner, OpenStream(hash_of(stream), world.machines[name], NOTHING))
        world.streams[name], world.logs[name] = stream.subject, EvidenceLog()
    [world.model] = world.act(inspector, RegisterModel(MODEL_DIGEST, NOTHING))
    world.act(auditor, ApproveModel(world.model, NOTHING))


def _terms(world: BundleWorld, name: str, operations: int) -> OrderTerms:
    root = world.document({"order": name, "price": {"amount": 120, "currency": "EUR"}, "engraving": "für Mara"})
    return OrderTerms(operations, world.consortium.inspector.number, world.model, world.now() + YEAR_S, root)


def _orders(world: BundleWorld) -> None:
    buyer, coordinator = world.consortium.buyer, world.consortium.coordinator
    for name in ("hip", "rail"):
        identity = world.named(SubjectKind.ORDER, buyer, name)
        world.act(buyer, PlaceOrder(hash_of(identity), coordinator.number, _terms(world, name, 1)))
        world.orders[name] = identity.subject
    hip = world.orders["hip"]
    terms = replace(_terms(world, "hip", 1), due_at=world.now() + 2 * YEAR_S)
    before = world.consortium.chain.head(hip)
    [proposal] = world.act(coordinator, ProposeRevision(hip, terms))
    proposer, at = coordinator.signer.address, world.now()
    world.act(buyer, AcceptRevision(hip, terms, before, proposal, proposer, at))
    for name in ("hip", "rail"):
        world.act(coordinator, AcceptOrder(world.orders[name], NOTHING))


def _assign(world: BundleWorld, order: str, machine: str = "press") -> int:
    subject, coordinator = world.orders[order], world.consortium.coordinator
    [number] = world.act(coordinator, ProposeAssignment(subject, 0, world.machines[machine], NOTHING))
    return number


def _begin(world: BundleWorld, order: str) -> int:
    number, subject = _assign(world, order), world.orders[order]
    world.act(world.maker, AcceptAssignment(subject, 0, number, NOTHING))
    world.act(world.maker, StartAssignment(subject, 0, number, NOTHING))
    return number


def _steel(world: BundleWorld) -> None:
    """A bar and scrap melted into one billet, which two orders share."""
    for name, quantity in (("bar", 100), ("scrap", 20)):
        identity = world.named(SubjectKind.LOT, world.maker, name)
        root = world.document({"supplier": "Heath Steel", "heat": name, "chemistry": {"C": "0.42"}})
        world.act(world.maker, ReceiveLot(hash_of(identity), quantity, GRAM, root))
        world.lots[name] = identity.subject
    world.transform(TransformationKind.MERGE, {"bar": 80, "scrap": 20}, {"billet": 98}, units=(GRAM, GRAM), loss=2)
    hip = world.orders["hip"]
    declined = _assign(world, "hip", "spare")
    world.act(world.maker, DeclineAssignment(hip, 0, declined, NOTHING))
    cancelled = _assign(world, "hip", "spare")
    world.act(world.consortium.coordinator, CancelAssignment(hip, 0, cancelled, NOTHING))
    for order in ("hip", "rail"):
        _begin(world, order)
        units, yields = (GRAM, PIECE), (10, 1)
        world.transform(
            TransformationKind.CONVERSION, {"billet": 40}, {f"{order}-blank": 4}, order, units=units, yields=yields
        )


def _pieces(world: BundleWorld) -> None:
    maker, blank = world.maker, world.lots["hip-blank"]
    world.transform(TransformationKind.SPLIT, {"hip-blank": 3}, {"hip-1": 1, "hip-2": 1, "hip-3": 1}, "hip")
    world.act(maker, ScrapLot(blank, 1, world.document({"reason": "crooked"})))
    world.act(maker, QuarantineLot(world.lots["hip-2"], world.orders["hip"], NOTHING))
    world.act(maker, ReleaseLot(world.lots["hip-2"], NOTHING))
    for name in ("hip-4", "hip-5"):
        extra = world.named(SubjectKind.LOT, maker, name)
        world.act(maker, CommissionLot(hash_of(extra), world.orders["hip"], 0, 2, PIECE, NOTHING))
        world.lots[name] = extra.subject


def _inspect(world: BundleWorld) -> None:
    world.certify("hip-1", Verdict.PASS, "hip")
    second = world.certify("hip-2", Verdict.PASS, "hip")
    world.demand(world.consortium.buyer, "hip-2", second, "hip")
    world.open(world.consortium.inspector, second)
    lied = world.certify("hip-5", Verdict.PASS, "hip", inferred=Verdict.FAIL)
    world.open(world.consortium.auditor, lied)
    world.certify("hip-3", Verdict.FAIL, "hip")
    world.transform(TransformationKind.REWORK, {"hip-3": 1}, {"hip-3b": 1}, "hip")
    last = world.certify("hip-3b", Verdict.PASS, "hip")
    world.demand(world.consortium.auditor, "hip-3b", last, "hip")


def _correct(world: BundleWorld) -> None:
    """The certificate of hip-1 is revoked, marked as corrected, and issued anew."""
    inspector, chain, lot = world.consortium.inspector, world.consortium.chain, world.lots["hip-1"]
    wrong = next(one for one in world.inspections.values() if one.lot == lot).certificate
    before = chain.head(lot)
    [revoked] = world.act(inspector, RevokeCertificate(lot, wrong, NOTHING))
    record = world.recorded()[-1]
    assert record.sequence == revoked
    opening = Opening(
        before, record.topic, revoked, inspector.number, record.key, keccak256(record.data), record.block_time, ()
    )
    world.act(inspector, Supersede(lot, opening, world.document({"reason": "wrong part on the bench"})))
    world.certify("hip-1", Verdict.PASS, "hip")


def _deliver(world: BundleWorld) -> None:
    """Two hips travel in a box to the buyer, who takes one out."""
    maker, carrier, buyer = world.maker, world.consortium.carrier, world.consortium.buyer
    identity = world.named(SubjectKind.LOT, maker, "box")
    world.act(maker, ReceiveLot(hash_of(identity), 1, PIECE, NOTHING))
    box = world.lots["box"] = identity.subject
    packed = sorted(world.lots[name] for name in ("hip-1", "hip-2"))
    world.act(maker, PackLots(box, tuple(packed)))
    world.packed_at = world.now()
    items = (Item(box, NOTHING), *(Item(lot, world.orders["hip"]) for lot in packed))
    world.act(maker, OfferCustody(items, carrier.number, NOTHING))
    world.act(carrier, DeclineCustody(box, NOTHING))
    world.act(maker, OfferCustody(items, carrier.number, NOTHING))
    world.act(maker, WithdrawCustody(box, NOTHING))
    for giver, taker in ((maker, carrier), (carrier, buyer)):
        world.act(giver, OfferCustody(items, taker.number, NOTHING))
        world.act(taker, AcceptCustody(items, NOTHING))
    world.act(buyer, UnpackLots(box, (world.lots["hip-1"],)))


def _finish(world: BundleWorld) -> None:
    for order in ("hip", "rail"):
        entry = world.note("press", {"force_n": [1200, 1190], "order": order})
        subject = world.orders[order]
        number = max(
            one.sequence for one in world.recorded() if one.kind == "AssignmentStarted" and one.subject == subject
        )
        started = next(one for one in world.recorded() if one.sequence == number)
        assignment = started.fields["assignment"]
        assert isinstance(assignment, int)
        finish = FinishAssignment(subject, 0, assignment, world.streams["press"], entry.index, entry.leaf_hash)
        [sequence] = world.act(world.maker, finish)
        world.finished[sequence] = entry
        world.note("press", {"cleaned": True})
    hip = world.orders["hip"]
    world.act(world.consortium.coordinator, CompleteOrder(hip, NOTHING))
    world.act(world.consortium.buyer, ConfirmDelivery(hip, NOTHING))


def _refused_orders(world: BundleWorld) -> None:
    buyer, coordinator = world.consortium.buyer, world.consortium.coordinator
    for name in ("rejected", "cancelled"):
        identity = world.named(SubjectKind.ORDER, buyer, name)
        world.act(buyer, PlaceOrder(hash_of(identity), coordinator.number, _terms(world, name, 2)))
        world.orders[name] = identity.subject
    world.act(coordinator, RejectOrder(world.orders["rejected"], NOTHING))
    world.act(buyer, CancelOrder(world.orders["cancelled"], NOTHING))


def _rotate_key(world: BundleWorld) -> None:
    """The maker's key was in other hands since it packed the box, as it finds out at the end."""
    maker, chain = world.maker, world.consortium.chain
    fresh = LocalSigner.generate()
    chain.node.fund(fresh.address, 10**18)
    world.act(maker, ProposeKey(fresh.address))
    signer = Company(maker.name, maker.number, fresh, Submitter(chain, world.consortium.outbox, fresh))
    world.act(signer, AcceptKey(maker.number))
    world.act(signer, RevokeKey(maker.signer.address, world.packed_at))
    later = world.named(SubjectKind.STREAM, world.consortium.inspector, "later-log")
    world.act(world.consortium.inspector, OpenStream(hash_of(later), world.machines["bench"], NOTHING))
