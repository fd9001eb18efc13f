"""What a ledger's whole log says about lots, told plainly: one pass over all records, no proofs, no replay.

Nothing of `millmark.ledger.verify` is used here. State that the contracts keep (custody, quarantine, the status of a
certificate) is asked of them instead of being derived again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

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
    RecordSuperseded,
)
from millmark.ledger.records import Names, Statement, TransformationKind, Verdict

__all__ = ["AssignmentFacts", "CertificateFacts", "Facts", "LotFacts"]


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
    superseded: dict[int, int] = field(default_factory=dict)
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
            case RecordSuperseded():
                self.superseded[event.superseded] = record.sequence
            case NoteRecorded():
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
            if lot.order and change.kind in (TransformationKind.CONVERSION, TransformationKind.REWORK):
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
