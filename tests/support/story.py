"""The first world, records without a chain, as a verifier has them: histories built record by record and replayed
without proofs or encodings, to test which records may follow which; then stories that break one rule of the replay, or
just keep one; histories in order, with every kind of record that the replay judges; and the report of a story."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from string import Formatter
from typing import Any, Generic, TypeAlias, TypeVar, cast

import pytest

from millmark.ledger.bundle import Bundle, HistoryShown, WithheldRecord
from millmark.ledger.canonical import sha256
from millmark.ledger.events import Event
from millmark.ledger.headers import BlockHeader
from millmark.ledger.records import (
    ALL_ROLES,
    Disposition,
    Gate,
    Input,
    Item,
    ModelState,
    OrderTerms,
    Output,
    Rework,
    Statement,
    Transformation,
    TransformationKind,
)
from millmark.ledger.slots import KeySlots, MachineSlots, ModelSlots, ParticipantSlots, StreamSlots
from millmark.ledger.trust import CONTRACTS, BelievedBlock, TrustedContract, TrustFile
from millmark.ledger.verify._proofs import Reasons
from millmark.ledger.verify._replay import replay
from millmark.ledger.verify._state import Entry, Proved, State, subject_of_lot
from millmark.ledger.verify._status import Verified
from millmark.ledger.verify.report import ReplayRefused, Report
from millmark.ledger.verify.statements import Section, Thing, words_of
from millmark.ledger.verify.statements import Statement as ReportStatement
from millmark.ledger.verify.verifier import build_report
from tests.support.event_data import build, event_of

K = TypeVar("K")
V = TypeVar("V")

BUYER, COORDINATOR, MAKER, INSPECTOR, AUDITOR, CARRIER, OTHER = range(1, 8)
NONE = bytes(32)
PIECE, GRAM = b"H87", b"GRM"
PRESS, BENCH, FOREIGN = 10, 11, 12
MODEL, PUBLISHED, DRAFT = 20, 21, 22
GATES = (Gate(INSPECTOR, MODEL),)
STREAM, BENCH_STREAM = sha256(b"press log"), sha256(b"bench log")
DAY_S = 86_400
START_S = 1_700_000_000
EXPIRY_S = START_S + 1000 * DAY_S


class Table(Generic[K, V]):
    """Has an entry for every key, and reports none as superfluous."""

    def __init__(self, entries: Mapping[K, V], otherwise: V | None = None) -> None:
        self.entries, self.otherwise = dict(entries), otherwise

    def get(self, name: K) -> V | None:
        return self.entries.get(name, self.otherwise)

    def __getitem__(self, name: K) -> V:
        found = self.get(name)
        assert found is not None
        return found

    def __iter__(self) -> Iterator[K]:
        return iter(())

    def items(self) -> Iterator[tuple[K, V]]:
        return iter(())


def key_of(participant: int) -> bytes:
    return bytes([participant]) * 20


def name(text: str) -> bytes:
    """A subject derived from a text."""
    return sha256(text.encode())


def model_of(state: ModelState, approver: int, code: bytes = bytes(20), withdrawn_at: int = 0) -> ModelSlots:
    """A registry's entry of the inspector's model."""
    return ModelSlots(INSPECTOR, approver, state, False, 0, withdrawn_at, 0, NONE, code)


@dataclass
class Story:
    """A history being built, and the registry entries that its replay uses. Each method adds the records of one
    step."""

    now: int = START_S
    proved_after_s: int = DAY_S
    """From the latest record to the proof block."""
    entries: list[Entry[Event]] = field(default_factory=list)
    histories: dict[bytes, list[int | WithheldRecord]] = field(default_factory=dict)
    offers: dict[bytes, int] = field(default_factory=dict)
    """The latest offer of each lot."""
    orders: dict[bytes, bytes] = field(default_factory=dict)
    """The order of each lot that has, or had, one."""
    machines: dict[int, MachineSlots] = field(
        default_factory=lambda: {
            PRESS: MachineSlots(MAKER, 0),
            BENCH: MachineSlots(INSPECTOR, 0),
            FOREIGN: MachineSlots(OTHER, 0),
        }
    )
    keys: dict[bytes, KeySlots] = field(default_factory=dict)
    """In the place of those that each participant has from the start."""
    models: dict[int, ModelSlots] = field(
        default_factory=lambda: {
            MODEL: model_of(ModelState.APPROVED, AUDITOR),
            PUBLISHED: model_of(ModelState.APPROVED, AUDITOR, code=b"\1" * 19 + b"\0"),
            DRAFT: model_of(ModelState.REGISTERED, 0),
        }
    )

    def record(self, kind: str, participant: int, *histories: bytes, **fields: object) -> int:
        """Adds a record. The bundle has every history that it names, except names that begin with `hidden`."""
        sequence = len(self.entries) + 1
        self.now += 1
        if kind == "LotsUnpacked":
            fields.setdefault("custodian", participant)
        event = event_of(kind, **fields)
        self.entries.append(Entry(event, sequence, participant, key_of(participant), self.now, histories))
        for one in histories:
            if one not in HIDDEN:
                self.histories.setdefault(one, []).append(sequence)
        return sequence

    def withhold(self, lot: bytes) -> None:
        self.histories[lot].append(WithheldRecord("LotsTransformed", NONE))

    def keep(self, count: int) -> None:
        """Drops all records but so many, from the first."""
        del self.entries[count:]
        for name, links in list(self.histories.items()):
            self.histories[name] = [one for one in links if not isinstance(one, int) or one <= count]
            if not self.histories[name]:
                del self.histories[name]

    def bundle(self, *parts: bytes) -> Bundle:
        return Bundle(
            chain_id=1, registry=b"", ledger=b"", ledger_id=b"", contracts=(), headers=(), signatures=(),
            nodes=(), records=(),
            parts=parts or tuple(self.histories),
            histories=tuple(HistoryShown(one, tuple(links)) for one, links in sorted(self.histories.items())),
        )  # fmt: skip

    def replay(self, *parts: bytes, unproved: tuple[str, int | bytes] | None = None) -> State:
        """`unproved`: kind and name of what the bundle does not prove."""
        bundle = self.bundle(*parts)
        streams = {
            STREAM: StreamSlots(1, PRESS, MAKER, 100, NONE),
            BENCH_STREAM: StreamSlots(2, BENCH, INSPECTOR, 100, NONE),
        }
        participant = ParticipantSlots(ALL_ROLES, 1, 1, 0, 0, False, False, 1, 0)
        tables: dict[str, Mapping[Any, Any]] = {
            "participant": dict.fromkeys(range(1, 100), participant),
            "key": {key_of(one): KeySlots(one, ALL_ROLES, True, 0, START_S, 0, 0, 0) for one in range(1, 8)}
            | self.keys,
            "machine": self.machines,
            "model": self.models,
            "stream": streams,
        }
        found = {
            f"{kind}s": Table({name: one for name, one in table.items() if (kind, name) != unproved})
            for kind, table in tables.items()
        }
        proved = Proved(heads={}, named_machines={}, name_keys={}, taken={}, **found)  # type: ignore[arg-type]  # what replay asks of them
        return replay(bundle, self.entries, proved, self.now + self.proved_after_s)

    # What stories are made of

    def place(self, order: bytes, operations: int = 1, *gates: Gate) -> None:
        terms = terms_of(operations, gates or GATES)
        self.record("OrderPlaced", BUYER, order, terms=terms)

    def accept(self, order: bytes) -> None:
        self.record("OrderAccepted", COORDINATOR, order)

    def propose(self, order: bytes, operation: int = 0, machine: int = PRESS, owner: int = MAKER) -> int:
        own = {"operation": operation, "machine": machine, "owner": owner}
        return self.record("AssignmentProposed", COORDINATOR, order, **own)

    def step(
        self, kind: str, order: bytes, assignment: int, operation: int = 0, by: int = MAKER, **more: object
    ) -> None:
        self.record(kind, by, order, operation=operation, assignment=assignment, **more)

    def start(self, order: bytes, assignment: int, operation: int = 0, by: int = MAKER, stream: bytes = STREAM) -> None:
        self.step("AssignmentStarted", order, assignment, operation, by, stream=stream, stream_size=1)

    def begin(self, order: bytes) -> int:
        """Places an order, accepts it, and starts its only operation."""
        self.place(order)
        self.accept(order)
        assignment = self.propose(order)
        self.step("AssignmentAccepted", order, assignment)
        self.start(order, assignment)
        return assignment

    def finish(self, order: bytes, assignment: int, stream: bytes = STREAM, leaf: int = 1) -> None:
        own = {"operation": 0, "assignment": assignment, "stream": stream, "leaf_index": leaf, "leaf_hash": NONE}
        self.record("AssignmentFinished", MAKER, order, **own)

    def receive(self, lot: bytes, quantity: int = 10, unit: bytes = PIECE, by: int = MAKER) -> bytes:
        self.record("LotReceived", by, lot, quantity=quantity, unit=unit)
        return lot

    def commission(self, lot: bytes, order: bytes, assignment: int, quantity: int = 1) -> bytes:
        own = {"order": order, "assignment": assignment, "quantity": quantity, "unit": PIECE}
        self.record("LotCommissioned", MAKER, lot, **own)
        self.orders[lot] = order
        return lot

    def transform(
        self,
        kind: TransformationKind,
        inputs: dict[bytes, int],
        outputs: dict[str, int],
        used: Collection[bytes] = (),
        units: Mapping[str, bytes] | None = None,
        of: bytes = PIECE,
        by: int = 0,
        **more: object,
    ) -> list[bytes]:
        """Transforms lots. `used`: those of the inputs that are components; `of`: the unit of the others; `units`:
        those of outputs that are not pieces."""
        units = units or {}
        by = by or MAKER
        made = [subject_of_lot(by, name(one)) for one in outputs]
        own: dict[str, object] = {
            "kind": kind, "unit": of, "output_unit": PIECE, "yield_in": 1, "yield_out": 1,
            "inputs": tuple(Input(lot, self.order_of(lot), amount, lot in used) for lot, amount in inputs.items()),
            "outputs": tuple(Output(name(one), amount, units.get(one, PIECE), NONE) for one, amount in outputs.items()),
        }  # fmt: skip
        change = build(Transformation, **{**own, **more})
        self.record("LotsTransformed", by, *inputs, *made, transformation=change)
        for lot in made:
            self.orders[lot] = change.order
        return made

    def rework(self, lot: bytes, *components: bytes, assignment: int = 0, by: int = 0, **more: object) -> int:
        """Reworks a lot, which keeps its identifier; takes one of each component."""
        taken = tuple(Input(one, self.order_of(one), 1, component=True) for one in components)
        own: dict[str, object] = {"lot": lot, "order": self.order_of(lot), "components": taken}
        change = build(Rework, **{**own, **more})
        return self.record("LotReworked", by or MAKER, lot, *components, rework=change, assignment=assignment)

    def allocate(self, lot: bytes, order: bytes, assignment: int, by: int = 0) -> int:
        self.orders[lot] = order
        return self.record("LotAllocated", by or MAKER, lot, order=order, assignment=assignment)

    def deallocate(self, lot: bytes, by: int = 0) -> int:
        order = self.order_of(lot)
        self.orders[lot] = NONE
        return self.record("LotDeallocated", by or BUYER, lot, order=order)

    def order_of(self, lot: bytes) -> bytes:
        return self.orders.get(lot, NONE)

    def on_lot(self, kind: str, lot: bytes, by: int = MAKER, **fields: object) -> int:
        return self.record(kind, by, lot, **fields)

    def pack(self, parent: bytes, *lots: bytes, by: int = MAKER) -> None:
        self.record("LotsPacked", by, parent, *sorted(lots))

    def offer(self, lot: bytes, to: int = CARRIER, by: int = MAKER) -> None:
        self.offers[lot] = self.record("CustodyOffered", by, lot, to=to)

    def take(self, lot: bytes, by: int = CARRIER) -> None:
        self.record("CustodyAccepted", by, lot, offer=self.offers.get(lot, 0))

    def send_back(self, lot: bytes, by: int = CARRIER) -> None:
        self.offers[lot] = self.record("ReturnOffered", by, lot, to=MAKER)

    def end(self, order: bytes) -> None:
        """Both sides end it."""
        self.record("OrderEnded", COORDINATOR, order, proposal=self.record("EndProposed", BUYER, order))

    def complete(self, order: bytes) -> None:
        self.record("OrderCompleted", COORDINATOR, order)
        self.record("OrderDelivered", BUYER, order)

    def certify(
        self,
        lot: bytes,
        order: bytes = NONE,
        verdict: int = 1,
        model: int = MODEL,
        by: int = INSPECTOR,
        histories: Sequence[bytes] = (),
        size: int = 50,
        root: bytes = NONE,
        **more: object,
    ) -> int:
        """Certifies a lot. `histories`: those that the record enters, by default the lot's; `size`, `root`: of the
        anchor; `more`: members of the statement."""
        return self._issue((Item(lot, order),), verdict, model, by, histories or (lot,), (size, root), **more)

    def certify_by_procedure(self, *lots: bytes, model: int = 0, **more: object) -> int:
        """`more`: members of the statement."""
        items = tuple(Item(lot, self.order_of(lot)) for lot in lots)
        return self._issue(items, 1, model, INSPECTOR, lots, (50, NONE), **more)

    def _issue(
        self,
        items: tuple[Item, ...],
        verdict: int,
        model: int,
        by: int,
        histories: Sequence[bytes],
        anchor: tuple[int, bytes],
        **more: object,
    ) -> int:
        made: dict[str, object] = {
            "items": items, "model": model, "verdict": verdict, "expires_at": EXPIRY_S,
            "inference_digest": b"\1" * 32, "stream": BENCH_STREAM, "leaf_index": 1,
        }  # fmt: skip
        statement = build(Statement, **{**made, **more})
        own: dict[str, object] = {"statement": statement, "anchor_size": anchor[0], "anchor_root": anchor[1]}
        return self.record("CertificateIssued", by, *histories, **own)

    def demand(self, lot: bytes, certificate: int) -> None:
        deadline = self.now + 1 + 7 * DAY_S
        self.record("OpeningDemanded", AUDITOR, lot, certificate=certificate, deadline=deadline)

    def settle(self, kind: str, lot: bytes, certificate: int, executed: int = 0) -> None:
        self.record(kind, AUDITOR, lot, certificate=certificate, executed=executed)


HIDDEN = frozenset(name(f"hidden {number}") for number in range(9))
"""Lots and orders whose history the bundle lacks."""


def hidden(number: int = 0) -> bytes:
    """A subject whose history the bundle lacks."""
    return name(f"hidden {number}")


def terms_of(operations: int = 1, gates: tuple[Gate, ...] = GATES) -> OrderTerms:
    return OrderTerms(operations, COORDINATOR, gates, 0, 0, bytes(3), NONE)


ORDER, SECOND = name("order"), name("second order")
A, B, C, BOX = sorted(name(text) for text in "abcd")
Episode: TypeAlias = Callable[[Story], object]


class Broken(list[tuple[str, Episode]]):
    """Stories, each with the cause for which it must be refused."""

    def __call__(self, cause: str) -> Callable[[Episode], Episode]:
        """Registers a story."""

        def register(told: Episode) -> Episode:
            self.append((cause, told))
            return told

        return register

    def kept(self, told: Episode) -> Episode:
        """Registers a story that keeps all rules: no record of it is refused."""
        self.append(("", told))
        return told


def check_broken(cause: str, told: Episode) -> None:
    """Asserts that the story is refused with that cause; without a cause, that no record of it is. A lot that the story
    returns becomes the bundle's part."""
    story = Story()
    part = told(story)
    parts = (part,) if isinstance(part, bytes) else ()
    if not cause:
        assert refused_record(story, *parts) is None
        return
    with pytest.raises(ReplayRefused) as refused:
        story.replay(*parts)
    assert cause in refused.value.reason


def refused_record(story: Story, *parts: bytes, unproved: tuple[str, int | bytes] | None = None) -> int | None:
    """The record that the replay refuses. None also for what is found after the last record: that a history stops
    short, or is an order's alone."""
    try:
        story.replay(*parts, unproved=unproved)
    except ReplayRefused as refused:
        return refused.sequence
    return None


def in_production(story: Story, operations: int = 1) -> int:
    """Places `ORDER` and starts its first operation; returns the assignment."""
    story.place(ORDER, operations)
    story.accept(ORDER)
    assignment = story.propose(ORDER)
    story.step("AssignmentAccepted", ORDER, assignment)
    story.start(ORDER, assignment)
    return assignment


def certified(story: Story, verdict: int = 1, model: int = MODEL) -> int:
    """Produces lot A of an order and certifies it; returns the certificate."""
    story.commission(A, ORDER, in_production(story))
    return story.certify(A, ORDER, verdict, model)


def delivered(story: Story) -> None:
    story.commission(A, ORDER, assignment := in_production(story), quantity=4)
    story.finish(ORDER, assignment)
    story.certify(A, ORDER)
    story.record("OrderCompleted", COORDINATOR, ORDER)
    story.offer(A, to=BUYER)
    story.take(A, by=BUYER)
    story.record("OrderDelivered", BUYER, ORDER, count=1, quantity=4)


def declined(story: Story) -> None:
    story.place(ORDER)
    story.record("OrderCancelled", COORDINATOR, ORDER)


def cancelled(story: Story) -> None:
    story.place(ORDER)
    story.accept(ORDER)
    story.step("AssignmentDeclined", ORDER, story.propose(ORDER))
    story.step("AssignmentCancelled", ORDER, story.propose(ORDER), by=COORDINATOR)
    story.record("OrderCancelled", COORDINATOR, ORDER)


def revised(story: Story) -> None:
    story.place(ORDER)
    terms = replace(terms_of(2, (Gate(INSPECTOR, MODEL), Gate(OTHER))), coordinator=CARRIER)
    proposal = story.record("RevisionProposed", BUYER, ORDER, terms=terms)
    story.record("RevisionAccepted", COORDINATOR, ORDER, proposal=proposal, awaited=CARRIER, terms=terms)
    story.record("RevisionAccepted", CARRIER, ORDER, proposal=proposal, terms=terms)


def ended(story: Story) -> None:
    in_production(story)
    proposal = story.record("EndProposed", BUYER, ORDER)
    story.record("OrderEnded", COORDINATOR, ORDER, proposal=proposal)


def reworked(story: Story) -> None:
    assignment = in_production(story)
    for lot in (A, B, C):
        story.receive(lot)
    story.allocate(A, ORDER, assignment)
    story.rework(A, B, assignment=assignment)
    story.deallocate(A)
    story.transform(TransformationKind.CONVERSION, {C: 4}, {"made": 2}, order=ORDER, yield_in=2)


def split_and_merged(story: Story) -> None:
    story.receive(A)
    made = story.transform(TransformationKind.SPLIT, {A: 4}, {"one": 1, "other": 3})
    story.transform(TransformationKind.MERGE, dict(sorted(zip(made, (1, 3), strict=True))), {"whole": 4})
    story.on_lot("LotScrapped", A, quantity=2, disposition=Disposition.SOLD)


def handed_over(story: Story) -> None:
    story.receive(A)
    story.offer(A)
    story.on_lot("CustodyDeclined", A, by=CARRIER, offer=story.offers[A])
    story.offer(A)
    story.on_lot("CustodyWithdrawn", A)
    story.offer(A)
    story.take(A, by=CARRIER)
    story.on_lot("LotQuarantined", A, by=CARRIER)
    story.send_back(A)
    story.take(A, by=MAKER)
    story.on_lot("LotReleased", A, by=CARRIER)
    story.on_lot("CustodyReclaimed", A, by=OTHER, from_=MAKER)


def packed(story: Story) -> None:
    for lot in (A, B, BOX):
        story.receive(lot)
    story.pack(BOX, A, B)
    story.record("LotsUnpacked", MAKER, BOX, *sorted((A, B)))
    story.record("NoteRecorded", MAKER, A, kind_=6, about=1)


def waived(story: Story) -> None:
    failed = certified(story, verdict=2)
    story.record("GateWaived", BUYER, A, inspector=INSPECTOR, certificate=failed)
    story.on_lot("LotReleased", A)


def opened(story: Story) -> None:
    first = certified(story, model=PUBLISHED)
    story.demand(A, first)
    story.settle("CertificateUpheld", A, first, executed=True)
    second = story.certify(A, ORDER, model=PUBLISHED)
    story.settle("CertificateRefuted", A, second, executed=2)
    story.record("CertificateRevoked", INSPECTOR, A, certificate=first)


HISTORIES = (
    delivered, declined, cancelled, revised, ended, reworked, split_and_merged, handed_over, packed, waived, opened,
)  # fmt: skip


NAMES = {
    BUYER: "Nordwind",
    COORDINATOR: "Kestrel",
    MAKER: "Alder",
    INSPECTOR: "Umbra",
    AUDITOR: "Vector",
    CARRIER: "Zeta",
    OTHER: "Ill Inspect",
}


def tell(story: Story, *parts: bytes, **given: Any) -> Report:
    """The report of a bundle about `parts`; `given`: see `verified_of`."""
    report = build_report(verified_of(story, *parts, **given))
    check_values(report)
    return report


_BESIDE: Mapping[str, frozenset[str]] = {
    code: frozenset(names.split())
    for code, names in {
        "as_of": "block_hash",
        "entry": "entry",
        "failed": "status until verdict",
        "made": "inputs",
        "made_of": "made",
        "nameless": "nameless",
        "no_valid_verdict": "until",
        "odd_register": "record",
        "packed": "packed",
        "passed": "status verdict",
        "recall_notice": "note",
        "received": "inputs",
        "received_lots": "received",
        "unmet": "until",
        "withheld": "lots",
    }.items()
}
"""What statements have beside what their sentences name, by code: pages and other programs read it."""


def check_values(report: Report) -> None:
    """Each statement has what its sentence names, and what is listed beside it, and nothing else."""
    for one in report.statements:
        named = {name for _, name, _, _ in Formatter().parse(words_of("en").templates[one.code]) if name}
        assert one.values.keys() == named | _BESIDE.get(one.code, frozenset()), one.code
        assert str(one)


def verified_of(
    story: Story,
    *parts: bytes,
    names: Mapping[bytes, str] | None = None,
    behind: int = 0,
    days: int = 1,
    **disclosed: object,
) -> Verified:
    """What is verified of a bundle about `parts`. `names`: identifiers; `behind`: blocks before the believed one;
    `days`: the verifier's clock, after the last record; `disclosed`: members of the bundle."""
    state = story.replay(*parts)
    bundle: Bundle = replace(story.bundle(*parts), **disclosed)  # type: ignore[arg-type]  # members of a bundle
    headers = [
        BlockHeader(NONE, 5 + one, NONE, NONE, NONE, story.now + DAY_S + 60 * one, b"") for one in range(behind + 1)
    ]
    now_s = story.now + days * DAY_S
    return Verified(bundle, trust_file(), headers, Reasons(()), state, story.entries, dict(names or {}), now_s)


def trust_file() -> TrustFile:
    contracts = {one: TrustedContract(bytes([7 + at]) * 20, NONE) for at, one in enumerate(sorted(CONTRACTS))}
    return TrustFile(1, NONE, contracts, NAMES, BelievedBlock(5, NONE))


def codes(report: Report) -> list[str]:
    return [one.code for one in report.statements]


def said(report: Report, code: str) -> list[ReportStatement]:
    return [one for one in report.statements if one.code == code]


def named(report: Report, code: str, name: str) -> list[Any]:
    """What the statements with a code say under one name."""
    return [one.values[name] for one in said(report, code)]


def subjects(report: Report, code: str) -> list[bytes | None]:
    """What the statements with a code are about."""
    return [one.subject for one in said(report, code)]


def made_of(report: Report, lot: bytes) -> set[bytes]:
    """The lots that a lot came from, by the statements about how each began."""
    inputs: dict[bytes | None, list[bytes]] = {}
    for one in report.within(Section.ORIGIN):
        used = cast("tuple[Thing, ...]", one.values.get("inputs", ()))
        inputs.setdefault(one.subject, []).extend(thing.subject for thing in used)
    found, waiting = set[bytes](), [lot]
    while waiting:
        new = set(inputs.get(waiting.pop(), ())) - found
        found |= new
        waiting += new
    return found


def texts(report: Report, code: str) -> list[str]:
    return [str(one) for one in said(report, code)]
