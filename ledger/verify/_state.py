"""Orders, lots and certificates as the records of a bundle tell them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

from ledger.canonical import to_hex
from ledger.events import Event
from ledger.ids import SubjectKind, subject
from ledger.records import (
    AssignmentState,
    CertificateState,
    LotState,
    ModelState,
    OrderState,
    OrderTerms,
    Statement,
    Verdict,
)
from ledger.slots import KeySlots, MachineSlots, ModelSlots, ParticipantSlots, StreamSlots
from ledger.verify.refusals import ReplayRefused

__all__ = [
    "WORTHLESS",
    "Assignment",
    "Certificate",
    "Entry",
    "Lot",
    "Order",
    "Proved",
    "Rule",
    "State",
    "broken",
    "hold",
    "on",
    "subject_of_lot",
    "was_approved",
]

K = TypeVar("K", int, bytes)
WORTHLESS = (CertificateState.REVOKED, CertificateState.REFUTED)
"""What a certificate does not come back from."""
_AT_WORK = (AssignmentState.STARTED, AssignmentState.FINISHED)
V = TypeVar("V")
E = TypeVar("E", bound=Event)
EV = TypeVar("EV", bound=Event, covariant=True)


@dataclass(frozen=True, slots=True)
class Entry(Generic[EV]):
    """A record in full, decoded."""

    event: EV
    sequence: int
    participant: int
    key: bytes
    time: int
    """Of its block, in seconds since 1970."""
    histories: tuple[bytes, ...]

    @property
    def kind(self) -> str:
        return self.event.kind


@dataclass(slots=True)
class Assignment:
    """One operation given to one machine."""

    sequence: int
    operation: int
    machine: int
    owner: int
    state: AssignmentState


@dataclass(slots=True)
class Order:
    subject: bytes
    sequence: int
    buyer: int
    coordinator: int
    terms: OrderTerms
    state: OrderState
    current: dict[int, Assignment] = field(default_factory=dict)
    """By operation."""
    assignments: dict[int, Assignment] = field(default_factory=dict)
    """All of them, by sequence."""
    finished: set[int] = field(default_factory=set)
    """Operations that were finished at least once."""
    proposal: tuple[int, int, OrderTerms] | None = None
    """Sequence, proposer and terms of a revision, while it is the order's latest record."""

    def workers(self) -> set[int]:
        """Participants whose machines are at work for it, or were to the end of an operation."""
        return {one.owner for one in self.assignments.values() if one.state in _AT_WORK}


@dataclass(slots=True)
class Certificate:
    sequence: int
    lot: bytes
    model: int
    issuer: int
    verdict: Verdict
    issued_at: int
    expires_at: int
    statement: Statement
    anchor_size: int
    anchor_root: bytes
    state: CertificateState = CertificateState.ISSUED
    opening_deadline: int = 0
    """From then on it is unopened when it still is demanded, in seconds since 1970."""
    executed: Verdict = Verdict.NONE
    """What its model said when the inference was opened on chain; NONE when it was not executed there."""

    def has_lapsed(self, time: int) -> bool:
        """Whether its opening was demanded, and nobody opened it in time."""
        return self.state is CertificateState.DEMANDED and self.opening_deadline <= time


@dataclass(slots=True)
class Lot:
    subject: bytes
    sequence: int
    """Of the record that made it."""
    maker: int
    """Who made or received it."""
    order: bytes | None
    unit: bytes
    made: int
    """Quantity at the beginning, in `unit`."""
    quantity: int
    """What is left: with sealed records, at most."""
    custodian: int
    state: LotState = LotState.HELD
    counterparty: int = 0
    """Offered: to whom. Quarantined: by whom."""
    parent: bytes | None = None
    contents: set[bytes] = field(default_factory=set)
    inputs: tuple[bytes, ...] = ()
    """What it was made of."""
    parents: set[bytes] = field(default_factory=set)
    """What it ever was packed in."""
    assignment: int = 0
    """Under which it was made; 0 for none."""
    certificates: list[Certificate] = field(default_factory=list)
    """Oldest first; the last one counts."""
    sealed: int = 0
    """Records of which only the kind is shown."""
    from_outside: bool = False
    """Whether it was received from outside the ledger, where its maker found it."""


@dataclass(slots=True)
class Proved:
    """The state at the proof block, as far as the bundle proves it, and which of it the records asked for."""

    heads: Mapping[bytes, bytes]
    participants: Mapping[int, ParticipantSlots]
    keys: Mapping[bytes, KeySlots]
    machines: Mapping[int, MachineSlots]
    models: Mapping[int, ModelSlots]
    streams: Mapping[bytes, StreamSlots]
    named_machines: Mapping[bytes, int]
    """Numbers of the machines that identities name, by subject."""
    asked: set[tuple[str, int | bytes]] = field(default_factory=set)

    def participant(self, entry: Entry[Event], number: int) -> ParticipantSlots:
        return self._get(self.participants, "participant", number, entry)

    def key(self, entry: Entry[Event], address: bytes) -> KeySlots:
        return self._get(self.keys, "key", address, entry)

    def machine(self, entry: Entry[Event], number: int) -> MachineSlots:
        return self._get(self.machines, "machine", number, entry)

    def model(self, entry: Entry[Event], number: int) -> ModelSlots:
        return self._get(self.models, "model", number, entry)

    def stream(self, entry: Entry[Event], subject: bytes) -> StreamSlots:
        found = self._get(self.streams, "stream", subject, entry)
        self.machine(entry, found.machine)
        return found

    def superfluous(self) -> str | None:
        """Something proved that no record asked for."""
        for what, table in (
            ("participant", self.participants),
            ("key", self.keys),
            ("machine", self.machines),
            ("model", self.models),
            ("stream", self.streams),
        ):
            for name in table:
                if (what, name) not in self.asked:
                    return f"{what} {_shown(name)}"
        return None

    def _get(self, table: Mapping[K, V], what: str, name: K, entry: Entry[Event]) -> V:
        self.asked.add((what, name))
        found = table.get(name)
        if found is None:
            raise ReplayRefused(
                f"{what} {_shown(name)}, which the record names, is not proved", sequence=entry.sequence
            )
        return found


@dataclass(slots=True)
class State:
    """Everything so far. What the bundle holds no history of is not in it."""

    proved: Proved
    shown: frozenset[bytes]
    """Subjects whose histories are in the bundle."""
    parts: frozenset[bytes]
    with_sealed: frozenset[bytes]
    """Subjects whose histories hold sealed records."""
    entries_of: dict[bytes, dict[int, Entry[Event]]] = field(default_factory=dict)
    """The records of each history so far, by sequence."""
    orders: dict[bytes, Order] = field(default_factory=dict)
    lots: dict[bytes, Lot] = field(default_factory=dict)
    certificates: dict[int, Certificate] = field(default_factory=dict)
    superseded: dict[int, int] = field(default_factory=dict)
    """By which record."""

    def order(self, entry: Entry[Event], name: bytes) -> Order:
        """An order whose history must be there."""
        found = self.orders.get(name)
        if found is None:
            raise ReplayRefused("the history of that order is missing", subject=name, sequence=entry.sequence)
        return found

    def lot(self, entry: Entry[Event], name: bytes) -> Lot:
        """A lot whose history must be there."""
        found = self.lots.get(name)
        if found is None:
            raise ReplayRefused("the history of that lot is missing", subject=name, sequence=entry.sequence)
        return found

    def order_of(self, lot: Lot) -> Order | None:
        """A lot of an order came with it, see `order`."""
        return None if lot.order is None else self.orders[lot.order]


Rule: TypeAlias = Callable[[Entry[Any], State], None]


def on(kind: type[E], rule: Callable[[Entry[E], State], None]) -> tuple[type[Event], Rule]:
    """A row of a table of rules: the types say that the rule judges such events."""
    return kind, rule


def hold(holds: bool, entry: Entry[Event], otherwise: str, subject: bytes | None = None) -> None:
    """Raises ReplayRefused unless `holds`."""
    if not holds:
        raise broken(entry, otherwise, subject)


def broken(entry: Entry[Event], cause: str, subject: bytes | None = None) -> ReplayRefused:
    """What to raise for a record that could not follow; about its first history unless another subject is named."""
    return ReplayRefused(cause, subject=entry.histories[0] if subject is None else subject, sequence=entry.sequence)


def subject_of_lot(creator: int, identifier_hash: bytes) -> bytes:
    """The name of the lot that a participant makes under an identifier."""
    return subject(SubjectKind.LOT, creator, identifier_hash)


def was_approved(model: ModelSlots, time: int) -> bool:
    """Whether a model can have been approved at that time: it is, or it was withdrawn no earlier."""
    if model.state is ModelState.APPROVED:
        return True
    return model.state is ModelState.WITHDRAWN and bool(model.approver) and model.withdrawn_at >= time


def _shown(name: int | bytes) -> str:
    return to_hex(name) if isinstance(name, bytes) else str(name)
