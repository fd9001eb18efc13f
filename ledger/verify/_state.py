"""Orders, lots and certificates as they result from a bundle's records, and what the bundle proves about the state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from millmark.ledger import records
from millmark.ledger.canonical import to_hex
from millmark.ledger.events import Event
from millmark.ledger.events.lots import LotReworked, LotsTransformed
from millmark.ledger.ids import SubjectKind, subject
from millmark.ledger.slots import KeySlots, MachineSlots, ModelSlots, NameKeySlots, ParticipantSlots, StreamSlots
from millmark.ledger.verify.report import ReplayRefused

K = TypeVar("K", int, bytes)
WORTHLESS = (records.CertificateState.REVOKED, records.CertificateState.REFUTED)
"""Final states in which a certificate does not count."""
V = TypeVar("V")
E = TypeVar("E", bound=Event)
EV = TypeVar("EV", bound=Event, covariant=True)


class Entry(NamedTuple, Generic[EV]):
    """A record that the bundle contains in full, decoded. A named tuple, because there may be a hundred thousand."""

    event: EV
    sequence: int
    participant: int
    key: bytes
    time: int
    """Time of its block, in seconds since 1970."""
    histories: tuple[bytes, ...]

    @property
    def kind(self) -> str:
        return self.event.kind


@dataclass(slots=True)
class Assignment:
    """One operation, assigned to one machine."""

    sequence: int
    operation: int
    machine: int
    owner: int
    state: records.AssignmentState
    stream: bytes = b""
    """Subject of the stream that measures the work; empty until it is started."""
    stream_size: int = 0
    """Entries of that stream that were anchored when the work began."""


@dataclass(slots=True)
class Proposal:
    """A proposal to revise an order, or to end it."""

    sequence: int
    terms: records.OrderTerms | None
    """None if it is of the end."""
    proposed_at: int
    agreed: set[int]
    """Participants that agreed, the proposer among them."""


@dataclass(slots=True)
class Order:
    subject: bytes
    sequence: int
    buyer: int
    terms: records.OrderTerms
    state: records.OrderState
    current: dict[int, Assignment] = field(default_factory=dict)
    """The current assignment of each operation."""
    assignments: dict[int, Assignment] = field(default_factory=dict)
    """All assignments, by sequence."""
    finished: set[int] = field(default_factory=set)
    """Operations that were finished at least once."""
    proposal: Proposal | None = None
    """What was proposed last and is not agreed yet."""

    @property
    def coordinator(self) -> int:
        return self.terms.coordinator

    def workers(self) -> set[int]:
        """Participants that started an operation of the order, whatever became of it."""
        return {one.owner for one in self.assignments.values() if one.stream}


@dataclass(slots=True)
class Certificate:
    sequence: int
    lot: bytes
    """Its lot; of several, the first with a history in the bundle."""
    lots: tuple[bytes, ...]
    model: int
    """0 if it is by a procedure."""
    issuer: int
    verdict: records.Verdict
    issued_at: int
    expires_at: int
    statement: records.Statement
    anchor_size: int
    anchor_root: bytes
    state: records.CertificateState = records.CertificateState.ISSUED
    opening_deadline: int = 0
    """From this time on, in seconds since 1970, it is unopened if its opening is still demanded."""
    executed: records.Verdict = records.Verdict.NONE
    """The verdict of executing the model on the chain; NONE if it was not executed, or the input was invalid."""

    def has_lapsed(self, time: int) -> bool:
        """Whether an opening of this certificate was demanded and did not happen before the deadline."""
        return self.state is records.CertificateState.DEMANDED and self.opening_deadline <= time

    def is_open(self) -> bool:
        """Whether it was demanded or refuted, and not upheld."""
        demanded = self.opening_deadline != 0 and self.state is not records.CertificateState.UPHELD
        return demanded or self.state is records.CertificateState.REFUTED


@dataclass(slots=True)
class Standing:
    """What the certificates of one inspector on a lot amount to (ICertificates.Standing)."""

    latest: Certificate | None = None
    open: int = 0
    """Number of certificates that are demanded or refuted, and not upheld."""
    quarantining: Certificate | None = None
    """The certificate behind the inspector's latest quarantine of the lot."""

    def count(self, change: int) -> None:
        """Count one more or one less open certificate. At its most the number stays, as in the contract."""
        if self.open != records.MAX_OPEN and self.open + change >= 0:
            self.open += change


@dataclass(frozen=True, slots=True)
class Waiver:
    """A gate that the buyer of a lot's order waived for the lot (IGates.Waiver)."""

    sequence: int
    order: bytes
    certificate: Certificate | None
    """The inspector's latest on the lot by then."""


@dataclass(slots=True)
class Lot:
    subject: bytes
    sequence: int
    """The record that created it."""
    maker: int
    """The participant who made or received it."""
    order: bytes | None
    unit: bytes
    made: int
    """Quantity at its creation, in `unit`."""
    quantity: int
    """Quantity that is left; after withheld records, the most that can be left."""
    custodian: int
    state: records.LotState = records.LotState.HELD
    counterparty: int = 0
    """If it is offered, the participant to whom; if it is quarantined or returning, the one who quarantined it."""
    offer: int = 0
    """The record that offered it last."""
    parent: bytes | None = None
    contents: set[bytes] = field(default_factory=set)
    inputs: tuple[bytes, ...] = ()
    """The lots from which it was made, and the components that went into it later."""
    orders: set[bytes] = field(default_factory=set)
    """Every order that it ever belonged to."""
    parents: set[bytes] = field(default_factory=set)
    """The lots in which it was ever packed."""
    work: list[tuple[bytes, int, int]] = field(default_factory=list)
    """The assignments under which it was made and reworked: order, number, and the record of the work, oldest first."""
    certificates: list[Certificate] = field(default_factory=list)
    """On it, or handed on to it when it was split off another lot; oldest first."""
    standings: dict[int, Standing] = field(default_factory=dict)
    """By inspector."""
    waivers: dict[int, Waiver] = field(default_factory=dict)
    """The latest, by inspector; see `State.is_waived`."""
    reworked: int = 0
    """The record of its latest rework that kept its identifier; 0 if there was none."""
    withheld: int = 0
    """Number of its records of which the bundle has only the kind and a hash."""
    from_outside: bool = False
    """Whether it was received from outside the ledger, so that `maker` did not make it."""

    def standing(self, inspector: int) -> Standing:
        return self.standings.setdefault(inspector, Standing())


@dataclass(slots=True)
class Proved:
    """The state at the proof block, as far as the bundle proves it, and which parts of it the records needed."""

    heads: Mapping[bytes, bytes]
    participants: Mapping[int, ParticipantSlots]
    keys: Mapping[bytes, KeySlots]
    machines: Mapping[int, MachineSlots]
    models: Mapping[int, ModelSlots]
    streams: Mapping[bytes, StreamSlots]
    named_machines: Mapping[bytes, int]
    """Numbers of the machines whose identifiers are disclosed, by subject."""
    name_keys: Mapping[tuple[int, int], NameKeySlots]
    """By participant and index, for the creators of identifiers: those up to the one used, and the next, or zeros."""
    taken: Mapping[bytes, bool]
    """Whether anything is recorded under the subjects that disclosed identifiers have by earlier name keys."""
    asked: set[tuple[str, int | bytes]] = field(default_factory=set)
    """Kind and name of everything that was looked up."""

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
        self.machine(entry, found.machine)  # evidence counts only with its machine, which must be proved, too
        return found

    def superfluous(self) -> str | None:
        """The first thing that is proved although no record needs it; None if there is none."""
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
    """The state after the records so far. It has only orders and lots whose histories are in the bundle."""

    proved: Proved
    shown: frozenset[bytes]
    """Subjects whose histories are in the bundle."""
    parts: frozenset[bytes]
    with_withheld: frozenset[bytes]
    """Subjects whose histories have withheld records."""
    entries_of: dict[bytes, dict[int, Entry[Event]]] = field(default_factory=dict)
    """The records of each history so far, by sequence."""
    orders: dict[bytes, Order] = field(default_factory=dict)
    lots: dict[bytes, Lot] = field(default_factory=dict)
    certificates: dict[int, Certificate] = field(default_factory=dict)
    lifted: dict[int, int] = field(default_factory=dict)
    """Who had imposed a quarantine without a certificate that another participant lifted, by record."""
    corrected: dict[int, int] = field(default_factory=dict)
    """Sequence of the latest correction by who made a record, by that record's."""

    def order(self, entry: Entry[Event], name: bytes) -> Order:
        """An order. Raises ReplayRefused if the bundle lacks its history."""
        found = self.orders.get(name)
        if found is None:
            raise ReplayRefused("the history of that order is missing", subject=name, sequence=entry.sequence)
        return found

    def lot(self, entry: Entry[Event], name: bytes) -> Lot:
        """A lot. Raises ReplayRefused if the bundle lacks its history."""
        found = self.lots.get(name)
        if found is None:
            raise ReplayRefused("the history of that lot is missing", subject=name, sequence=entry.sequence)
        return found

    def order_of(self, lot: Lot) -> Order | None:
        """The order of a lot; None if it has none."""
        # Always there: the rule that put the lot into it has looked it up.
        return None if lot.order is None else self.orders[lot.order]

    def gates_of(self, lot: Lot) -> tuple[records.Gate, ...]:
        """The gates of the lot's order; empty if it has none."""
        order = self.order_of(lot)
        return () if order is None else order.terms.gates

    def inspects(self, participant: int, lot: Lot) -> bool:
        """Whether one of the gates of the lot's order is the participant's."""
        return any(gate.inspector == participant for gate in self.gates_of(lot))

    def deciding(self, lot: Lot) -> tuple[Certificate, ...]:
        """The certificates that decide about a lot: the latest of each gate's inspector, without a gate that of any."""
        gates = self.gates_of(lot)
        if not gates:
            return tuple(lot.certificates[-1:])
        latest = (lot.standings[gate.inspector].latest for gate in gates if gate.inspector in lot.standings)
        return tuple(one for one in latest if one is not None)

    def is_waived(self, lot: Lot, inspector: int) -> bool:
        """Whether the buyer of the lot's order waived an inspector's gate for the lot as it is."""
        waiver = lot.waivers.get(inspector)
        if waiver is None or waiver.order != lot.order or waiver.sequence < lot.reworked:
            return False
        standing = lot.standings.get(inspector)
        return waiver.certificate is (None if standing is None else standing.latest)

    def counts(self, entry: Entry[Event], certificate: Certificate) -> bool:
        """Whether a certificate counts at a record's time, whatever its verdict."""
        return (
            certificate.state not in WORTHLESS
            and not certificate.has_lapsed(entry.time)
            and certificate.expires_at > entry.time
            and (
                certificate.model == 0
                or did_stand(self.proved.model(entry, certificate.model), entry.time, certificate.issued_at)
            )
        )


Rule: TypeAlias = Callable[[Entry[Any], State], None]


def on(kind: type[E], rule: Callable[[Entry[E], State], None]) -> tuple[type[Event], Rule]:
    """Build an entry of a table of rules. The signature makes mypy check that the rule takes events of this kind."""
    return kind, rule


def hold(holds: bool, entry: Entry[Event], otherwise: str, subject: bytes | None = None) -> None:
    """Check a condition of the replay: raises ReplayRefused unless `holds`."""
    if not holds:
        raise broken(entry, otherwise, subject)


def broken(entry: Entry[Event], cause: str, subject: bytes | None = None) -> ReplayRefused:
    """The error for a record that could not follow the earlier ones. Its subject is by default the first history's."""
    return ReplayRefused(cause, subject=entry.histories[0] if subject is None else subject, sequence=entry.sequence)


def inspectors_of(terms: records.OrderTerms) -> set[int]:
    return {gate.inspector for gate in terms.gates}


def subject_of_lot(creator: int, identifier_hash: bytes) -> bytes:
    """The subject of a lot, 32 bytes, from its creator and the salted hash of its identifier."""
    return subject(SubjectKind.LOT, creator, identifier_hash)


def was_approved(model: ModelSlots, time: int) -> bool:
    """Whether a model can have been approved at a time: it is approved, or was retired or withdrawn then or later. Not
    established: that it was approved already at that time, since the state does not have the time of the approval."""
    if model.state is records.ModelState.WITHDRAWN and model.withdrawn_at < time:
        return False
    return did_stand(model, time, time) and (model.retired_at == 0 or model.retired_at >= time)


def did_stand(model: ModelSlots, time: int, issued_at: int) -> bool:
    """Whether a verdict on a model, given at `issued_at`, can have counted at a time: as `was_approved`, also after the
    model was retired, and if the verdict is older than the defect for which it was withdrawn."""
    if model.state is records.ModelState.WITHDRAWN:
        return bool(model.approver) and (model.withdrawn_at >= time or issued_at < model.defective_since)
    return model.state.stands


def _shown(name: int | bytes) -> str:
    return to_hex(name) if isinstance(name, bytes) else str(name)


# The lots from which a lot was made, and those made from it, according to replayed records.


def ancestors_of(state: State, lot: Lot) -> set[bytes]:
    """The subjects of all lots from which a lot was made, through any number of transformations and reworks. The set is
    complete: replay refuses bundles that lack one of their histories."""
    found: set[bytes] = set()
    waiting = list(lot.inputs)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += state.lots[name].inputs
    # A component of its rework may have been made of the lot itself.
    return found - {lot.subject}


def made_of(state: State, parts: Iterable[bytes]) -> set[bytes]:
    """The subjects of all lots that were made directly from the parts, or into which the parts went as components. The
    set is complete: a part's history has all its records, and replay refuses withheld records in it."""
    return {lot for part in parts for lot in _outputs(state, part)}


def _outputs(state: State, part: bytes) -> Iterator[bytes]:
    for entry in state.entries_of[part].values():
        if isinstance(entry.event, LotsTransformed) and part in entry.event.inputs:
            yield from entry.event.outputs(entry.histories)
        if isinstance(entry.event, LotReworked) and part in entry.event.components:
            yield entry.event.rework.lot


def outermost(state: State, lot: Lot) -> Lot:
    """The lot in which a lot is packed, through any number of others; the lot itself if it is in none."""
    while lot.parent is not None:
        lot = state.lots[lot.parent]
    return lot
