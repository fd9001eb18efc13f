"""What happens in the small factory of tests/support/bundle_world.py, chapter by chapter.

Every kind of record about orders and lots occurs: two orders from one bar of steel, a revision, a declined machine, a
failed part that is made again, a box that travels, a corrected certificate, and a key that proves to be compromised.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from millmark.ledger.canonical import keccak256
from millmark.ledger.chain import EmbeddedChain, Transport
from millmark.ledger.events.orders import AssignmentStarted
from millmark.ledger.evidence import EvidenceLog
from millmark.ledger.ids import SubjectKind
from millmark.ledger.keys import LocalSigner
from millmark.ledger.records import (
    ALL_ROLES,
    AcceptAssignment,
    AcceptCustody,
    AcceptInPart,
    AcceptKey,
    AcceptOrder,
    AcceptRevision,
    AllocateLot,
    ApproveModel,
    CancelAssignment,
    CancelOrder,
    CommissionLot,
    CompleteOrder,
    ConfirmDelivery,
    DeallocateLot,
    DeclineAssignment,
    DeclineCustody,
    Disposition,
    EndOrder,
    Entrust,
    FinishAssignment,
    Gate,
    Item,
    Note,
    NoteKind,
    ObjectToRecovery,
    OfferCustody,
    Opening,
    OpenStream,
    OrderTerms,
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
    RegisterMachine,
    RegisterModel,
    Reinstate,
    RejectOrder,
    ReleaseLot,
    ReturnLot,
    RevokeCertificate,
    RevokeKey,
    Role,
    ScrapLot,
    SetNameKey,
    SetRoles,
    StartAssignment,
    Supersede,
    Suspend,
    TransformationKind,
    UnpackLots,
    Verdict,
    WaiveGate,
    WithdrawCustody,
)
from millmark.ledger.signatures import Signer
from millmark.ledger.store import Store
from millmark.ledger.submit import Submitter
from millmark.services.demo.consortium import Company, found_consortium
from tests.support.bundle_world import ABSENCE_S, GRAM, MODEL_DIGEST, NOTHING, PIECE, YEAR_S, BundleWorld, hash_of
from tests.support.copies import Template, new_engine


def build_bundle_world(store: Store, transport: Transport | None = None) -> BundleWorld:
    """Deploys a ledger, founds the companies and records all chapters."""
    transport = transport or new_engine()
    transport.request("evm_increaseTime", [-ABSENCE_S])  # so that it tells of now when the first chapter is over
    world = BundleWorld(found_consortium(store, transport))
    tell_chapters(world)
    world.consortium.settle()  # it keeps records until they are final, and with them keys that were replaced
    return world


def _signers(world: BundleWorld) -> list[Signer]:
    return [company.signer for company in (world.consortium.owner, *world.consortium.companies)]


_TOLD = Template(build_bundle_world, _signers)


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
    """The carrier vanishes with a crate of the maker's. Its trustee, the maker, reclaims the crate; then it is back."""
    owner, carrier, maker = world.consortium.owner, world.consortium.carrier, world.maker
    identity = world.named(SubjectKind.LOT, maker, "crate")
    crate = world.lots["crate"] = identity.subject
    world.act(maker, ReceiveLot(hash_of(identity), 4, PIECE, NOTHING))
    items = (Item(crate, NOTHING),)
    [offer] = world.act(maker, OfferCustody(items, carrier.number, NOTHING))
    world.act(carrier, AcceptCustody(items, offer, NOTHING))
    world.act(owner, Suspend(carrier.number, NOTHING), Entrust(carrier.number, maker.number))
    world.consortium.chain.node.wait(ABSENCE_S)
    world.act(maker, ReclaimCustody(items, world.document({"reason": "the carrier is gone"})))
    world.act(owner, Reinstate(carrier.number))


def _send_back(world: BundleWorld) -> None:
    """The carrier finds three of the crate's four pieces, quarantines them, and sends them back."""
    maker, carrier, crate = world.maker, world.consortium.carrier, world.lots["crate"]
    items = (Item(crate, NOTHING),)
    [offer] = world.act(maker, OfferCustody(items, carrier.number, NOTHING))
    world.act(carrier, AcceptInPart(items, offer, 3, world.document({"reason": "one is missing"})))
    world.act(carrier, ScrapLot(crate, 1, Disposition.LOST, NOTHING))
    world.act(carrier, QuarantineLot(crate, NOTHING, world.document({"reason": "wet"})))
    identity = world.identities[crate]
    [offer] = world.act(carrier, ReturnLot(crate, maker.number, hash_of(identity), NOTHING))
    world.act(maker, AcceptCustody(items, offer, NOTHING))


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
    world.transform(TransformationKind.REWORK, {"hip-3": 1}, {"hip-3b": 1}, "hip")
    last = world.certify("hip-3b", Verdict.PASS, "hip")
    world.demand(world.consortium.auditor, "hip-3b", last, "hip")


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
    inspector, chain, lot = world.consortium.inspector, world.consortium.chain, world.lots["hip-1"]
    wrong = next(one for one in world.inspections.values() if one.lot == lot).certificate
    before = chain.head(lot)
    [revoked] = world.act(inspector, RevokeCertificate((lot,), wrong, NOTHING))
    record = world.recorded()[-1]
    assert record.sequence == revoked
    opening = Opening(
        before, record.topic, revoked, inspector.number, record.key, keccak256(record.data), record.block_time, ()
    )
    world.act(inspector, Supersede(lot, opening, world.document({"reason": "wrong part on the bench"})))
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
        world.finished[sequence] = entry
        world.note("press", {"cleaned": True})
    hip = world.orders["hip"]
    world.act(world.consortium.coordinator, CompleteOrder(hip, NOTHING))
    world.act(world.consortium.buyer, ConfirmDelivery(hip, (world.lots["hip-1"],), NOTHING))
    rail, reason = world.orders["rail"], world.document({"reason": "the line is closed"})
    [proposal] = world.act(world.consortium.buyer, ProposeEnd(rail, reason))
    world.act(world.consortium.coordinator, EndOrder(rail, proposal, NOTHING))


def _refused_orders(world: BundleWorld) -> None:
    buyer, coordinator = world.consortium.buyer, world.consortium.coordinator
    for name in ("rejected", "cancelled"):
        identity = world.named(SubjectKind.ORDER, buyer, name)
        world.act(buyer, PlaceOrder(hash_of(identity), _terms(world, name, 2)))
        world.orders[name] = identity.subject
    world.act(coordinator, RejectOrder(world.orders["rejected"], NOTHING))
    world.act(buyer, CancelOrder(world.orders["cancelled"], NOTHING))


def _notes(world: BundleWorld) -> None:
    """The maker and the registry's owner speak about a part that the buyer has, and the buyer about part and order."""
    part, hip = world.named(SubjectKind.LOT, world.maker, "hip-1"), world.orders["hip"]
    later = world.document({"text": "grease again after a year"})
    world.act(world.maker, Note((part.subject,), (hash_of(part),), NoteKind.LATER_FACT, later))
    about = tuple(sorted((part.subject, hip)))
    world.act(world.consortium.buyer, Note(about, (NOTHING, NOTHING), NoteKind.OBSERVATION, NOTHING))
    world.act(world.consortium.owner, Note((part.subject,), (NOTHING,), NoteKind.OBSERVATION, NOTHING))


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
