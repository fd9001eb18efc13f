"""What a careful buyer asks about a part, and how each question is answered: from the chain's whole log, told plainly
in one pass over all records without proofs or replay, and from the statements of a report, as partners get them in
JSON.

Nothing of `millmark.ledger.verify` is used for the chain's answers. State that the contracts keep (custody, quarantine,
the status of a certificate) is asked of them at their latest block instead of being derived again.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

from millmark.ledger.canonical import to_hex
from millmark.ledger.events import Event, Recorded
from millmark.ledger.events.certificates import (
    CertificateIssued,
    CertificateRefuted,
    CertificateRevoked,
    CertificateUpheld,
    NoteRecorded,
    OpeningDemanded,
    StreamAnchored,
)
from millmark.ledger.events.lots import (
    GateWaived,
    LotAllocated,
    LotCommissioned,
    LotDeallocated,
    LotReceived,
    LotReworked,
    LotsTransformed,
)
from millmark.ledger.events.orders import (
    AssignmentCancelled,
    AssignmentFinished,
    AssignmentProposed,
    AssignmentStarted,
    OrderPlaced,
)
from millmark.ledger.records import (
    CertificateStatus,
    Contract,
    LotState,
    Names,
    NoteKind,
    Statement,
    TransformationKind,
    Verdict,
)
from tests.proofs.truth.world import TruthWorld


@dataclass
class LotFacts:
    subject: bytes
    creator: int
    how: str
    """`received`, `commissioned`, or the kind of the transformation, in small letters."""
    order: bytes | None = None
    sources: dict[bytes, bool] = field(default_factory=dict)
    """The lots that it was made from, those that rework put into it too, and whether each is a component."""
    made: set[bytes] = field(default_factory=set)
    work: list[tuple[int, int]] = field(default_factory=list)
    """Records that made or reworked it under an assignment, and the assignments."""
    certificates: list[int] = field(default_factory=list)
    orders: set[bytes] = field(default_factory=set)
    """All orders that it ever belonged to."""
    reworked_at: list[tuple[int, int]] = field(default_factory=list)
    """Records that reworked it in place, and who made them."""
    records: list[int] = field(default_factory=list)


@dataclass
class CertificateFacts:
    number: int
    issuer: int
    statement: Statement
    lots: tuple[bytes, ...]
    demanded: bool = False
    deadline: int = 0
    """Until when it has to be opened."""
    upheld: bool = False
    refuted: bool = False
    revoked: bool = False

    @property
    def failed(self) -> bool:
        return self.statement.verdict is Verdict.FAIL


@dataclass
class AssignmentFacts:
    number: int
    order: bytes
    operation: int
    machine: int
    owner: int
    stream: bytes | None = None
    started: int = 0
    """The record that started it; 0 if none did."""
    under_way: bool = False
    finished: int | None = None
    leaf: int | None = None
    lots: list[bytes] = field(default_factory=list)
    """Commissioned or made under it."""


@dataclass
class Facts:
    lots: dict[bytes, LotFacts] = field(default_factory=dict)
    certificates: dict[int, CertificateFacts] = field(default_factory=dict)
    assignments: dict[int, AssignmentFacts] = field(default_factory=dict)
    orders: dict[bytes, int] = field(default_factory=dict)
    """The buyer of each."""
    corrected: set[int] = field(default_factory=set)
    """Records that who made them corrected, in a history of theirs."""
    makers: dict[int, int] = field(default_factory=dict)
    """Of all records."""
    waivers: dict[int, bytes] = field(default_factory=dict)
    """The lot of each record that waived a gate for it."""
    notes: list[tuple[int, tuple[bytes, ...]]] = field(default_factory=list)
    anchored: list[tuple[int, bytes, int]] = field(default_factory=list)
    """Records that anchored a stream, the stream, and how many entries it had from then on."""
    measured: dict[tuple[bytes, int], list[int]] = field(default_factory=dict)
    """By stream and leaf, the certificates and finished operations that name it."""
    kinds: dict[int, str] = field(default_factory=dict)
    """Of all records."""
    companies: dict[int, set[int]] = field(default_factory=dict)
    """Who made each record, and whom it names."""
    subjects: dict[int, tuple[bytes, ...]] = field(default_factory=dict)
    """The histories that each record is in."""

    def feed(self, records: Iterable[Recorded[Event]]) -> None:
        for record in records:
            self._take(record, record.event)
            self.subjects[record.sequence], self.kinds[record.sequence] = record.histories, record.kind
            self.makers[record.sequence] = record.participant
            self.companies[record.sequence] = {record.participant, *record.event.numbers(Names.PARTICIPANT)}
            for name in record.histories:
                if name in self.lots:
                    self.lots[name].records.append(record.sequence)

    def ancestors(self, lot: bytes) -> set[bytes]:
        found: set[bytes] = set()
        waiting = [lot]
        while waiting:
            for source in self.lots[waiting.pop()].sources:
                if source not in found:
                    found.add(source)
                    waiting.append(source)
        return found - {lot}  # a component of its rework may have been made of it

    def descendants(self, lot: bytes) -> set[bytes]:
        found: set[bytes] = set()
        waiting = [lot]
        while waiting:
            new = self.lots[waiting.pop()].made - found
            found |= new
            waiting += new
        return found

    def scope(self, lot: bytes) -> set[bytes]:
        """The lot and those that it was made from."""
        return {lot, *self.ancestors(lot)}

    def certificates_of(self, lots: Iterable[bytes]) -> Iterator[CertificateFacts]:
        numbers = {number for lot in lots for number in self.lots[lot].certificates}
        return (self.certificates[number] for number in sorted(numbers))

    def _take(self, record: Recorded[Event], event: Event) -> None:
        match event:
            case OrderPlaced():
                self.orders[record.subject] = record.participant
            case AssignmentProposed():
                made = AssignmentFacts(record.sequence, record.subject, event.operation, event.machine, event.owner)
                self.assignments[record.sequence] = made
            case AssignmentStarted():
                started = self.assignments[event.assignment]
                started.stream, started.started, started.under_way = event.stream, record.sequence, True
            case AssignmentCancelled():
                self.assignments[event.assignment].under_way = False
            case AssignmentFinished():
                done = self.assignments[event.assignment]
                done.finished, done.leaf, done.under_way = record.sequence, event.leaf_index, False
                self._measure(event.stream, event.leaf_index, record.sequence)
            case NoteRecorded():
                shared = set(self.subjects.get(event.about, ())) & set(record.histories)
                own = self.makers.get(event.about) == record.participant and bool(shared)
                if own and event.kind_ == NoteKind.CORRECTION:
                    self.corrected.add(event.about)
                self.notes.append((record.sequence, record.histories))
            case GateWaived():
                self.waivers[record.sequence] = record.subject
            case StreamAnchored():
                self.anchored.append((record.sequence, record.subject, event.size))
            case CertificateIssued():
                self._issue(record, event.statement)
            case OpeningDemanded():
                demanded = self.certificates[event.certificate]
                demanded.demanded, demanded.deadline = True, event.deadline
            case CertificateUpheld():
                self.certificates[event.certificate].upheld = True
            case CertificateRefuted():
                self.certificates[event.certificate].refuted = True
            case CertificateRevoked():
                self.certificates[event.certificate].revoked = True
            case _:
                self._take_lot(record, event)

    def _take_lot(self, record: Recorded[Event], event: Event) -> None:
        match event:
            case LotReceived():
                self.lots[record.subject] = LotFacts(record.subject, record.participant, "received")
            case LotCommissioned():
                lot = LotFacts(record.subject, record.participant, "commissioned", event.order)
                self.lots[record.subject] = lot
                self._make(lot, event.order, event.assignment, record.sequence)
            case LotsTransformed():
                self._transform(record, event)
            case LotReworked():
                lot = self.lots[record.subject]
                lot.reworked_at.append((record.sequence, record.participant))
                lot.sources.update({taken.lot: True for taken in event.rework.components})
                for taken in event.rework.components:
                    self.lots[taken.lot].made.add(lot.subject)
                if event.assignment:
                    self._make(lot, event.rework.order, event.assignment, record.sequence)
            case LotAllocated():
                lot = self.lots[record.subject]
                lot.order = event.order  # nothing is done to it under the assignment
                lot.orders.add(event.order)
            case LotDeallocated():
                self.lots[record.subject].order = None

    def _transform(self, record: Recorded[Event], event: LotsTransformed) -> None:
        change = event.transformation
        sources = {taken.lot: taken.component for taken in change.inputs}
        for name in event.outputs(record.histories):
            lot = LotFacts(
                name, record.participant, change.kind.name.lower(), change.order if any(change.order) else None
            )
            lot.sources.update(sources)
            lot.orders |= {lot.order} if lot.order else set()
            self.lots[name] = lot
            for source in sources:
                self.lots[source].made.add(name)
            if lot.order and change.kind is TransformationKind.CONVERSION:
                for assignment in self._under_way(lot.order, change.operation, record.participant):
                    self._make(lot, lot.order, assignment, record.sequence)

    def _under_way(self, order: bytes, operation: int, owner: int) -> list[int]:
        """The assignment under which the owner may make things: one at most."""
        wanted = (order, operation, owner, True)
        found = self.assignments.values()
        return [one.number for one in found if (one.order, one.operation, one.owner, one.under_way) == wanted]

    def _make(self, lot: LotFacts, order: bytes, assignment: int, record: int) -> None:
        lot.orders.add(order)
        lot.work.append((record, assignment))
        self.assignments[assignment].lots.append(lot.subject)

    def _issue(self, record: Recorded[Event], statement: Statement) -> None:
        lots = tuple(item.lot for item in statement.items)
        self.certificates[record.sequence] = CertificateFacts(record.sequence, record.participant, statement, lots)
        for lot in lots:
            self.lots[lot].certificates.append(record.sequence)
        self._measure(statement.stream, statement.leaf_index, record.sequence)

    def _measure(self, stream: bytes, leaf: int, record: int) -> None:
        self.measured.setdefault((stream, leaf), []).append(record)


_WORK = ("commissioned", "conversion")
"""How lots come to be by somebody's work: not by being received, split or merged."""

Answer = frozenset[object]


class Kept:
    """What the contracts keep at the latest block of a world that is over: each asked once."""

    def __init__(self, world: TruthWorld) -> None:
        self._chain, self._companies = world.consortium.chain, world.consortium.companies
        self.now_s = world.now()
        self._lots: dict[bytes, Mapping[str, Any]] = {}
        self._statuses: dict[int, CertificateStatus] = {}

    def lot(self, subject: bytes) -> Mapping[str, Any]:
        if subject not in self._lots:
            self._lots[subject] = self._chain.read_struct(Contract.LEDGER, "lotOf", subject)
        return self._lots[subject]

    def status(self, certificate: int) -> CertificateStatus:
        if certificate not in self._statuses:
            value = self._chain.read(Contract.LEDGER, "certificateStatus", certificate)[0]
            self._statuses[certificate] = CertificateStatus(cast(int, value))
        return self._statuses[certificate]

    @cached_property
    def suspended(self) -> set[int]:
        numbers = [company.number for company in self._companies]
        return {one for one in numbers if self._chain.read_struct(Contract.REGISTRY, "participantOf", one)["suspended"]}


@dataclass
class LogAnswers:
    """Answers about one part. Certificates, records and participants are named by numbers, lots by their subjects."""

    kept: Kept
    facts: Facts
    part: bytes
    shown: frozenset[int]
    """The records whose evidence is in the bundle."""
    bundled: frozenset[int]
    """The records that are in the bundle."""

    @cached_property
    def scope(self) -> set[bytes]:
        """The part and what it was made from."""
        return self.facts.scope(self.part)

    @cached_property
    def certificates(self) -> list[CertificateFacts]:
        return list(self.facts.certificates_of(self.scope))

    @cached_property
    def orders(self) -> set[bytes]:
        """The orders that anything of the scope was made in, or belongs to."""
        lots = [self.facts.lots[name] for name in self.scope]
        return {order for lot in lots for order in lot.orders}

    # Verdicts

    def failed(self) -> Answer:
        return frozenset(one.number for one in self.certificates if one.failed)

    def refuted(self) -> Answer:
        return self._having(CertificateStatus.REFUTED)

    def revoked(self) -> Answer:
        return self._having(CertificateStatus.REVOKED)

    def unopened(self) -> Answer:
        """Those whose time is over, and those that were revoked before they were opened."""
        found = (self.facts.certificates[number] for number in self.demanded())
        return frozenset(one.number for one in found if one.deadline <= self.kept.now_s or one.revoked)

    def fallen(self) -> Answer:
        return self._having(CertificateStatus.FALLEN)

    def demanded(self) -> frozenset[int]:
        """Those whose opening was demanded, and that nobody opened, also those that were revoked instead."""
        found = self.certificates
        return frozenset(one.number for one in found if one.demanded and not (one.upheld or one.refuted))

    def _having(self, status: CertificateStatus) -> Answer:
        return frozenset(one.number for one in self.certificates if self.kept.status(one.number) is status)

    # What happened to the part itself, by records

    def passed_at(self) -> Answer:
        return frozenset(one.number for one in self._own_certificates() if not one.failed)

    def failed_at(self) -> Answer:
        return frozenset(one.number for one in self._own_certificates() if one.failed)

    def demanded_at(self) -> Answer:
        return self._happened("OpeningDemanded")

    def upheld_at(self) -> Answer:
        return self._happened("CertificateUpheld")

    def refuted_at(self) -> Answer:
        return self._happened("CertificateRefuted")

    def revoked_at(self) -> Answer:
        return self._happened("CertificateRevoked")

    def quarantined_at(self) -> Answer:
        return self._happened("LotQuarantined")

    def released_at(self) -> Answer:
        return self._happened("LotReleased")

    def reworked_at(self) -> Answer:
        return frozenset(record for record, _ in self.facts.lots[self.part].reworked_at)

    def _own_certificates(self) -> list[CertificateFacts]:
        return [self.facts.certificates[number] for number in self.facts.lots[self.part].certificates]

    def _happened(self, kind: str) -> Answer:
        return frozenset(one for one in self.facts.lots[self.part].records if self.facts.kinds[one] == kind)

    # Measurements

    def reused(self) -> Answer:
        """Records of the bundle that name one measurement."""
        found: set[object] = set()
        for records in self.facts.measured.values():
            several = [one for one in records if one in self.bundled]
            if any(self._suspicious(one, two) for one, two in itertools.combinations(several, 2)):
                found.add(frozenset(several))
        return frozenset(found)

    def _suspicious(self, one: int, two: int) -> bool:
        """Whether two records should not name one measurement: any two, but an operation and a certificate of what was
        made in it."""
        certificates = self.facts.certificates
        if (one in certificates) is (two in certificates):
            return True
        finished, certificate = (two, one) if one in certificates else (one, two)
        [job] = [job for job in self.facts.assignments.values() if job.finished == finished]
        return not set(certificates[certificate].lots) <= set(job.lots)

    def unmeasured(self) -> Answer:
        """Of all of the bundle."""
        named = {number for records in self.facts.measured.values() for number in records}
        return frozenset((named & self.bundled) - self.shown)

    def outdated(self) -> Answer:
        """Certificates on an entry that was anchored before the work on their lot began, or its rework."""
        found = set()
        for certificate in self.certificates:
            stream, index = certificate.statement.stream, certificate.statement.leaf_index
            since = max(self._worked_on(lot, certificate.number) for lot in certificate.lots if lot in self.scope)
            before = (size for record, name, size in self.facts.anchored if name == stream and record <= since)
            if index < max(before, default=0):
                found.add(certificate.number)
        return frozenset(found)

    def _worked_on(self, lot: bytes, certificate: int) -> int:
        """The record since which a lot was what was certified: of the start of its latest work, or of a rework."""
        told = self.facts.lots[lot]
        work = [self.facts.assignments[number].started for record, number in told.work if record < certificate]
        reworks = [record for record, _ in told.reworked_at if record < certificate]
        return max([*work[-1:], *reworks], default=0)

    # Making

    def maker(self) -> Answer:
        lot = self.facts.lots[self.part]
        return frozenset({(lot.creator, lot.how)})

    def ancestors(self) -> Answer:
        return frozenset(to_hex(name) for name in self.facts.ancestors(self.part))

    def made_of_it(self) -> Answer:
        return frozenset(to_hex(name) for name in self.facts.lots[self.part].made)

    def received(self) -> Answer:
        """Lots from outside, and who received them."""
        lots = [self.facts.lots[name] for name in self.scope]
        return frozenset((to_hex(lot.subject), lot.creator) for lot in lots if lot.how == "received")

    def machines(self) -> Answer:
        """Of the part itself."""
        return frozenset(one.machine for one in self._work_on(self.part))

    def machines_of_ancestors(self) -> Answer:
        return frozenset(one.machine for name in self.facts.ancestors(self.part) for one in self._work_on(name))

    def own_work(self) -> Answer:
        """Certificates by a company that made the lot, or something that it was made from, or worked in its orders."""
        found = set()
        for certificate in self.certificates:
            for lot in certificate.lots:
                if lot in self.scope and certificate.issuer in self._workers(lot):
                    found.add(certificate.number)
        return frozenset(found)

    def _workers(self, lot: bytes) -> set[int]:
        """Who made it or something that it was made from, or started an operation of an order that it was in."""
        lots = [self.facts.lots[name] for name in self.facts.scope(lot)]
        orders = self.facts.lots[lot].orders
        began = (one for one in self.facts.assignments.values() if one.order in orders and one.stream)
        workers = {one.owner for one in began} | {one.creator for one in lots if one.how in _WORK}
        return workers | {by for one in lots for _, by in one.reworked_at}

    def siblings(self) -> Answer:
        """Other lots made under the same assignments."""
        found = {name for one in self._work_on(self.part) for name in one.lots}
        return frozenset(to_hex(name) for name in found - {self.part})

    def inputs(self) -> Answer:
        return frozenset(to_hex(name) for name in self.facts.lots[self.part].sources)

    def owners(self) -> Answer:
        return frozenset(one.owner for name in self.scope for one in self._work_on(name))

    def _work_on(self, lot: bytes) -> list[AssignmentFacts]:
        return [self.facts.assignments[number] for _, number in self.facts.lots[lot].work]

    # Standing

    def order(self) -> Answer:
        order = self.facts.lots[self.part].order
        return frozenset() if order is None else frozenset({(to_hex(order), self.facts.orders[order])})

    def standing(self) -> Answer:
        """State, quantity and unit."""
        kept = self.kept.lot(self.part)
        state, unit = LotState(kept["state"]).name.lower(), kept["unit"].rstrip(b"\0").decode()
        return frozenset({(state, kept["quantity"], unit)})

    def holder(self) -> Answer:
        kept, lots = self.kept.lot(self.part), [self.kept.lot(name) for name in self.facts.lots]
        while kept["packed"]:
            kept = next(one for one in lots if one["number"] == kept["holder"])
        return frozenset({kept["holder"]})

    def quarantined(self) -> Answer:
        """Lots of the scope that are set apart, and by whom."""
        return frozenset((to_hex(name), by) for name, by in self._apart())

    def quarantined_part(self) -> Answer:
        return frozenset(by for name, by in self._apart() if name == self.part)

    def _apart(self) -> Iterator[tuple[bytes, int]]:
        for name in self.scope:
            kept = self.kept.lot(name)
            if LotState(kept["state"]) in (LotState.QUARANTINED, LotState.RETURNING):
                yield name, kept["counterparty"]

    # What was said

    def notes(self) -> Answer:
        return frozenset(number for number, names in self.facts.notes if set(names) & (self.scope | self.orders))

    def waived(self) -> Answer:
        return frozenset(record for record, lot in self.facts.waivers.items() if lot in self.scope)

    def corrected(self) -> Answer:
        return frozenset(self.facts.corrected & self.bundled)

    def _companies(self) -> set[int]:
        """Those who made the bundle's records, or are named there."""
        return {number for record in self.bundled for number in self.facts.companies[record]}

    def suspended(self) -> Answer:
        """Companies that may not act, of those that these records are by or name."""
        return frozenset(self.kept.suspended & self._companies())


Said = Mapping[str, Any]


@dataclass(frozen=True)
class Statements:
    """The statements of a report about one part."""

    told: tuple[Said, ...]
    part: str
    """Its subject, 0x-hex."""

    def having(self, *codes: str) -> Iterator[Said]:
        return (one for one in self.told if one["code"] in codes)

    def values(self, name: str, *codes: str) -> Answer:
        """Of those about the part and what it was made from."""
        return frozenset(one["values"][name] for one in self.of_line(*codes))

    @property
    def line(self) -> frozenset[str]:
        """The part and what it was made from, as the report has it."""
        return frozenset(one["subject"] for one in self.having(*_BEGINNINGS))

    def of_line(self, *codes: str) -> Iterator[Said]:
        """Those about the part, or what it was made from; not about what it is packed in or with."""
        return (one for one in self.having(*codes) if one["subject"] in self.line)

    def members(self, name: str, *codes: str) -> Answer:
        return frozenset(item for one in self.having(*codes) for item in one["values"][name])


@dataclass(frozen=True)
class Question:
    name: str
    ask: Callable[[LogAnswers], Answer]
    read: Callable[[Statements], Answer]
    unknown: str = ""
    """The code of the statement that says that there may be more than the report tells; empty if it must tell all."""
    maybe: Callable[[Statements], Answer] = lambda _: frozenset()
    """What the report says may be so."""

    def differs(self, answer: Answer, statements: Statements) -> bool:
        """Whether the report does not tell what the chain does, and does not say that it does not know."""
        read = self.read(statements) | (self.maybe(statements) & answer)
        if self.unknown and read < answer:
            return not any(True for _ in statements.having(self.unknown))
        return read != answer


def _with_status(status: str) -> Callable[[Statements], Answer]:
    def read(statements: Statements) -> Answer:
        found = statements.of_line("certificate")
        return frozenset(one["values"]["certificate"] for one in found if one["values"]["status"] == status)

    return read


def _failed(statements: Statements) -> Answer:
    found = statements.of_line("certificate")
    return frozenset(one["values"]["certificate"] for one in found if one["values"]["verdict"] == "fail")


def _happened(code: str) -> Callable[[Statements], Answer]:
    """The records of events of the part itself."""

    def read(statements: Statements) -> Answer:
        found = (one for one in statements.having(code) if one["subject"] == statements.part)
        return frozenset(number for one in found for number in one["records"])

    return read


_BEGINNINGS = {
    "made": "commissioned",
    "received": "received",
    "split": "split",
    "merged": "merge",
    "converted": "conversion",
    "assembled": "conversion",
}


def _beginnings(statements: Statements) -> Iterable[Said]:
    return statements.having(*_BEGINNINGS)


def _maker(statements: Statements) -> Answer:
    found = (one for one in _beginnings(statements) if one["subject"] == statements.part)
    return frozenset((one["values"]["by"]["participant"], _BEGINNINGS[one["code"]]) for one in found)


def _ancestors(statements: Statements) -> Answer:
    return frozenset(one["subject"] for one in _beginnings(statements)) - {statements.part}


def _received(statements: Statements) -> Answer:
    return frozenset((one["subject"], one["values"]["by"]["participant"]) for one in statements.having("received"))


def _inputs(statements: Statements) -> Answer:
    """What it was made of directly, and what was fitted to it."""
    found = statements.having(*_BEGINNINGS, "fitted")
    mine = (one for one in found if one["subject"] == statements.part)
    return frozenset(item["subject"] for one in mine for item in one["values"]["inputs"])


def _machines(statements: Statements) -> Answer:
    found = (one for one in statements.having("on_machine") if one["subject"] == statements.part)
    return frozenset(one["values"]["machine"]["machine"] for one in found)


def _machines_of_ancestors(statements: Statements) -> Answer:
    found = (one for one in statements.having("on_machine") if one["subject"] != statements.part)
    return frozenset(one["values"]["machine"]["machine"] for one in found)


def _owners(statements: Statements) -> Answer:
    return frozenset(one["values"]["owner"]["participant"] for one in statements.having("on_machine"))


def _siblings(statements: Statements) -> Answer:
    mine = {one["values"]["assignment"] for one in statements.having("same_assignment") if _is_part(one, statements)}
    found = statements.having("same_assignment")
    return frozenset(
        one["subject"] for one in found if one["values"]["assignment"] in mine and not _is_part(one, statements)
    )


def _is_part(told: Said, statements: Statements) -> bool:
    return bool(told["subject"] == statements.part)


def _reused(statements: Statements) -> Answer:
    return frozenset(frozenset(one["values"]["measured"]) for one in statements.having("one_measurement"))


def _standing(statements: Statements) -> Answer:
    found = (one["values"] for one in statements.having("stands"))
    return frozenset((one["state"], one["quantity"], one["unit"]["code"]) for one in found)


def _holder(statements: Statements) -> Answer:
    return frozenset(one["values"]["holder"]["participant"] for one in statements.having("stands"))


def _order(statements: Statements) -> Answer:
    found = (one["values"] for one in statements.having("in_order"))
    return frozenset((one["order"]["subject"], one["buyer"]["participant"]) for one in found)


def _notes(statements: Statements) -> Answer:
    orders = {one["values"]["order"]["subject"] for one in statements.having("in_order")}
    wanted = statements.line | orders
    found = statements.having("note", "recall_notice")
    return frozenset(
        one["values"]["record"] for one in found if wanted & {item["subject"] for item in one["values"]["about"]}
    )


def _corrected(statements: Statements) -> Answer:
    plain = {one["values"]["record"] for one in statements.having("corrected")}
    return frozenset(plain | {one["values"]["certificate"] for one in statements.having("taken_back")})


def _quarantined(statements: Statements) -> Answer:
    return _set_apart(statements, "quarantined")


def _perhaps_quarantined(statements: Statements) -> Answer:
    return _set_apart(statements, "quarantined_or_spent")


def _set_apart(statements: Statements, code: str) -> Answer:
    return frozenset((one["subject"], one["values"]["by"]["participant"]) for one in statements.of_line(code))


def _quarantined_part(statements: Statements) -> Answer:
    return frozenset(one["values"]["by"]["participant"] for one in statements.having("quarantined_part"))


def _suspended(statements: Statements) -> Answer:
    return frozenset(one["values"]["participant"]["participant"] for one in statements.having("suspended"))


def _made_of_it(statements: Statements) -> Answer:
    return frozenset(item["subject"] for one in statements.having("made_of") for item in one["values"]["made"])


def _without_evidence(statements: Statements) -> Answer:
    certificates = statements.members("certificates", "measured")
    return certificates | statements.members("finished", "operations")


def _own(statements: Statements) -> Answer:
    return statements.values("certificate", "own_work")


QUESTIONS = (
    Question("Which certificates of it, or of what it was made from, failed it?", LogAnswers.failed, _failed),
    Question("Which were refuted?", LogAnswers.refuted, _with_status("refuted")),
    Question("Which were revoked?", LogAnswers.revoked, _with_status("revoked")),
    Question(
        "Which were demanded and not opened in time, or revoked instead?",
        LogAnswers.unopened,
        lambda told: told.values("certificate", "unmet"),
    ),
    Question("Which have fallen with their model?", LogAnswers.fallen, _with_status("fallen")),
    Question(
        "Of which was the opening demanded, and is not settled?",
        LogAnswers.demanded,
        lambda told: told.values("certificate", "demanded", "unmet"),
    ),
    Question("When did it pass?", LogAnswers.passed_at, _happened("event_passed")),
    Question("When did it fail?", LogAnswers.failed_at, _happened("event_failed")),
    Question("When was an opening demanded?", LogAnswers.demanded_at, _happened("event_demanded")),
    Question("When was a certificate upheld?", LogAnswers.upheld_at, _happened("event_upheld")),
    Question("When was a certificate refuted?", LogAnswers.refuted_at, _happened("event_refuted")),
    Question("When was a certificate revoked?", LogAnswers.revoked_at, _happened("event_revoked")),
    Question("When was it quarantined by a record?", LogAnswers.quarantined_at, _happened("event_quarantined")),
    Question("When was it released?", LogAnswers.released_at, _happened("event_released")),
    Question("When was it reworked in place?", LogAnswers.reworked_at, _happened("event_reworked")),
    Question("Which measurements were named for several things?", LogAnswers.reused, _reused),
    Question("Which certificates and operations show no measurement?", LogAnswers.unmeasured, _without_evidence),
    Question(
        "Which certificates are on a measurement from before the work?",
        LogAnswers.outdated,
        lambda told: told.values("certificate", "old_measurement"),
        unknown="timing",
    ),
    Question("Who made it, and how?", LogAnswers.maker, _maker),
    Question("What was it made from, in any number of steps?", LogAnswers.ancestors, _ancestors),
    Question("What was it made from directly?", LogAnswers.inputs, _inputs),
    Question("What came from outside, and who received it?", LogAnswers.received, _received),
    Question("On which machines was it made?", LogAnswers.machines, _machines),
    Question(
        "On which machines was what it was made from made?", LogAnswers.machines_of_ancestors, _machines_of_ancestors
    ),
    Question("Whose machines were these?", LogAnswers.owners, _owners),
    Question("Who certified own work?", LogAnswers.own_work, _own),
    Question("What else was made under its assignments?", LogAnswers.siblings, _siblings, unknown="other_lots"),
    Question("What was made of it?", LogAnswers.made_of_it, _made_of_it),
    Question("In whose order is it?", LogAnswers.order, _order),
    Question("In what state is it, and how much?", LogAnswers.standing, _standing),
    Question("Who has it?", LogAnswers.holder, _holder),
    Question("Who has set it apart?", LogAnswers.quarantined_part, _quarantined_part),
    Question("What of it is set apart?", LogAnswers.quarantined, _quarantined, maybe=_perhaps_quarantined),
    Question("What was noted about it?", LogAnswers.notes, _notes),
    Question(
        "Which gates were waived for it?",
        LogAnswers.waived,
        lambda told: told.values("record", "waived", "waived_uncertified"),
    ),
    Question("Which records were corrected?", LogAnswers.corrected, _corrected, unknown="elsewhere"),
    Question("Which companies in its records may not act?", LogAnswers.suspended, _suspended),
)
