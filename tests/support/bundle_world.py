"""The second world: the eight companies on the embedded chain, what they keep, and what happens, chapter by chapter.

Every kind of record about orders and lots occurs: two orders from one bar of steel, a revision, a declined machine, a
failed part that is made again, a box that travels, a corrected certificate, and a key that proves to be compromised.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from millmark.ledger.bundle import EvidenceEntryShown, InferenceShown, ShownEvidence
from millmark.ledger.canonical import Json, keccak256, sha256
from millmark.ledger.chain import EmbeddedChain, Transport, fetch_checkpoint, fetch_trust
from millmark.ledger.checkpoint import SignedCheckpoint
from millmark.ledger.claims import Claims, build_claims
from millmark.ledger.events import Event, Recorded
from millmark.ledger.events.orders import AssignmentStarted
from millmark.ledger.evidence import (
    EvidenceEntry,
    EvidenceLog,
    LeafKind,
    build_inference_context,
    build_leaf_data,
    build_window_commitment,
    build_window_entry,
)
from millmark.ledger.ids import Identity, SubjectKind, identifier_hash
from millmark.ledger.keys import LocalSigner
from millmark.ledger.names import derive_identity
from millmark.ledger.provenance import build_bundle, parse_disclosing
from millmark.ledger.records import (
    ALL_ROLES,
    AcceptAssignment,
    AcceptCustody,
    AcceptKey,
    AcceptOrder,
    AcceptRevision,
    AllocateLot,
    Anchor,
    ApproveModel,
    CancelAssignment,
    CancelOrder,
    Challenge,
    CommissionLot,
    CompleteOrder,
    ConfirmDelivery,
    Contract,
    DeallocateLot,
    DeclineAssignment,
    DeclineCustody,
    DemandOpening,
    Disposition,
    EndOrder,
    Entrust,
    FinishAssignment,
    Gate,
    Input,
    IssueCertificate,
    Issued,
    Item,
    Measured,
    Note,
    NoteKind,
    ObjectToRecovery,
    OfferCustody,
    OpenStream,
    OrderTerms,
    Output,
    PackLots,
    PlaceOrder,
    ProposeAssignment,
    ProposeEnd,
    ProposeKey,
    ProposeRecovery,
    ProposeRevision,
    Publish,
    QuarantineLot,
    ReceiveLot,
    ReclaimCustody,
    Record,
    RegisterMachine,
    RegisterModel,
    Reinstate,
    ReleaseLot,
    ReturnLot,
    RevokeCertificate,
    RevokeKey,
    Rework,
    ReworkLot,
    Role,
    ScrapLot,
    SetNameKey,
    SetRoles,
    StartAssignment,
    Statement,
    Suspend,
    Transformation,
    TransformationKind,
    TransformLots,
    UnpackLots,
    UnpackReclaimable,
    Verdict,
    WaiveGate,
    WithdrawCustody,
)
from millmark.ledger.records import Inference as OpenedInference
from millmark.ledger.signatures import Signer
from millmark.ledger.slots import inner_of
from millmark.ledger.store import Book, Store
from millmark.ledger.submit import Submitter
from millmark.ledger.trust import BelievedBlock, TrustFile
from millmark.quality.inference import Inference, pack_window
from millmark.quality.inference import Verdict as ModelVerdict
from millmark.services.demo.consortium import Company, Consortium, found_consortium
from tests.support.ledger_world import Template, new_engine

NOTHING = bytes(32)
GRAM, PIECE = b"GRM", b"H87"
YEAR_S = 365 * 86_400
ABSENCE_S = 15 * 86_400
"""Longer than a company must be unable to act before what it holds is reclaimed: 14 days."""
MODEL_DIGEST = sha256(b"a model's canonical bytes")


@dataclass
class Inspection:
    """What an inspector keeps about one certificate."""

    inspector: Company
    machine: str
    """On which it measured."""
    statement: Statement
    entry: EvidenceEntry | None
    """The entry that it names; None if there is none with the leaf hash that it states."""
    anchor_size: int
    inference: Inference | None
    """None by procedure."""


@dataclass
class BundleWorld:
    """The companies on their ledger, and everything that they keep off the chain."""

    consortium: Consortium
    model: int = 0
    packed_at: int = 0
    """When the box was packed, seconds since 1970."""
    machines: dict[str, int] = field(default_factory=dict)
    streams: dict[str, bytes] = field(default_factory=dict)
    logs: dict[str, EvidenceLog] = field(default_factory=dict)
    lots: dict[str, bytes] = field(default_factory=dict)
    orders: dict[str, bytes] = field(default_factory=dict)
    order_of: dict[bytes, bytes] = field(default_factory=dict)
    """The order of each lot that has one."""
    identities: dict[bytes, Identity] = field(default_factory=dict)
    documents: dict[bytes, Claims] = field(default_factory=dict)
    """By claims root."""
    inspections: dict[int, Inspection] = field(default_factory=dict)
    """By sequence of the certificate."""
    finished: dict[int, tuple[str, EvidenceEntry]] = field(default_factory=dict)
    """Machine and measurement, by sequence of the record that finished the operation."""
    anchored: dict[str, int] = field(default_factory=dict)
    """How many entries of each machine's stream are on the ledger: a suspended company anchors none."""

    @property
    def maker(self) -> Company:
        return self.consortium.makers[0]

    def act(self, company: Company, *records: Record) -> list[int]:
        return self.consortium.record(company, records)

    def named(self, kind: SubjectKind, company: Company, name: str) -> Identity:
        """Creates the identity of `urn:example:NAME`."""
        chain, number = self.consortium.chain, company.number
        identity = derive_identity(chain, [company.name_key], kind, number, f"urn:example:{name}")
        self.identities[identity.subject] = identity
        return identity

    def document(self, document: Json) -> bytes:
        claims = build_claims(document)
        self.documents[claims.root] = claims
        return claims.root

    def owner_of(self, machine: str) -> Company:
        return self.consortium.inspector if machine == "bench" else self.maker

    def equip(self, machine: str) -> None:
        """Registers a machine, and opens its stream."""
        owner = self.owner_of(machine)
        registered = self.named(SubjectKind.MACHINE, owner, machine)
        [self.machines[machine]] = self.act(owner, RegisterMachine(hash_of(registered), NOTHING))
        stream = self.named(SubjectKind.STREAM, owner, f"{machine}-log")
        self.act(owner, OpenStream(hash_of(stream), self.machines[machine], NOTHING))
        self.streams[machine], self.logs[machine] = stream.subject, EvidenceLog()

    def anchor(self, machine: str) -> None:
        """Anchors a machine's log as it is."""
        tree = self.logs[machine].tree
        self.act(self.owner_of(machine), Anchor(self.streams[machine], tree.size, tree.root()))
        self.anchored[machine] = tree.size

    def now(self) -> int:
        chain = self.consortium.chain
        return chain.header(chain.final_number()).timestamp

    def recorded(self) -> list[Recorded[Event]]:
        """All records of the ledger, oldest first."""
        chain = self.consortium.chain
        blocks = [chain.recorded(chain.header(number)) for number in range(chain.final_number() + 1)]
        return [record for block in blocks for record in block if record.contract is Contract.LEDGER]

    def note(self, machine: str, values: Json) -> EvidenceEntry:
        """Adds an operation's measurement to a machine's log and anchors it."""
        return self._add(machine, values, LeafKind.OPERATION)

    def _add(self, machine: str, values: Json, kind: LeafKind) -> EvidenceEntry:
        entry = self.logs[machine].append(values, kind=kind)
        self.anchor(machine)
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
        used: Collection[str] = (),
        beside: Mapping[str, bytes] | None = None,
    ) -> int:
        """Transforms lots. `used`: those of the inputs that are components; `beside`: outputs with another unit."""
        beside, components = beside or {}, {self.lots[name] for name in used}
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
            inputs=tuple(self._input(lot, quantity, component=lot in components) for lot, quantity in taken),
            outputs=tuple(
                Output(hash_of(identity), quantity, beside.get(name, units[1]), self._piece(identity))
                for identity, (name, quantity) in zip(made, outputs.items(), strict=True)
            ),
        )
        [sequence] = self.act(self.maker, TransformLots(change))
        self.lots.update({name: identity.subject for name, identity in zip(outputs, made, strict=True)})
        self.order_of.update({identity.subject: change.order for identity in made})
        return sequence

    def rework(self, lot: str, components: Collection[str], order: str = "") -> int:
        """Reworks a lot, which keeps its identifier; takes one of each component."""
        taken = sorted(self.lots[name] for name in components)
        change = Rework(
            lot=self.lots[lot],
            order=self.orders[order] if order else NOTHING,
            operation=0,
            claims_root=self.document({"rework": lot}),
            components=tuple(self._input(one, 1, component=True) for one in taken),
        )
        [sequence] = self.act(self.maker, ReworkLot(change))
        return sequence

    def _input(self, lot: bytes, quantity: int, *, component: bool) -> Input:
        return Input(lot, self.order_of.get(lot, NOTHING), quantity, component)

    def _piece(self, identity: Identity) -> bytes:
        return self.document({"piece": identity.identifier})

    def certify(self, lot: str, verdict: Verdict, order: str = "", inferred: Verdict | None = None) -> int:
        """Issues a certificate and returns its sequence. `inferred`: the inference's verdict, if it is to differ from
        the statement's."""
        window, salt = pack_window([len(self.inspections), *range(7, 22)]), sha256(b"input" + self.lots[lot])
        entry = self.cut(lot, build_window_commitment(salt, window))
        inference = self.infer(self.lots[lot], entry, inferred or verdict, salt, window)
        statement = Statement(
            items=(Item(self.lots[lot], self.orders[order] if order else NOTHING),),
            model=self.model,
            verdict=verdict,
            expires_at=self.now() + YEAR_S,
            inference_digest=inference.digest,
            claims_root=self.document({"inspection": lot, "limits": {"noise": 9}, "passed": verdict == Verdict.PASS}),
            stream=self.streams["bench"],
            leaf_index=entry.index,
            leaf_hash=entry.leaf_hash,
        )
        return self.issue(Inspection(self.consortium.inspector, "bench", statement, entry, 0, inference))

    def issue(self, inspection: Inspection) -> int:
        """Records the certificate and returns its sequence. The inspection's anchor becomes the machine's latest."""
        [certificate] = self.act(inspection.inspector, IssueCertificate(inspection.statement))
        self.inspections[certificate] = replace(inspection, anchor_size=self.anchored[inspection.machine])
        return certificate

    def cut(self, lot: str, commitment: bytes) -> EvidenceEntry:
        """Adds a window of a lot to the bench's log and anchors it."""
        last = self.logs["bench"].tree.size
        return self._add("bench", build_window_entry(self.lots[lot], commitment, last, last, 0), LeafKind.WINDOW)

    def infer(
        self,
        lot: bytes,
        entry: EvidenceEntry,
        verdict: Verdict,
        salt: bytes,
        window: bytes,
        *,
        machine: str = "bench",
        model: bytes = MODEL_DIGEST,
        leaf: bytes = b"",
    ) -> Inference:
        """`model`: its digest; `leaf`: the hash that is stated of the entry, if not its own."""
        context = build_inference_context(
            chain_id=self.consortium.chain.chain_id,
            ledger=self.consortium.chain.ledger,
            lot=lot,
            stream=self.streams[machine],
            leaf_index=entry.index,
            leaf=leaf or entry.leaf_hash,
        )
        logits = (-5,) if verdict is Verdict.PASS else (5,)
        return Inference(context, model, salt, window, logits, ModelVerdict(int(verdict)))

    def demand(self, company: Company, lot: str, certificate: int, order: str) -> None:
        self.act(company, DemandOpening(self.lots[lot], self.orders[order], certificate))

    def open(self, company: Company, certificate: int) -> None:
        """Opens the inference on the chain, which upholds or refutes the certificate."""
        inspection = self.inspections[certificate]
        entry, shown, size = inspection.entry, inspection.inference, inspection.anchor_size
        assert entry is not None
        assert shown is not None
        tree = self.logs[inspection.machine].tree
        issued = Issued(inspection.statement, size, tree.root(size))
        opened = OpenedInference(shown.window, shown.salt, shown.logits, int(shown.verdict))
        leaf = build_leaf_data(entry.kind, entry.salt, entry.entry)
        measured = Measured(leaf, tuple(tree.inclusion_proof(entry.index, size)))
        self.act(company, Challenge(certificate, inspection.inspector.signer.address, issued, opened, measured))

    def measured(self) -> list[int]:
        """The certificates whose evidence is kept."""
        return [number for number, one in self.inspections.items() if one.entry is not None]

    def lied(self, certificate: int) -> bool:
        """Whether there is no inference that the certificate's verdict follows from."""
        inspection = self.inspections[certificate]
        return inspection.inference is None or int(inspection.inference.verdict) != inspection.statement.verdict

    def evidence_of(self, certificate: int, *, shown: bool = True) -> ShownEvidence:
        inspection = self.inspections[certificate]
        tree, entry, size = self.logs[inspection.machine].tree, inspection.entry, inspection.anchor_size
        assert entry is not None
        return ShownEvidence(
            record=certificate,
            inclusion=tuple(tree.inclusion_proof(entry.index, size)),
            consistency=tuple(tree.consistency_proof(size, self.anchored[inspection.machine])),
            shown=EvidenceEntryShown(entry.kind, entry.salt, entry.entry) if shown else None,
        )

    def finish_evidence_of(self, record: int) -> ShownEvidence:
        machine, entry = self.finished[record]
        inclusion = self.logs[machine].tree.inclusion_proof(entry.index, self.anchored[machine])
        opened = EvidenceEntryShown(entry.kind, entry.salt, entry.entry)
        return ShownEvidence(record, tuple(inclusion), (), opened)

    def inference_of(self, certificate: int) -> InferenceShown:
        inference = self.inspections[certificate].inference
        assert inference is not None
        return InferenceShown(certificate, inference.salt, inference.window, inference.logits)


def inner(record: Recorded[Event]) -> bytes:
    """The hash that a link of a history has for the record."""
    return inner_of(
        sequence=record.sequence,
        participant=record.participant,
        key=record.key,
        data=record.data,
        block_time=record.block_time,
    )


def hash_of(identity: Identity) -> bytes:
    """The salted hash of an identity's identifier."""
    return identifier_hash(identity.salt, identity.identifier)


def build_bundle_world(store: Store, transport: Transport | None = None) -> BundleWorld:
    """Deploys a ledger, founds the companies and records all chapters."""
    transport = transport or new_engine()
    transport.request("evm_increaseTime", [-ABSENCE_S])  # so that it tells of now when the first chapter is over
    world = BundleWorld(found_consortium(store, transport))
    tell_chapters(world)
    world.consortium.settle()  # it keeps records until they are final, and with them keys that were replaced
    return world


def signers_of(consortium: Consortium) -> list[Signer]:
    """The keys of the owner and the companies, which copies of a world have in common."""
    return [company.signer for company in (consortium.owner, *consortium.companies)]


_FOUNDED = Template(
    lambda store, chain: BundleWorld(found_consortium(store, chain)),
    lambda world: signers_of(world.consortium),
    EmbeddedChain,
)
_TOLD = Template(build_bundle_world, lambda world: signers_of(world.consortium))


def copy_founded_world(store: Store) -> tuple[BundleWorld, EmbeddedChain]:
    """The eight companies on a ledger without orders and lots, in an empty store, and the chain that it is on."""
    return _FOUNDED.copy(store)


def copy_bundle_world(store: Store) -> tuple[BundleWorld, EmbeddedChain]:
    """What `build_bundle_world` builds, in an empty store, and the chain that it is on. Only the first one takes
    seconds."""
    return _TOLD.copy(store)


def tell_chapters(world: BundleWorld) -> None:
    chapters: tuple[Callable[[BundleWorld], None], ...] = (
        _leave, _plant, _orders, _steel, _pieces, _inspect, _stock, _correct, _deliver, _waive, _send_back,
        _finish, _refused_orders, _notes, _rotate_key, _govern,
    )  # fmt: skip
    for chapter in chapters:
        chapter(world)


def _leave(world: BundleWorld) -> None:
    """The carrier vanishes with a crate of the maker's. Its trustee, the maker, takes the lining out and reclaims both;
    then the carrier is back.
    """
    owner, carrier, maker = world.consortium.owner, world.consortium.carrier, world.maker
    identity = world.named(SubjectKind.LOT, maker, "crate")
    crate = world.lots["crate"] = identity.subject
    inner = world.named(SubjectKind.LOT, maker, "lining")
    lining = world.lots["lining"] = inner.subject
    world.act(maker, ReceiveLot(hash_of(identity), 4, PIECE, NOTHING), ReceiveLot(hash_of(inner), 1, PIECE, NOTHING))
    world.act(maker, PackLots(crate, (lining,)))
    items = (Item(crate, NOTHING), Item(lining, NOTHING))
    [offer] = world.act(maker, OfferCustody(items, carrier.number, NOTHING))
    world.act(carrier, AcceptCustody(items, offer, NOTHING))
    world.act(owner, Suspend(carrier.number, NOTHING), Entrust(carrier.number, maker.number))
    world.consortium.chain.node.wait(ABSENCE_S)
    world.act(maker, UnpackReclaimable(crate, NOTHING, (lining,)))
    reason = world.document({"reason": "the carrier is gone"})
    world.act(maker, *(ReclaimCustody((item,), reason) for item in items))
    world.act(owner, Reinstate(carrier.number))


def _send_back(world: BundleWorld) -> None:
    """The carrier finds three of the crate's four pieces, quarantines them, and sends them back."""
    maker, carrier, crate = world.maker, world.consortium.carrier, world.lots["crate"]
    items = (Item(crate, NOTHING),)
    [offer] = world.act(maker, OfferCustody(items, carrier.number, NOTHING))
    complaint = Note((crate,), (NOTHING,), NoteKind.COMPLAINT, 0, world.document({"text": "one is missing"}))
    world.act(carrier, AcceptCustody(items, offer, NOTHING), complaint)
    world.act(carrier, ScrapLot(crate, 1, Disposition.LOST, NOTHING))
    world.act(carrier, QuarantineLot(crate, NOTHING, world.document({"reason": "wet"})))
    identity = world.identities[crate]
    [offer] = world.act(carrier, ReturnLot(crate, maker.number, hash_of(identity), NOTHING))
    world.act(maker, AcceptCustody(items, offer, NOTHING))


def _plant(world: BundleWorld) -> None:
    inspector, auditor = world.consortium.inspector, world.consortium.auditor
    for name in ("press", "spare", "bench"):
        world.equip(name)
    [world.model] = world.act(inspector, RegisterModel(MODEL_DIGEST, NOTHING))
    world.act(auditor, ApproveModel(world.model, NOTHING))


def _terms(world: BundleWorld, name: str, operations: int) -> OrderTerms:
    root = world.document({"order": name, "price": {"amount": 120, "currency": "EUR"}, "engraving": "für Mara"})
    gate = Gate(world.consortium.inspector.number, world.model)
    coordinator = world.consortium.coordinator.number
    return OrderTerms(operations, coordinator, (gate,), world.now() + YEAR_S, 0, bytes(3), root)


def _orders(world: BundleWorld) -> None:
    """One with the inspector's gate, and one with a second one, of the carrier, by procedure."""
    buyer, coordinator, carrier = world.consortium.buyer, world.consortium.coordinator, world.consortium.carrier
    world.act(world.consortium.owner, SetRoles(carrier.number, int(Role.CARRIER | Role.INSPECTOR)))
    for name, more in (("hip", ()), ("rail", (Gate(carrier.number),))):
        identity = world.named(SubjectKind.ORDER, buyer, name)
        terms = _terms(world, name, 1)
        world.act(buyer, PlaceOrder(hash_of(identity), replace(terms, gates=(*terms.gates, *more))))
        world.orders[name] = identity.subject
    hip = world.orders["hip"]
    terms = replace(_terms(world, "hip", 1), due_at=world.now() + 2 * YEAR_S, quantity=1, unit=PIECE)
    [proposal] = world.act(coordinator, ProposeRevision(hip, terms))
    world.act(buyer, AcceptRevision(hip, terms, proposal))
    for name in ("hip", "rail"):
        world.act(coordinator, AcceptOrder(world.orders[name], NOTHING))


def _assign(world: BundleWorld, order: str, machine: str = "press") -> int:
    subject, coordinator = world.orders[order], world.consortium.coordinator
    [number] = world.act(coordinator, ProposeAssignment(subject, 0, world.machines[machine], NOTHING))
    return number


def _begin(world: BundleWorld, order: str) -> int:
    number, subject = _assign(world, order), world.orders[order]
    world.act(world.maker, AcceptAssignment(subject, 0, number, NOTHING))
    world.act(world.maker, StartAssignment(subject, 0, number, world.streams["press"], NOTHING))
    return number


def _steel(world: BundleWorld) -> None:
    """Melts a bar and scrap into one billet, which two orders share."""
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
    world.act(maker, ScrapLot(blank, 1, Disposition.SCRAPPED, world.document({"reason": "crooked"})))
    world.act(maker, QuarantineLot(world.lots["hip-2"], world.orders["hip"], NOTHING))
    world.act(maker, ReleaseLot(world.lots["hip-2"], world.orders["hip"], NOTHING))
    for name in ("hip-4", "hip-5", "hip-7"):
        extra = world.named(SubjectKind.LOT, maker, name)
        world.act(maker, CommissionLot(hash_of(extra), world.orders["hip"], 0, 2, PIECE, NOTHING))
        world.lots[name], world.order_of[extra.subject] = extra.subject, world.orders["hip"]


def _inspect(world: BundleWorld) -> None:
    world.certify("hip-1", Verdict.PASS, "hip")
    second = world.certify("hip-2", Verdict.PASS, "hip")
    world.demand(world.consortium.buyer, "hip-2", second, "hip")
    world.open(world.consortium.inspector, second)
    lied = world.certify("hip-5", Verdict.PASS, "hip", inferred=Verdict.FAIL)
    world.open(world.consortium.auditor, lied)
    world.certify("hip-3", Verdict.FAIL, "hip")
    world.rework("hip-3", (), "hip")
    last = world.certify("hip-3", Verdict.PASS, "hip")
    world.demand(world.consortium.auditor, "hip-3", last, "hip")


def _stock(world: BundleWorld) -> None:
    """Replaces a bolt of a part that passed, and that has to pass again. Brings a part from stock into the order, and
    takes it out again, to assemble it."""
    maker, buyer, hip = world.maker, world.consortium.buyer, world.orders["hip"]
    for name, quantity in (("bolts", 10), ("hip-6", 1)):
        identity = world.named(SubjectKind.LOT, maker, name)
        world.act(maker, ReceiveLot(hash_of(identity), quantity, PIECE, NOTHING))
        world.lots[name] = identity.subject
    world.certify("hip-7", Verdict.PASS, "hip")
    world.rework("hip-7", ["bolts"], "hip")
    world.certify("hip-7", Verdict.PASS, "hip")
    world.act(maker, AllocateLot(world.lots["hip-6"], hip, 0, NOTHING))
    world.act(buyer, DeallocateLot(world.lots["hip-6"], hip, world.document({"reason": "one too many"})))
    # A pump of two pieces, of which one is used up, with the packaging as a by-product.
    pump = {"hip-6-pump": 1, "wrapping": 3}
    inputs = {"hip-6": 1, "bolts": 2}
    world.transform(TransformationKind.CONVERSION, inputs, pump, used=("bolts",), beside={"wrapping": GRAM})


def _correct(world: BundleWorld) -> None:
    """Revokes the certificate of hip-1, marks it as corrected, and issues it again."""
    inspector, lot = world.consortium.inspector, world.lots["hip-1"]
    wrong = next(number for number, one in world.inspections.items() if one.statement.items[0].lot == lot)
    [revoked] = world.act(inspector, RevokeCertificate((lot,), wrong, NOTHING))
    ground, why = wrong.to_bytes(32, "big"), world.document({"text": "wrong part on the bench"})
    world.act(inspector, Note((lot,), (ground,), NoteKind.CORRECTION, revoked, why))
    world.certify("hip-1", Verdict.PASS, "hip")


def _deliver(world: BundleWorld) -> None:
    """Ships two hips in a box to the buyer, who takes one out."""
    maker, carrier, buyer = world.maker, world.consortium.carrier, world.consortium.buyer
    identity = world.named(SubjectKind.LOT, maker, "box")
    world.act(maker, ReceiveLot(hash_of(identity), 1, PIECE, NOTHING))
    box = world.lots["box"] = identity.subject
    packed = sorted(world.lots[name] for name in ("hip-1", "hip-2"))
    world.act(maker, PackLots(box, tuple(packed)))
    world.packed_at = world.now()
    items = (Item(box, NOTHING), *(Item(lot, world.orders["hip"]) for lot in packed))
    [offer] = world.act(maker, OfferCustody(items, carrier.number, NOTHING))
    world.act(carrier, DeclineCustody(box, offer, NOTHING))
    world.act(maker, OfferCustody(items, carrier.number, NOTHING))
    world.act(maker, WithdrawCustody(box, NOTHING))
    for giver, taker in ((maker, carrier), (carrier, buyer)):
        [offer] = world.act(giver, OfferCustody(items, taker.number, NOTHING))
        world.act(taker, AcceptCustody(items, offer, NOTHING))
    world.act(buyer, UnpackLots(box, (world.lots["hip-1"],)))


def _waive(world: BundleWorld) -> None:
    """The buyer takes a part that failed, for a show: its maker lifts the quarantine and delivers it."""
    maker, buyer, inspector = world.maker, world.consortium.buyer, world.consortium.inspector
    placed = world.named(SubjectKind.ORDER, buyer, "show")
    world.act(buyer, PlaceOrder(hash_of(placed), _terms(world, "show", 1)))
    order = world.orders["show"] = placed.subject
    world.act(world.consortium.coordinator, AcceptOrder(order, NOTHING))
    _begin(world, "show")
    identity = world.named(SubjectKind.LOT, maker, "hip-8")
    world.act(maker, CommissionLot(hash_of(identity), order, 0, 1, PIECE, NOTHING))
    lot = world.lots["hip-8"] = identity.subject
    world.order_of[lot] = order
    world.certify("hip-8", Verdict.FAIL, "show")
    world.act(buyer, WaiveGate(lot, order, inspector.number, world.document({"reason": "it is for a show"})))
    world.act(maker, ReleaseLot(lot, order, NOTHING))
    [offer] = world.act(maker, OfferCustody((Item(lot, order),), buyer.number, NOTHING))
    world.act(buyer, AcceptCustody((Item(lot, order),), offer, NOTHING))


def _finish(world: BundleWorld) -> None:
    for order in ("hip", "rail"):
        entry = world.note("press", {"force_n": [1200, 1190], "order": order})
        subject = world.orders[order]
        started = [
            one.event for one in world.recorded() if isinstance(one.event, AssignmentStarted) and one.subject == subject
        ]
        finish = FinishAssignment(
            subject, 0, started[-1].assignment, world.streams["press"], entry.index, entry.leaf_hash
        )
        [sequence] = world.act(world.maker, finish)
        world.finished[sequence] = "press", entry
        world.note("press", {"cleaned": True})
    hip = world.orders["hip"]
    world.act(world.consortium.coordinator, CompleteOrder(hip, NOTHING))
    world.act(world.consortium.buyer, ConfirmDelivery(hip, (world.lots["hip-1"],), NOTHING))
    rail, reason = world.orders["rail"], world.document({"reason": "the line is closed"})
    [proposal] = world.act(world.consortium.buyer, ProposeEnd(rail, reason))
    world.act(world.consortium.coordinator, EndOrder(rail, proposal, NOTHING))


def _refused_orders(world: BundleWorld) -> None:
    buyer, coordinator = world.consortium.buyer, world.consortium.coordinator
    for name in ("declined", "cancelled"):
        identity = world.named(SubjectKind.ORDER, buyer, name)
        world.act(buyer, PlaceOrder(hash_of(identity), _terms(world, name, 2)))
        world.orders[name] = identity.subject
    world.act(coordinator, CancelOrder(world.orders["declined"], NOTHING))
    world.act(buyer, CancelOrder(world.orders["cancelled"], NOTHING))


def _notes(world: BundleWorld) -> None:
    """The maker and the registry's owner speak about a part that the buyer has, and the buyer about part and order."""
    part, hip = world.named(SubjectKind.LOT, world.maker, "hip-1"), world.orders["hip"]
    later = world.document({"text": "grease again after a year"})
    world.act(world.maker, Note((part.subject,), (hash_of(part),), NoteKind.LATER_FACT, 0, later))
    about = tuple(sorted((part.subject, hip)))
    world.act(world.consortium.buyer, Note(about, (NOTHING, NOTHING), NoteKind.OBSERVATION, 0, NOTHING))
    world.act(world.consortium.owner, Note((part.subject,), (NOTHING,), NoteKind.OBSERVATION, 0, NOTHING))


def _rotate_key(world: BundleWorld) -> None:
    """Rotates the maker's key, which turns out to have been compromised since the box was packed."""
    maker, chain = world.maker, world.consortium.chain
    fresh = LocalSigner.generate()
    chain.node.fund(fresh.address, 10**18)
    world.act(maker, ProposeKey(fresh.address, int(ALL_ROLES), admin=True))
    signer = Company(
        maker.name, maker.number, fresh, Submitter(chain, world.consortium.outbox, fresh), maker.store, maker.name_seed
    )
    world.act(signer, AcceptKey(maker.number))
    world.act(signer, RevokeKey(maker.signer.address, world.packed_at))
    later = world.named(SubjectKind.STREAM, world.consortium.inspector, "later-log")
    world.act(world.consortium.inspector, OpenStream(hash_of(later), world.machines["bench"], NOTHING))


def _govern(world: BundleWorld) -> None:
    """The maker registers the key that its names are salted with, and the owner publishes a digest and proposes a new
    key for the carrier, who has not lost its own and objects."""
    owner, carrier = world.consortium.owner, world.consortium.carrier
    world.act(world.consortium.makers[1], SetNameKey(keccak256(b"name key")))
    world.act(owner, Publish(1, keccak256(b"directory")))
    world.act(owner, ProposeRecovery(carrier.number, LocalSigner.generate().address))
    world.act(carrier, ObjectToRecovery())


@dataclass
class BundleService:
    """Builds bundles and trust files for lots of a bundle world."""

    world: BundleWorld
    store: Store

    def bundle(
        self,
        names: Sequence[str],
        words: Sequence[str] = (),
        *,
        unrelated: bool = False,
        checkpoint: SignedCheckpoint | None = None,
    ) -> bytes:
        lots = [self.world.lots[name] for name in names]
        disclosing = parse_disclosing(list(words), unrelated=unrelated)
        return build_bundle(self.store, self.world.consortium.chain, lots, disclosing, checkpoint)

    def trust(self, number: int | None = None) -> TrustFile:
        chain = self.world.consortium.chain
        point = fetch_checkpoint(chain, number)
        return fetch_trust(chain, {}, BelievedBlock(point.block_number, point.block_hash))


def keep_secrets(world: BundleWorld, store: Store) -> None:
    """Stores the world's identifiers, documents, evidence and inferences in the book."""
    with store.transaction() as connection:
        book = Book(connection)
        for identity in world.identities.values():
            book.add_identity(identity)
        for root, claims in world.documents.items():
            book.put_document(root, json.dumps(claims.to_json()))
        for machine, log in world.logs.items():
            book.add_evidence(world.streams[machine], log.entries)
        for certificate in world.inspections:
            shown = world.inference_of(certificate)
            book.put_inference(certificate, shown.salt, shown.window, shown.logits)
