"""The answers of traces, ready for output: with names beside numbers, where the private book has them.

None means that something does not exist, did not happen yet, or is not known. Times are UTC. As JSON (`to_json`): names
in snake case as here, bytes as 0x-hex, times as RFC 3339, states as lower-case words. A gateway's client reads them
back (`from_json`), so that there is one class of each.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import cache, partial
from operator import attrgetter
from types import NoneType
from typing import Any, Self, TypeAlias, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from millmark.ledger.canonical import to_hex
from millmark.ledger.events import Event, once
from millmark.ledger.records import (
    AssignmentState,
    CertificateStatus,
    LotState,
    ModelState,
    OrderState,
    Verdict,
)
from millmark.ledger.store.rows import StepKind

# Converts dataclasses to JSON and back, by the same rules for every answer.

_LATEST_S = 253_402_300_799
"""9999-12-31T23:59:59Z, the latest time in RFC 3339; contracts can have later ones."""
_Form: TypeAlias = "Callable[[Any], object]"


class Printable:
    """Base class of answers."""

    __slots__ = ()

    def to_json(self) -> dict[str, object]:
        """Convert to JSON types: snake-case names, bytes as 0x-hex, times as RFC 3339 in UTC, enumerations as words."""
        names, read, forms = _plan(type(self))  # type: ignore[arg-type]  # mypy judges the class by its instances' hash
        found = dict(zip(names, read(self), strict=True))
        for name, form in forms:
            value = found[name]
            if value is not None:
                found[name] = form(value)
        return found

    def encode(self) -> bytes:
        """The JSON text of `to_json`, in UTF-8."""
        return msgspec.json.encode(self.to_json())

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Self:
        """The answer of which these are the JSON types. Members that it does not have are passed over: a newer gateway
        may send them. Raises ValueError if one is missing or has another type, and for every answer with an event."""
        try:
            return cls(**{field: parse(members[name]) for field, name, parse in _readers(cls)})  # type: ignore[arg-type]  # as in to_json
        except (AttributeError, KeyError, TypeError, ValueError):
            raise ValueError(f"these are not the members of {cls.__name__}") from None


def moment(seconds: int) -> datetime | None:
    """Convert a contract's time; None for 0, which means "never". Times after 9999 become the last second of 9999."""
    return datetime.fromtimestamp(min(seconds, _LATEST_S), UTC) if seconds else None


A = TypeVar("A", bound="Printable")


def answer_of(kind: type[A], row: object, /, **given: object) -> A:
    """An answer about a row: each member has its value in `given`, else the row's column of the same name: a time as
    `moment`, an enumeration's number as its member, and 0 as None where the member may be None."""
    names, read, forms = _copied(kind, type(row), tuple(given))
    found = dict(zip(names, read(row), strict=True))
    for name, form in forms:
        found[name] = form(found[name])
    return kind(**found, **given)


@once
def _copied(
    kind: type, row: type, given: tuple[str, ...]
) -> tuple[tuple[str, ...], Callable[[object], tuple[object, ...]], tuple[tuple[str, _Form], ...]]:
    """The members that a row has, a function that reads them, and the conversions of those that need one."""
    hints, columns = get_type_hints(kind), {column.name for column in fields(row)}
    names = tuple(field.name for field in fields(kind) if field.name not in given and field.name in columns)
    forms = ((name, _from_column(hints[name])) for name in names)
    read = attrgetter(*names)
    return (
        names,
        read if len(names) > 1 else lambda value: (read(value),),
        tuple((name, form) for name, form in forms if form is not None),
    )


def _from_column(hint: Any) -> _Form | None:
    kinds = [kind for kind in get_args(hint) if kind is not NoneType]
    kind = kinds[0] if kinds else hint
    if kind is datetime:
        return moment
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return kind
    return (lambda number: number or None) if kind is int and kinds else None


@cache
def _plan(
    answer: type,
) -> tuple[tuple[str, ...], Callable[[object], tuple[object, ...]], tuple[tuple[str, _Form], ...]]:
    """The JSON names of a class's members, a function that reads them, and the conversions of those that need one."""
    # Once per class: reading the type hints for each answer would take longer than converting it.
    hints = get_type_hints(answer)
    members = [field.name for field in fields(answer)]
    names = tuple(member.rstrip("_") for member in members)
    read = attrgetter(*members)
    forms = ((name, _form(hints[member])) for name, member in zip(names, members, strict=True))
    found = tuple((name, form) for name, form in forms if form is not None)
    # attrgetter of one name returns the value itself, not a tuple.
    return names, read if len(names) > 1 else lambda value: (read(value),), found


def _form(hint: Any) -> _Form | None:
    """The conversion of a type's values (except None) to JSON types; None if they are JSON types already."""
    kinds = [kind for kind in get_args(hint) if kind not in (NoneType, Ellipsis)]
    if get_origin(hint) is tuple and len(kinds) == 1:
        form = _form(kinds[0])
        return list if form is None else lambda items: [form(item) for item in items]
    kind = kinds[0] if len(kinds) == 1 else hint
    if not isinstance(kind, type):
        return to_plain
    if issubclass(kind, Printable | Event):
        return kind.to_json
    if issubclass(kind, enum.Enum):
        return {value: value.name.lower() for value in kind}.__getitem__
    return None if kind in (str, int, bool) else _FORMS.get(kind, to_plain)


def to_plain(value: Any) -> object:
    """Convert a value whose type is not known in advance, by the rules of `to_json`."""
    if isinstance(value, Mapping):
        return {str(name): to_plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    form = None if value is None else _form(type(value))
    return value if form in (None, to_plain) else form(value)


_FORMS: dict[object, _Form] = {
    bytes: to_hex,
    # All times are UTC, so the offset that isoformat appends may be written Z.
    datetime: lambda value: value.isoformat(timespec="seconds")[:19] + "Z",
}


@cache
def _readers(answer: type) -> tuple[tuple[str, str, _Form], ...]:
    """The members of a class, their JSON names, and the conversions from JSON types."""
    hints = get_type_hints(answer)
    return tuple((field.name, field.name.rstrip("_"), _reader(hints[field.name])) for field in fields(answer))


def _reader(hint: Any) -> _Form:
    """The inverse of `_form`, which raises an error for JSON of another type. A mapping or an object stays as it is."""
    kinds = get_args(hint)
    if NoneType in kinds:
        [present] = (_reader(kind) for kind in kinds if kind is not NoneType)
        return lambda value: None if value is None else present(value)
    if get_origin(hint) is tuple:
        item = _reader(kinds[0])
        return lambda items: tuple(map(item, _exact(list, items)))
    if isinstance(hint, type) and issubclass(hint, Printable):
        return hint.from_json
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return lambda word: hint[_exact(str, word).upper()]
    if hint is Event:
        raise TypeError("the JSON of an event does not say its kind")
    return _READERS.get(hint, lambda value: value)


def _exact(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{kind.__name__} is expected")
    return value


_READERS: dict[object, _Form] = {
    **{kind: partial(_exact, kind) for kind in (str, int, bool)},
    bytes: lambda text: bytes.fromhex(text.removeprefix("0x")),
    datetime: datetime.fromisoformat,
}


@dataclass(frozen=True, slots=True)
class AsOf(Printable):
    """The last indexed block, at which the answer holds; statuses are those at the block's time."""

    chain_id: int
    ledger: bytes
    block_number: int
    block_hash: bytes
    time: datetime | None
    registry_sequence: int
    ledger_sequence: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Cut(Printable):
    """A list that a limit of the request cut off."""

    part: str
    """Name of the list."""
    limit: str
    """The limit: `depth` or `lots`."""
    at: int
    """The limit's value."""


@dataclass(frozen=True, slots=True)
class Party(Printable):
    """A participant, by number and name."""

    participant: int
    name: str | None
    """From the private book."""


@dataclass(frozen=True, slots=True)
class Key(Printable):
    """A key that signs for a participant now."""

    address: bytes
    """20 bytes."""
    roles: tuple[str, ...]
    """What it may do, in lower case; it acts with the roles that its participant has, too."""
    admin: bool
    """Whether it may propose, change and revoke its participant's keys."""
    added_at: datetime | None


@dataclass(frozen=True, slots=True)
class Recovery(Printable):
    """A key that is to replace all keys of a participant that lost them."""

    key: bytes
    effective_at: datetime | None
    """From then on the key may accept."""
    objected: bool
    """An admin key objected; after the delay, the registry's owner must overrule it."""
    overruled: bool


@dataclass(frozen=True, slots=True)
class Participant(Printable):
    """A company of the consortium, and its keys."""

    participant: int
    name: str | None
    roles: tuple[str, ...]
    """Role names in lower case."""
    suspended: bool
    departed: bool
    """It left the consortium by its own act."""
    keys: tuple[Key, ...]
    """The keys that sign for it now."""
    recovery: Recovery | None
    """The recovery that is under way; null if there is none."""
    admitted_at: datetime | None


@dataclass(frozen=True, slots=True)
class Machine(Printable):
    """A registered machine."""

    machine: int
    identifier: str | None
    owner: Party


@dataclass(frozen=True, slots=True)
class Model(Printable):
    """A quality model, and whether it is approved, retired or withdrawn."""

    model: int
    digest: bytes
    code: bytes | None
    """Address of the contract that keeps the model's bytes; null if only the digest is on the chain."""
    state: ModelState
    inspector: Party
    approver: Party | None
    open: bool
    """Whether inspectors other than its own may certify on it."""
    retired_at: datetime | None
    withdrawn_at: datetime | None
    defective_since: datetime | None
    """If the model was withdrawn: since when certificates on it have fallen; null if all have."""


@dataclass(frozen=True, slots=True)
class Certificate(Printable):
    """An inspector's verdict on a lot: by one inference of a model, or by a procedure."""

    certificate: int
    """Sequence of the record that issued it."""
    lot: bytes
    identifier: str | None
    """The lot's identifier."""
    inspector: Party
    model: Model | None
    """Null if the verdict is by a procedure."""
    verdict: Verdict
    status: CertificateStatus
    latest: bool
    """Whether it decides about the lot: the latest of a gate's inspector, or without a gate, of any."""
    issued_at: datetime | None
    expires_at: datetime | None
    opening_deadline: datetime | None
    """The time by which its inference must be opened; null if no opening was demanded."""
    opened_at: datetime | None
    """When its inference was opened, and the certificate upheld or refuted."""
    executed: Verdict
    """The verdict of executing the model on the chain; `none` if it was not executed, or the input was invalid."""
    revoked_at: datetime | None
    inference_digest: bytes
    stream: bytes
    leaf_index: int
    leaf_hash: bytes
    anchor_size: int
    anchor_root: bytes
    claims_root: bytes


@dataclass(frozen=True, slots=True)
class Gate(Printable):
    """An inspector and a model whose passing certificate an order demands before custody of its lots passes."""

    inspector: Party
    model: int | None
    """Null if it is by a procedure."""


@dataclass(frozen=True, slots=True)
class Waiver(Printable):
    """A gate that the buyer of a lot's order waived for the lot."""

    sequence: int
    lot: bytes
    buyer: Party
    inspector: Party
    certificate: int | None
    """The inspector's latest certificate on the lot by then; null if there was none."""
    holds: bool
    """Whether it still opens the gate: no certificate of that inspector, no rework and no other order came after."""
    time: datetime | None
    reason_root: bytes


@dataclass(frozen=True, slots=True)
class Order(Printable):
    """A buyer's order, and its progress."""

    subject: bytes
    identifier: str | None
    sequence: int
    state: OrderState
    buyer: Party
    coordinator: Party
    gates: tuple[Gate, ...]
    """Every one of them must be passed, or waived by the buyer."""
    quantity: int
    """How much the buyer must have when it confirms delivery, in `unit`; 0 if no quantity is agreed."""
    unit: str | None
    operations: int
    """Number of operations that the order consists of."""
    finished: int
    """Number of operations that were finished at least once."""
    live: int
    """Number of assignments that are neither declined, finished nor cancelled."""
    placed_at: datetime | None
    due_at: datetime | None
    claims_root: bytes


@dataclass(frozen=True, slots=True)
class Assignment(Printable):
    """One operation of an order, assigned to one machine."""

    assignment: int
    """Sequence of the record that proposed it."""
    order: bytes
    identifier: str | None
    """The order's identifier."""
    operation: int
    """Index in the order, from 0; people count from 1."""
    current: bool
    """Whether it is the operation's current assignment."""
    state: AssignmentState
    machine: Machine
    owner: Party
    """The participant who owned the machine when the assignment was proposed."""
    proposed_at: datetime | None
    accepted_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    stream: bytes | None
    leaf_index: int | None
    leaf_hash: bytes | None
    claims_root: bytes


@dataclass(frozen=True, slots=True)
class Lot(Printable):
    """A quantity under one identifier."""

    subject: bytes
    identifier: str | None
    sequence: int
    """Sequence of the record that created it."""
    unit: str
    """UN/ECE Recommendation 20 code."""
    quantity: int
    quantity_created: int
    """Quantity when it was created."""
    state: LotState
    custodian: Party
    holder: Party
    """The participant who physically has it: the custodian of the outermost lot in which it is packed, or its own."""
    counterparty: Party | None
    """If it is offered, the participant to whom; if it is quarantined or returning, the one who quarantined it."""
    offer: int | None
    """The record of the offer that stands, which an acceptance names; None if it is not offered."""
    order: bytes | None
    parent: bytes | None
    assignment: int | None
    """The assignment under which it was made."""
    created_at: datetime | None
    claims_root: bytes


@dataclass(frozen=True, slots=True)
class RelatedLot(Printable):
    """A lot in relation to another: one of the two was made from the other, or is packed in it."""

    subject: bytes
    identifier: str | None
    depth: int
    """Number of steps from the lot that the request names."""
    unit: str
    quantity: int
    state: LotState
    holder: Party
    quarantined: bool
    """Whether it, or a lot in which it is packed, is quarantined, so that it cannot change hands."""
    parent: bytes | None
    """The lot in which it is packed."""
    order: bytes | None
    assignment: int | None
    """The assignment under which it was made."""
    machine: Machine | None
    """The machine on which it was made."""
    certificate: int | None
    """Its latest certificate."""
    verdict: Verdict
    status: CertificateStatus


@dataclass(frozen=True, slots=True)
class CustodyChange(Printable):
    """An entry of a custody timeline: an offer, its outcome, or a change of custody."""

    sequence: int
    kind: str
    """The kind of the record, as on the chain."""
    lot: bytes
    """The lot itself, or a lot in which it was packed at the time."""
    from_: Party | None
    to: Party
    time: datetime | None


@dataclass(frozen=True, slots=True)
class TransformedQuantity(Printable):
    """An input or output of a transformation."""

    lot: bytes
    identifier: str | None
    quantity: int
    unit: str
    component: bool
    """Whether it was used up; otherwise the quantity was conserved, by the stated yield."""


@dataclass(frozen=True, slots=True)
class Transformation(Printable):
    """A step that made lots from lots, or reworked a lot, which is then its only output, with components alone."""

    sequence: int
    kind: StepKind
    participant: Party
    order: bytes | None
    unit: str
    output_unit: str
    loss: int
    yield_in: int
    yield_out: int
    time: datetime | None
    inputs: tuple[TransformedQuantity, ...]
    outputs: tuple[TransformedQuantity, ...]


@dataclass(frozen=True, slots=True)
class Anchor(Printable):
    """Size and root of a stream's log, recorded on the chain."""

    sequence: int
    size: int
    root: bytes
    time: datetime | None


@dataclass(frozen=True, slots=True)
class Stream(Printable):
    """A log of evidence."""

    subject: bytes
    identifier: str | None
    machine: Machine | None
    """None for plans and logs that belong to no machine."""
    size: int
    root: bytes
    opened_at: datetime | None
    anchors: tuple[Anchor, ...]


@dataclass(frozen=True, slots=True)
class HistoryRecord(Printable):
    """One record of a history, and its position on the chain."""

    sequence: int
    kind: str
    participant: Party
    subject: bytes
    key: bytes
    time: datetime | None
    block_number: int
    block_hash: bytes
    transaction_hash: bytes
    log_index: int
    corrected_by: int | None
    """Sequence of the latest correction of it by who made it."""
    fields: Event
    """The fields that only this kind of event has."""


@dataclass(frozen=True, slots=True)
class SharedMeasurement(Printable):
    """An entry of a stream that several certificates or finished operations name: one measurement was used again."""

    stream: bytes
    leaf_index: int
    certificates: tuple[int, ...]
    assignments: tuple[int, ...]
    """The assignments that were finished with it."""
    others: int
    """Number of certificates and assignments that are not visible to you."""


@dataclass(frozen=True, slots=True)
class Trace(Printable):
    """A lot's provenance: what it was made from, who made, inspected and holds it, and what was made from it."""

    as_of: AsOf
    lot: Lot
    head: bytes
    """The head of its history."""
    order: Order | None
    assignments: tuple[Assignment, ...]
    """All assignments of its order."""
    certificates: tuple[Certificate, ...]
    shared_measurements: tuple[SharedMeasurement, ...]
    """Measurements of its certificates and assignments that others name, too, anywhere on the ledger."""
    waivers: tuple[Waiver, ...]
    """The gates of its order that the buyer waived for it."""
    custody: tuple[CustodyChange, ...]
    packed_in: tuple[RelatedLot, ...]
    """The lot in which it is packed, the one in which that is packed, and so on."""
    contents: tuple[RelatedLot, ...]
    """The lots that are packed in it now."""
    upstream: tuple[RelatedLot, ...]
    """The lots from which it was made, or from which its present contents were made."""
    downstream: tuple[RelatedLot, ...]
    """The lots that were made from it."""
    transformations: tuple[Transformation, ...]
    """The transformations that made the lots of this answer."""
    truncated: bool
    """Whether a limit of the request cut off a list of lots."""
    cuts: tuple[Cut, ...]
    """The lists that were cut off."""
    streams: tuple[Stream, ...]
    """The streams that the assignments and certificates refer to."""
    records: tuple[HistoryRecord, ...]
    """The lot's history, oldest first."""


@dataclass(frozen=True, slots=True)
class OrderTrace(Printable):
    """An order's progress, its assignments, its lots and their provenance."""

    as_of: AsOf
    order: Order
    head: bytes
    """The head of its history."""
    assignments: tuple[Assignment, ...]
    lots: tuple[RelatedLot, ...]
    certificates: tuple[Certificate, ...]
    """The certificates on its lots."""
    shared_measurements: tuple[SharedMeasurement, ...]
    """Measurements of these that others name, too, anywhere on the ledger."""
    upstream: tuple[RelatedLot, ...]
    """The lots from which its lots were made."""
    downstream: tuple[RelatedLot, ...]
    """The lots that were made from its lots."""
    transformations: tuple[Transformation, ...]
    """The transformations that made the lots of this answer."""
    truncated: bool
    """Whether a limit of the request cut off a list of lots."""
    cuts: tuple[Cut, ...]
    """The lists that were cut off."""
    streams: tuple[Stream, ...]
    """The streams that the assignments and certificates refer to."""
    records: tuple[HistoryRecord, ...]


# The answers of recalls, ready for output. Conventions are those of millmark.ledger.provenance.answers.


@dataclass(frozen=True, slots=True)
class Holder(Printable):
    """A participant who holds recalled lots."""

    participant: int
    name: str | None
    lots: int
    """Number of unspent lots that it holds."""
    quarantined: int
    """Number of these that are quarantined, or packed in a quarantined lot."""


@dataclass(frozen=True, slots=True)
class RecallCounts(Printable):
    """Numbers of what a recall lists."""

    lots: int
    unspent: int
    """Lots with a quantity left."""
    quarantined: int
    """Unspent lots that are quarantined, or packed in a quarantined lot."""
    certificates: int
    valid: int
    """Certificates with the status `valid`."""
    orders: int
    holders: int


@dataclass(frozen=True, slots=True)
class Recall(Printable):
    """What is affected when a model, a lot or a machine turns out to be bad."""

    as_of: AsOf
    model: Model | None
    """The recalled model, if the recall is of a model."""
    lot: Lot | None
    """The recalled lot, if the recall is of a lot."""
    machine: Machine | None
    """The recalled machine, if the recall is of a machine."""
    since: datetime | None
    """Start of the time in which the machine was bad."""
    until: datetime | None
    """End of the time in which the machine was bad."""
    counts: RecallCounts
    certificates: tuple[Certificate, ...]
    """For a model, all certificates that name it; otherwise all certificates on the lots of this answer."""
    lots: tuple[RelatedLot, ...]
    """The lots that are affected directly, at depth 0, then all lots that were made from them."""
    orders: tuple[Order, ...]
    """The orders for which the lots were made."""
    holders: tuple[Holder, ...]
    """The participants who hold unspent lots of this answer."""
    truncated: bool
    """Whether a limit of the request cut off a list of lots."""
    cuts: tuple[Cut, ...]
    """The lists that were cut off."""


# Answers about single machines and evidence proofs, which are not part of a trace.


@dataclass(frozen=True, slots=True)
class RegisteredMachine(Printable):
    """A machine, and how much work it has."""

    machine: int
    """Sequence of the record that registered it."""
    subject: bytes
    identifier: str | None
    owner: Party
    registered_at: datetime | None
    retired_at: datetime | None
    waiting: int
    """Number of assignments that were proposed or accepted, and are not started."""
    working: int
    """Number of assignments that are started and not finished."""
    claims_root: bytes


@dataclass(frozen=True, slots=True)
class OpenedStream(Printable):
    """An evidence stream, without its anchors."""

    subject: bytes
    identifier: str | None
    sequence: int
    """Sequence of the record that opened it."""
    owner: Party
    machine: Machine | None
    """None for plans and logs that belong to no machine."""
    size: int
    """Number of anchored entries."""
    opened_at: datetime | None


@dataclass(frozen=True, slots=True)
class ShownEntry(Printable):
    """An entry of a stream, with the salt from which its leaf is computed."""

    salt: bytes
    """32 bytes."""
    entry: object
    """The entry as it was captured; the leaf hash is of its canonical JSON."""


@dataclass(frozen=True, slots=True)
class InclusionProof(Printable):
    """Proof that an entry is in a stream as it was anchored on the chain (RFC 9162, section 2.1.3)."""

    stream: bytes
    leaf_index: int
    leaf_hash: bytes
    """`sha256(0x00 || leaf data)`, 32 bytes."""
    anchor: Anchor
    inclusion: tuple[bytes, ...]
    """Siblings from the leaf upwards: with index, size and leaf hash, they result in the anchor's root."""
    latest: Anchor
    """The stream's newest anchor."""
    consistency: tuple[bytes, ...]
    """Proof that the stream only grew from `anchor` to `latest` (RFC 9162, section 2.1.4)."""
    shown: ShownEntry | None
    """The entry itself, only for the company that runs this gateway."""


@dataclass(frozen=True, slots=True)
class ConsistencyProof(Printable):
    """Proof that a stream only grew from one anchor to a later one (RFC 9162, section 2.1.4)."""

    stream: bytes
    first: Anchor
    second: Anchor
    consistency: tuple[bytes, ...]
