"""Gas per record of every kind: 50 records of one kind in one transaction, on the embedded chain.

Gas depends only on code and state, so the figures hardly vary between runs (a zero byte in a random hash costs less
than another byte), and a test compares them with a snapshot.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from importlib import resources

from millmark.ledger import records as kinds
from millmark.ledger.canonical import keccak256
from millmark.ledger.chain import Transport
from millmark.ledger.events import Event, Recorded
from millmark.ledger.evidence import EvidenceLog
from millmark.ledger.ids import SubjectKind, subject
from millmark.services.demo.consortium import NOTHING, Company, Consortium, found_consortium
from millmark.services.demo.plant import PIECE, Plant, build_plant
from millmark.services.store import open_store
from tests.bench.inferences import measure_inferences

BATCH = 50
ROOT = b"\xff" * 32
"""A claims root without zero bytes, which costs the most gas."""
PER_PARENT = 8
FAR_S = 30 * 24 * 3600
ABSENCE_S = 15 * 24 * 3600
"""Longer than a company must be unable to act before what it holds is reclaimed: 14 days."""


def measure_gas(transport: Transport | None = None) -> dict[str, tuple[int, int]]:
    """(records, gas) by kind, on an embedded chain unless another one is given; a name in brackets denotes a variant of
    a kind."""
    with open_store("sqlite://") as store:
        consortium = found_consortium(store, transport)
        model = (resources.files("millmark.quality") / "models" / "forda.bin").read_bytes()
        meter = _Meter(consortium, build_plant(consortium, model, "{}"))
        meter.orders()
        meter.assignments()
        meter.lots()
        meter.custody()
        meter.inferences()
        meter.returns()
        return dict(sorted(meter.found.items()))


def _hashes() -> list[bytes]:
    return [secrets.token_bytes(32) for _ in range(BATCH)]


class _Meter:
    """Records every kind and collects the gas used."""

    def __init__(self, consortium: Consortium, plant: Plant) -> None:
        self._consortium = consortium
        self._plant = plant
        self._now = int(time.time())
        self.found: dict[str, tuple[int, int]] = {}

    def _measure(self, company: Company, records: Sequence[kinds.Record], variant: str = "") -> list[int]:
        kind = type(records[0]).__name__
        before = self._consortium.outbox.gas_by_kind().get(kind, (0, 0))
        sequences = self._consortium.record(company, records)
        after = self._consortium.outbox.gas_by_kind()[kind]
        # The first measurement of a kind counts; later ones only prepare what others need.
        self.found.setdefault(f"{kind} ({variant})" if variant else kind, (after[0] - before[0], after[1] - before[1]))
        return sequences

    # Orders

    def orders(self) -> None:
        buyer, coordinator = self._consortium.buyer, self._consortium.coordinator
        self._orders = self._place()
        self._measure(coordinator, [kinds.AcceptOrder(order, ROOT) for order in self._orders])
        self._measure(buyer, [kinds.CancelOrder(order, ROOT) for order in self._place()])
        self._revise()

    def _terms(self) -> kinds.OrderTerms:
        gate = kinds.Gate(self._consortium.inspector.number, self._plant.model)
        return kinds.OrderTerms(1, self._consortium.coordinator.number, (gate,), self._now + FAR_S, 1, PIECE, ROOT)

    def _place(self) -> list[bytes]:
        names = [self._subject(SubjectKind.ORDER, self._consortium.buyer, value) for value in _hashes()]
        records = [kinds.PlaceOrder(value, self._terms()) for value, _ in names]
        self._measure(self._consortium.buyer, records)
        return [order for _, order in names]

    @staticmethod
    def _subject(kind: SubjectKind, creator: Company, identifier_hash: bytes) -> tuple[bytes, bytes]:
        """An identifier hash and the subject that the contract derives from it."""
        words = bytes([kind]).rjust(32, b"\0") + creator.number.to_bytes(32, "big") + identifier_hash
        return identifier_hash, keccak256(words)

    def _revise(self) -> None:
        self._measure(self._consortium.buyer, [kinds.ProposeRevision(order, self._terms()) for order in self._orders])
        pairs = zip(self._orders, self._latest(), strict=True)
        records = [kinds.AcceptRevision(order, self._terms(), proposal.sequence) for order, proposal in pairs]
        self._measure(self._consortium.coordinator, records)

    def _latest(self) -> tuple[Recorded[Event], ...]:
        chain = self._consortium.chain
        return chain.recorded(chain.header(chain.final_number()))

    # Assignments

    def assignments(self) -> None:
        maker, coordinator = self._consortium.makers[0], self._consortium.coordinator
        pairs = self._propose()
        self._measure(maker, [kinds.DeclineAssignment(order, 0, number, ROOT) for order, number in pairs])
        pairs = self._propose()
        self._measure(coordinator, [kinds.CancelAssignment(order, 0, number, ROOT) for order, number in pairs])
        self._begin()

    def _begin(self) -> None:
        maker = self._consortium.makers[0]
        self._pairs = self._propose()
        self._measure(maker, [kinds.AcceptAssignment(order, 0, number, ROOT) for order, number in self._pairs])
        stream = self._plant.machines[0].stream
        self._measure(maker, [kinds.StartAssignment(order, 0, number, stream, ROOT) for order, number in self._pairs])

    def _propose(self) -> list[tuple[bytes, int]]:
        machine = self._plant.machines[0].number
        records = [kinds.ProposeAssignment(order, 0, machine, ROOT) for order in self._orders]
        return list(zip(self._orders, self._measure(self._consortium.coordinator, records), strict=True))

    def _evidence(self) -> bytes:
        """Opens and anchors 50 streams of the first machine; returns one of them."""
        maker, machine = self._consortium.makers[0], self._plant.machines[0].number
        names = [self._subject(SubjectKind.STREAM, maker, value) for value in _hashes()]
        self._measure(maker, [kinds.OpenStream(value, machine, ROOT) for value, _ in names])
        log = EvidenceLog()
        log.append({"n": 1})
        self._measure(maker, [kinds.Anchor(stream, 1, log.tree.root()) for _, stream in names])
        return names[0][1]

    # Lots

    def lots(self) -> None:
        maker = self._consortium.makers[0]
        made = [self._subject(SubjectKind.LOT, maker, value) for value in _hashes()]
        self._measure(
            maker,
            [
                kinds.CommissionLot(value, order, 0, 1, PIECE, ROOT)
                for order, (value, _) in zip(self._orders, made, strict=True)
            ],
        )
        self._items = [kinds.Item(lot, order) for order, (_, lot) in zip(self._orders, made, strict=True)]
        self._transform()
        self._rework()
        stream = self._evidence()
        self._finish()
        self._received = self._receive()
        self._measure(maker, [kinds.ScrapLot(lot, 1, kinds.Disposition.RECYCLED, ROOT) for lot in self._received])
        self._measure(maker, [kinds.QuarantineLot(lot, NOTHING, ROOT) for lot in self._received])
        self._measure(maker, [kinds.ReleaseLot(lot, NOTHING, ROOT) for lot in self._received])
        self._certify(stream)

    def _finish(self) -> None:
        machine, maker = self._plant.machines[0], self._consortium.makers[0]
        machine.note("press", {"n": 1})
        self._consortium.record(maker, [machine.anchor()])
        pairs = self._pairs
        self._measure(
            maker, [kinds.FinishAssignment(order, 0, number, machine.stream, 0, ROOT) for order, number in pairs]
        )

    def _receive(self, holder: Company | None = None) -> list[bytes]:
        """Lots of one company, the first maker unless another is named."""
        holder = holder or self._consortium.makers[0]
        names = [self._subject(SubjectKind.LOT, holder, value) for value in _hashes()]
        self._measure(holder, [kinds.ReceiveLot(value, 100, PIECE, ROOT) for value, _ in names])
        return [lot for _, lot in names]

    def _load(self, holder: Company) -> list[tuple[bytes, tuple[bytes, ...]]]:
        """Parents of one company, each with the lots that are to be packed in it."""
        parents, lots = self._receive(holder), sorted(self._receive(holder))
        loads = [tuple(lots[start : start + PER_PARENT]) for start in range(0, len(lots) - PER_PARENT + 1, PER_PARENT)]
        return list(zip(parents, loads, strict=False))

    def _transform(self) -> None:
        """One lot into one under an order, the usual production step."""
        material = self._receive()
        records = [
            kinds.TransformLots(
                kinds.Transformation(
                    kind=kinds.TransformationKind.CONVERSION,
                    order=order,
                    operation=0,
                    unit=PIECE,
                    output_unit=PIECE,
                    loss=0,
                    yield_in=1,
                    yield_out=1,
                    claims_root=ROOT,
                    inputs=(kinds.Input(lot, NOTHING, 1),),
                    outputs=(kinds.Output(value, 1, PIECE, ROOT),),
                )
            )
            for order, lot, value in zip(self._orders, material, _hashes(), strict=True)
        ]
        self._measure(self._consortium.makers[0], records, "1 lot into 1")

    def _rework(self) -> None:
        """Reworks a lot in place, without components, and takes a lot from stock into an order and out again."""
        maker = self._consortium.makers[0]
        self._measure(maker, [kinds.ReworkLot(kinds.Rework(item.lot, item.order, 0, ROOT, ())) for item in self._items])
        stock = self._receive()
        pairs = list(zip(stock, self._orders, strict=True))
        self._measure(maker, [kinds.AllocateLot(lot, order, 0, ROOT) for lot, order in pairs])
        self._measure(self._consortium.buyer, [kinds.DeallocateLot(lot, order, ROOT) for lot, order in pairs])

    def _certify(self, stream: bytes) -> None:
        inspector = self._consortium.inspector
        sequences = []
        for variant in ("", "again", "last"):
            statements = [self._statement(item, stream) for item in self._items]
            sequences = self._measure(
                inspector, [kinds.IssueCertificate(statement) for statement in statements], variant
            )
            if variant == "":
                revoked = [
                    kinds.RevokeCertificate((item.lot,), number, ROOT)
                    for item, number in zip(self._items, sequences, strict=True)
                ]
                self._measure(inspector, revoked)
        del self.found["IssueCertificate (last)"]

    def _statement(self, item: kinds.Item, stream: bytes) -> kinds.Statement:
        return kinds.Statement(
            (item,), self._plant.model, kinds.Verdict.PASS, self._now + FAR_S, ROOT, ROOT, stream, 0, ROOT
        )

    # Models

    def inferences(self) -> None:
        stream = self._evidence()
        self.found.update(measure_inferences(self._consortium, self._receive(), stream, self._measure))
        del self.found["IssueCertificate (last)"]

    # Custody

    def custody(self) -> None:
        maker, carrier, buyer = self._consortium.makers[0], self._consortium.carrier, self._consortium.buyer
        inspector = self._consortium.inspector.number
        single = [(kinds.Item(lot, NOTHING),) for lot in self._received]
        offers = self._offer(maker, carrier, single)
        declined = zip(self._received, offers, strict=True)
        self._measure(carrier, [kinds.DeclineCustody(lot, offer, ROOT) for lot, offer in declined])
        self._offer(maker, carrier, single, "again")
        self._measure(maker, [kinds.WithdrawCustody(lot, ROOT) for lot in self._received])
        self._accept(carrier, single, self._offer(maker, carrier, single))
        self._measure(buyer, [kinds.WaiveGate(item.lot, item.order, inspector, ROOT) for item in self._items])
        gated = [(item,) for item in self._items]
        self._accept(buyer, gated, self._offer(maker, buyer, gated, "through a gate"), "through a gate")
        self._close()
        self._pack()
        self._note()

    def _close(self) -> None:
        """Confirms the delivery of one lot of each order, and ends other orders in production."""
        buyer, coordinator = self._consortium.buyer, self._consortium.coordinator
        self._measure(coordinator, [kinds.CompleteOrder(item.order, ROOT) for item in self._items])
        self._measure(buyer, [kinds.ConfirmDelivery(item.order, (item.lot,), ROOT) for item in self._items])
        self._orders = self._place()
        self._measure(coordinator, [kinds.AcceptOrder(order, ROOT) for order in self._orders])
        self._begin()
        measure_consignment(self._consortium, self._orders[0], self._plant.model, self._evidence(), self._measure)
        del self.found["IssueCertificate (last)"], self.found["PackLots (last)"]
        proposals = self._measure(buyer, [kinds.ProposeEnd(order, ROOT) for order in self._orders])
        pairs = zip(self._orders, proposals, strict=True)
        self._measure(coordinator, [kinds.EndOrder(order, proposal, ROOT) for order, proposal in pairs])

    def _offer(
        self, giver: Company, taker: Company, consignments: Sequence[tuple[kinds.Item, ...]], variant: str = ""
    ) -> list[int]:
        return self._measure(giver, [kinds.OfferCustody(items, taker.number, ROOT) for items in consignments], variant)

    def _accept(
        self, taker: Company, consignments: Sequence[tuple[kinds.Item, ...]], offers: Sequence[int], variant: str = ""
    ) -> None:
        pairs = zip(consignments, offers, strict=True)
        self._measure(taker, [kinds.AcceptCustody(items, offer, ROOT) for items, offer in pairs], variant)

    def returns(self) -> None:
        """Lots that fail on their way go back, some of them short; last of all the carrier vanishes with others."""
        maker, carrier, owner = self._consortium.makers[0], self._consortium.carrier, self._consortium.owner
        names = [self._subject(SubjectKind.LOT, maker, value) for value in _hashes()]
        self._measure(maker, [kinds.ReceiveLot(value, 100, PIECE, ROOT) for value, _ in names])
        lots = [lot for _, lot in names]
        single = [(kinds.Item(lot, NOTHING),) for lot in lots]
        offers = self._offer(maker, carrier, single)
        self._accept(carrier, single, offers)
        self._measure(carrier, [kinds.QuarantineLot(lot, NOTHING, ROOT) for lot in lots])
        self._measure(carrier, [kinds.ReturnLot(lot, maker.number, value, ROOT) for value, lot in names])
        loads = self._load(carrier)
        self._measure(carrier, [kinds.PackLots(parent, load) for parent, load in loads], f"{PER_PARENT} lots")
        self._consortium.record(
            owner, [kinds.Suspend(carrier.number, ROOT), kinds.Entrust(carrier.number, maker.number)]
        )
        self._consortium.chain.node.wait(ABSENCE_S)
        unpacked = [kinds.UnpackReclaimable(parent, NOTHING, load) for parent, load in loads]
        self._measure(maker, unpacked, f"{PER_PARENT} lots")
        self._measure(maker, [kinds.ReclaimCustody(items, ROOT) for items in single])

    def _pack(self) -> None:
        maker = self._consortium.makers[0]
        pairs = self._load(maker)
        self._measure(maker, [kinds.PackLots(parent, load) for parent, load in pairs], f"{PER_PARENT} lots")
        self._measure(maker, [kinds.UnpackLots(parent, load) for parent, load in pairs], f"{PER_PARENT} lots")

    def _note(self) -> None:
        """Notes of the maker on one lot each, which has a history."""
        notes = [kinds.Note((lot,), (NOTHING,), 1, 0, ROOT) for lot in self._receive()]
        self._measure(self._consortium.makers[0], notes)


GATED_PARTS, SAMPLED_LOTS = 256, 50
_LOTS_PER_RECORD = 64
_ROOT = b"\xff" * 32
"""A claims root without zero bytes, which costs the most gas."""
_YEAR_S = 365 * 86_400

Measure = Callable[[Company, Sequence[kinds.Record], str], list[int]]
"""Makes records, collects their gas under their kind and a variant, and returns their sequences."""


def measure_consignment(consortium: Consortium, order: bytes, model: int, stream: bytes, measure: Measure) -> None:
    """Makes parts of a gated order in production, certifies each of them, and moves them to the buyer in one container.

    Certificates of their own cost the gate most. The first parts are certified by procedure before, all at once.
    """
    maker, inspector, buyer = consortium.makers[0], consortium.inspector, consortium.buyer
    made = [(value, subject(SubjectKind.LOT, maker.number, value)) for value in _draw(GATED_PARTS)]
    measure(maker, [kinds.CommissionLot(value, order, 0, 1, PIECE, _ROOT) for value, _ in made], "")
    items = [kinds.Item(lot, order) for lot in sorted(lot for _, lot in made)]
    now = consortium.chain.header(consortium.chain.final_number()).timestamp

    def state(some: Sequence[kinds.Item], on: int) -> kinds.IssueCertificate:
        return kinds.IssueCertificate(
            kinds.Statement(tuple(some), on, kinds.Verdict.PASS, now + _YEAR_S, _ROOT, _ROOT, stream, 0, _ROOT)
        )

    measure(inspector, [state(items[:SAMPLED_LOTS], 0)], f"{SAMPLED_LOTS} lots by procedure")
    measure(inspector, [state((item,), model) for item in items], "last")
    [container] = _draw(1)
    measure(maker, [kinds.ReceiveLot(container, 1, PIECE, _ROOT)], "")
    parent = subject(SubjectKind.LOT, maker.number, container)
    for start in range(0, GATED_PARTS, _LOTS_PER_RECORD):
        load = tuple(item.lot for item in items[start : start + _LOTS_PER_RECORD])
        measure(maker, [kinds.PackLots(parent, load)], "last")
    consignment = (kinds.Item(parent, NOTHING), *items)
    [offer] = measure(maker, [kinds.OfferCustody(consignment, buyer.number, _ROOT)], f"{GATED_PARTS} gated parts")
    measure(buyer, [kinds.AcceptCustody(consignment, offer, _ROOT)], f"{GATED_PARTS} gated parts")


def _draw(count: int) -> list[bytes]:
    return [secrets.token_bytes(32) for _ in range(count)]
