"""A small world: two orders, a shared bar of steel, a merge, a box, a failed part that is made again, and later a model
that is withdrawn."""

from __future__ import annotations

from dataclasses import dataclass, field

from millmark.ledger.index import Follower
from millmark.ledger.provenance import Trace, trace_lot
from millmark.ledger.provenance.answers import RelatedLot
from millmark.ledger.records import Gate, TransformationKind, Verdict
from millmark.ledger.store import Book, Store
from tests.support.fake_ledger import FakeLedger

BUYER, COORDINATOR, SMITH, INSPECTOR, AUDITOR, CARRIER, OTHER_BUYER = 1, 2, 3, 4, 5, 6, 7
NAMES = {BUYER: "Clinic", COORDINATOR: "Hub", SMITH: "Smithy", INSPECTOR: "Looker", CARRIER: "Van", OTHER_BUYER: "Hall"}


@dataclass
class World:
    """The fake ledger, its index, and the names of its lots and orders."""

    store: Store
    fake: FakeLedger = field(default_factory=FakeLedger)
    lots: dict[str, bytes] = field(default_factory=dict)
    orders: dict[str, bytes] = field(default_factory=dict)
    certificates: dict[str, int] = field(default_factory=dict)
    machine: int = 0
    model: int = 0
    spare_model: int = 0
    stream: bytes = b""
    """The machine's."""
    logs: dict[str, bytes] = field(default_factory=dict)
    """Streams without a machine, by name."""

    def follow(self) -> None:
        self.fake.chain.mine()
        Follower(self.fake.chain, self.store).follow()

    def name(self, subject: bytes) -> str:
        return next(name for name, lot in self.lots.items() if lot == subject)

    def names(self, lots: tuple[RelatedLot, ...]) -> list[tuple[str, int]]:
        return sorted((self.name(lot.subject), lot.depth) for lot in lots)


def _registry(world: World) -> None:
    fake = world.fake
    for number in range(1, 8):
        fake.admit(number)
    world.machine = fake.register_machine(SMITH, "mill")
    world.model = fake.register_model(INSPECTOR, "cracks")
    world.spare_model = fake.register_model(INSPECTOR, "finish")
    for model in (world.model, world.spare_model):
        fake.approve_model(AUDITOR, model)
    for number in range(1, 8):
        fake.accept_key(number)
    fake.chain.mine(3)
    world.stream = fake.open_stream(world.machine, "telemetry")


def _orders(world: World) -> None:
    fake = world.fake
    for name, buyer in (("hip", BUYER), ("rail", OTHER_BUYER)):
        order = fake.place(name, buyer, COORDINATOR, Gate(INSPECTOR, world.model), operations=2)
        world.orders[name] = order
        fake.accept_order(order)
        fake.begin(order, 0, world.machine)
        fake.chain.mine()


def _steel(world: World) -> None:
    """Melts a bar and scrap metal into one billet, from which both orders' blanks are made."""
    fake, lots = world.fake, world.lots
    lots["bar"] = fake.receive("bar", SMITH, 10)
    lots["melt"] = fake.receive("melt", SMITH, 2)
    merged = fake.transform(TransformationKind.MERGE, {lots["bar"]: 8, lots["melt"]: 2}, {"billet": 10})
    lots["billet"] = merged[0]
    for order in ("hip", "rail"):
        made = fake.transform(
            TransformationKind.CONVERSION, {lots["billet"]: 4}, {f"{order} blank": 4}, order=world.orders[order]
        )
        lots[f"{order} blank"] = made[0]
    fake.chain.mine()


def _hips(world: World) -> None:
    """Inspects four hips: two pass, one fails and is reworked, one is left."""
    fake, lots, hip = world.fake, world.lots, world.orders["hip"]
    made = fake.transform(
        TransformationKind.SPLIT, {lots["hip blank"]: 3}, {"hip 1": 1, "hip 2": 1, "hip 3": 1}, order=hip
    )
    lots.update(zip(("hip 1", "hip 2", "hip 3"), made, strict=True))
    for name, verdict in (("hip 1", Verdict.PASS), ("hip 2", Verdict.PASS), ("hip 3", Verdict.FAIL)):
        issued = fake.certify(lots[name], INSPECTOR, world.model, verdict, world.stream)
        world.certificates[name] = issued
    fake.rework(lots["hip 3"])
    world.certificates["hip 3 again"] = fake.certify(lots["hip 3"], INSPECTOR, world.model, Verdict.PASS, world.stream)
    fake.finish(hip, 0)
    fake.chain.mine()


def _delivery(world: World) -> None:
    """Ships two hips in a box; the buyer takes one out."""
    fake, lots = world.fake, world.lots
    lots["box"] = fake.receive("box", SMITH, 1)
    fake.pack(lots["box"], lots["hip 1"], lots["hip 2"])
    for holder in (CARRIER, BUYER):
        fake.offer(lots["box"], holder)
        fake.take(lots["box"])
        fake.chain.mine()
    fake.unpack(lots["box"], lots["hip 1"])


def _turn_bad(world: World) -> None:
    """Lets one certificate expire, revokes and corrects another, and withdraws the model of the others."""
    fake, blank, first = world.fake, world.lots["hip blank"], world.lots["hip 1"]
    short = fake.certify(blank, INSPECTOR, world.spare_model, Verdict.PASS, world.stream, lasts_s=1)
    world.certificates["hip blank"] = short
    fake.revoke(first)
    fake.correct(first, INSPECTOR, world.certificates["hip 1"])
    fake.chain.mine(3)
    fake.withdraw_model(AUDITOR, world.model, 1)


def _logs(world: World) -> None:
    """Streams without a machine."""
    for name, owner in (("plans", COORDINATOR), ("audit log", AUDITOR)):
        world.logs[name] = world.fake.open_log(owner, name)
        world.fake.anchor(world.logs[name], owner, 2)


def build_world(store: Store) -> World:
    """The world up to the delivery, indexed, with all names in the book."""
    world = World(store)
    for chapter in (_registry, _orders, _steel, _hips, _delivery, _logs):
        chapter(world)
    world.follow()
    with store.transaction() as connection:
        book = Book(connection)
        book.set_names(NAMES)
        for identity in world.fake.identities.values():
            book.add_identity(identity)
        for stream, log in world.fake.logs.items():
            book.add_evidence(stream, log.entries)
    return world


def build_bad_world(store: Store) -> World:
    """The world without the delivery, with the model withdrawn and no names in the book."""
    world = World(store)
    for chapter in (_registry, _orders, _steel, _hips, _turn_bad):
        chapter(world)
    world.follow()
    return world


def lot_trace(world: World, name: str) -> Trace:
    """The trace of a lot, given its name in this world."""
    return trace_lot(world.store, world.lots[name])
