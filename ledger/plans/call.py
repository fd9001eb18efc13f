"""Calls: what a coordinator wants done, which machines can do it, and the objective that only readers of the offers are
shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from millmark.ledger.canonical import MAX_SAFE_INTEGER, Json, canonical_json, sha256
from millmark.ledger.errors import PlanError
from millmark.ledger.phrases import Phrase
from millmark.ledger.plans.form import (
    MAX_ID,
    MAX_JOBS,
    MAX_OPERATIONS,
    MAX_SLOTS,
    Address,
    Amount,
    Between,
    Called,
    Form,
    Hash,
    Id,
    Slot,
    Text,
    Time,
    check_ascending,
    check_count,
    check_range,
    check_text,
    read_array,
    read_object,
    read_text,
)


class OfferGround(Phrase):
    """A ground, in a few words. `why` stands for another one."""

    OTHER_CALL = "for another call"
    EXPIRED = "expired before the call closed"
    MACHINE_UNKNOWN = "of machine {machine:d}, which is not known"
    MACHINE_OF_OTHERS = "of machine {machine:d}, which is not the owner's"
    MACHINE_INCAPABLE = "of machine {machine:d}, which {why}"
    NOT_CALLED_FOR = "for an operation that was not called for"
    WITHDRAWN = "withdrawn"
    DOUBLED = "doubled: there is another one for this operation on this machine"
    LATE = "anchored when the call had closed"
    NOT_IN_TREE = "not in the tree that was anchored"
    NO_SUCH_WORK = "does no {need}"
    NOT_WITH_THIS = "does not do {need} with this {name}"


# What a machine can do, and whether that is what an operation needs.
#
# A machine declares in the claims of its registration, by kind of operation, limits of the values that matter:
#
#     "capability": [{"kind": "turning", "limits": {"diameter_mm": [10, 400], "material": ["aluminium", "steel"]}}]

MAX_VALUES = 64
MAX_CHOICES = 256
MAX_KINDS = 64


@dataclass(frozen=True, slots=True)
class Need:
    """What an operation needs of a machine."""

    kind: str
    """Kind of operation, such as `turning`."""
    values: tuple[tuple[str, int | str], ...] = ()
    """Pairs of name and value, ascending by name; a number's unit is in its name, such as `diameter_mm`."""

    def __post_init__(self) -> None:
        check_text(self.kind, "the kind of a need")
        check_count(self.values, "values of a need", 0, MAX_VALUES)
        check_ascending([name for name, _ in self.values], "the values of a need")
        for name, value in self.values:
            check_text(name, "a name of a need's value")
            _check_value(value, f"a need's {name}")

    def to_json(self) -> dict[str, Json]:
        return {"kind": self.kind, "values": dict(self.values)}

    @classmethod
    def parse(cls, value: Json) -> Need:
        """Parse the need of an operation. Raises PlanError."""
        members = read_object(value, "a need", ("kind", "values"))
        values = members["values"]
        if not isinstance(values, Mapping):
            raise PlanError("the values of a need are not a JSON object")
        pairs = []
        for name in sorted(values):
            item = values[name]
            if type(item) is not int and not isinstance(item, str):
                raise PlanError(f"a need's {name[:60]!a} is neither an integer nor text", hint="choose a smaller unit")
            pairs.append((name, item))
        return cls(read_text(members["kind"], "the kind of a need"), tuple(pairs))


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from `low` to `high`, both included."""

    low: int
    high: int

    def __post_init__(self) -> None:
        check_range(self.high, "the upper limit of a capability", -MAX_SAFE_INTEGER, MAX_SAFE_INTEGER)
        check_range(self.low, "the lower limit of a capability", -MAX_SAFE_INTEGER, self.high)

    def allows(self, value: int | str) -> bool:
        return isinstance(value, int) and self.low <= value <= self.high

    def to_json(self) -> Json:
        return [self.low, self.high]


@dataclass(frozen=True, slots=True)
class Choices:
    """One of the given texts."""

    texts: tuple[str, ...]

    def __post_init__(self) -> None:
        check_count(self.texts, "choices of a capability", 1, MAX_CHOICES)
        check_ascending(self.texts, "the choices of a capability")
        for text in self.texts:
            check_text(text, "a choice of a capability")

    def allows(self, value: int | str) -> bool:
        return value in self.texts

    def to_json(self) -> Json:
        return list(self.texts)


@dataclass(frozen=True, slots=True)
class Capability:
    """One kind of operation that a machine can do, within limits."""

    kind: str
    limits: tuple[tuple[str, Range | Choices], ...] = ()
    """Pairs of name and limit, ascending by name."""

    def __post_init__(self) -> None:
        check_text(self.kind, "the kind of a capability")
        check_count(self.limits, "limits of a capability", 0, MAX_VALUES)
        check_ascending([name for name, _ in self.limits], "the limits of a capability")
        for name, _ in self.limits:
            check_text(name, "a name of a capability's limit")

    def to_json(self) -> dict[str, Json]:
        return {"kind": self.kind, "limits": {name: limit.to_json() for name, limit in self.limits}}

    @classmethod
    def parse(cls, value: Json) -> Capability:
        """Parse one kind of operation of a capability. Raises PlanError."""
        members = read_object(value, "a capability", ("kind", "limits"))
        limits = members["limits"]
        if not isinstance(limits, Mapping):
            raise PlanError("the limits of a capability are not a JSON object")
        pairs = tuple((name, _parse_limit(limits[name], name)) for name in sorted(limits))
        return cls(read_text(members["kind"], "the kind of a capability"), pairs)


def parse_capability(value: Json) -> tuple[Capability, ...]:
    """Parse the member `capability` of a machine's claims. Raises PlanError."""
    items = read_array(value, "a capability")
    check_count(items, "kinds of a capability", 0, MAX_KINDS)
    return tuple(Capability.parse(item) for item in items)


def is_capable(capability: Sequence[Capability], need: Need) -> bool:
    """Whether one declared kind allows every value of `need`. A value without a declared limit is not allowed."""
    return not why_not_capable(capability, need)


def why_not_capable(capability: Sequence[Capability], need: Need) -> str:
    """What `need` asks that no declared kind allows, in a few words; empty when the machine is capable."""
    reason = OfferGround.NO_SUCH_WORK.write(need=need.kind)
    for kind in capability:
        if kind.kind != need.kind:
            continue
        limits = dict(kind.limits)
        refused = [name for name, value in need.values if name not in limits or not limits[name].allows(value)]
        if not refused:
            return ""
        reason = OfferGround.NOT_WITH_THIS.write(need=need.kind, name=refused[0])
    return reason


def _parse_limit(value: Json, name: str) -> Range | Choices:
    items = read_array(value, f"the limit {name[:60]!a} of a capability")
    texts = [item for item in items if isinstance(item, str)]
    if len(texts) == len(items):
        return Choices(tuple(sorted(texts)))
    numbers = [item for item in items if type(item) is int]
    if len(items) != 2 or len(numbers) != 2:
        raise PlanError(
            f"the limit {name[:60]!a} of a capability is neither two integers nor texts",
            hint="write [lowest, highest], or the texts allowed",
        )
    return Range(*numbers)


def _check_value(value: int | str, what: str) -> None:
    if isinstance(value, str):
        check_text(value, what)
    else:
        check_range(value, what, -MAX_SAFE_INTEGER, MAX_SAFE_INTEGER)


CALL_FORMAT = "millmark.call"
OBJECTIVE_FORMAT = "millmark.objective"
_CALL_TAG = b"millmark.call.v1\0"
_OBJECTIVE_TAG = b"millmark.objective.v1\0"
_SLOT_S = 86_400 * 31
"""Longest slot, seconds."""


@dataclass(frozen=True, slots=True)
class Operation(Form):
    """One operation that is to be done."""

    WHAT = "an operation"
    operation: Annotated[int, Called("number")]
    """Number in the order's route, from 0."""
    need: Need


@dataclass(frozen=True, slots=True)
class Job(Form):
    """The open operations of one order, each after the one before."""

    WHAT = "a job"
    order: Hash
    """Subject."""
    revision: Hash
    """Claims root of the order's terms in force."""
    release: Slot
    """Slot from which the first operation may start."""
    due: Annotated[int, Between(-MAX_SLOTS, 2 * MAX_SLOTS), Called("due slot")]
    """Slot by which all must have ended: an end above it is late."""
    operations: tuple[Operation, ...]
    """Consecutive, from the first open one."""

    def verify(self) -> None:
        check_count(self.operations, "operations of a job", 1, MAX_OPERATIONS)
        first = self.operations[0].operation
        check_range(first, "the first operation of a job", 0, MAX_OPERATIONS - 1)
        if any(item.operation != first + place for place, item in enumerate(self.operations)):
            raise PlanError("the operations of a job are not consecutive", hint="number them from the first open one")


@dataclass(frozen=True, slots=True)
class Call(Form):
    """What a coordinator wants done. Recorded as an entry of kind `LeafKind.PLAN`."""

    WHAT, FORMAT = "a call", CALL_FORMAT
    chain_id: Annotated[int, Between(1, MAX_SAFE_INTEGER)]
    ledger: Address
    """Address of the contract."""
    coordinator: Id
    """Participant."""
    salt: Hash
    """Random bytes."""
    origin: Time
    """Start of slot 0, Unix seconds (UTC): local time and its changes stay in each owner's calendar."""
    slot: Annotated[int, Between(1, _SLOT_S), Called("slot length")]
    """Length of a slot, seconds."""
    slots: Annotated[int, Between(1, MAX_SLOTS), Called("number of slots")]
    """Number of slots: rows lie in slots 0 to slots - 1."""
    closes: Annotated[Time, Called("closing time")]
    """Unix seconds: offers are anchored before."""
    unit: Text
    """What one unit of money is, such as `EUR/100`."""
    readers: tuple[Annotated[Id, Called("a reader of a call")], ...]
    """Participants who may read all offers beside the coordinator, ascending."""
    objective: Hash
    """Commitment to the objective (`Objective.commitment`)."""
    jobs: tuple[Job, ...]
    """Ascending by order."""

    def verify(self) -> None:
        check_ascending(self.readers, "the readers of a call")
        check_count(self.jobs, "jobs of a call", 1, MAX_JOBS)
        check_ascending([job.order for job in self.jobs], "the jobs of a call")

    @property
    def digest(self) -> bytes:
        """32 bytes that name the call."""
        return sha256(_CALL_TAG + canonical_json(self.to_json()))


@dataclass(frozen=True, slots=True)
class Transport(Form):
    """How goods get from one participant to another."""

    WHAT, ARRAY = "a transport", True
    origin: Id
    destination: Id
    slots: Slot
    cost: Amount
    """Cost for one order, in the call's unit."""
    carrier: Annotated[int, Between(0, MAX_ID)]
    """Participant, or 0 for none."""

    def verify(self) -> None:
        if self.origin == self.destination:
            raise PlanError("a transport leads from a participant to itself", hint="leave it out: that needs none")


@dataclass(frozen=True, slots=True)
class Objective(Form):
    """What the plan's cost consists of beside the offers' prices. Owners of machines are not shown it."""

    WHAT, FORMAT = "an objective", OBJECTIVE_FORMAT
    salt: Hash
    """Random bytes."""
    tardiness: tuple[
        tuple[
            Annotated[Hash, Called("an order in the tardiness of an objective")],
            Annotated[Amount, Called("a tardiness weight of an objective")],
        ],
        ...,
    ]
    """Pairs of order and cost for each slot late, ascending; an order without one may be late at no cost."""
    transport: Annotated[tuple[Transport, ...], Called("transports")]
    """Ascending by origin and destination; what is missing is not possible between different participants."""
    destination: tuple[
        tuple[
            Annotated[Hash, Called("an order in the destinations of an objective")],
            Annotated[Id, Called("a destination of an objective")],
        ],
        ...,
    ]
    """Pairs of order and participant whom it is brought to in the end, ascending."""
    carbon_price: Amount
    """Cost of 1,000,000 mg CO2e."""

    def verify(self) -> None:
        for name, pairs in (("tardiness", self.tardiness), ("destinations", self.destination)):
            check_ascending([order for order, _ in pairs], f"the {name} of an objective")
        check_ascending([(item.origin, item.destination) for item in self.transport], "the transports of an objective")

    @property
    def commitment(self) -> bytes:
        """32 bytes that bind a call to this objective without showing it."""
        return sha256(_OBJECTIVE_TAG + self.salt + canonical_json(self.to_json()))
