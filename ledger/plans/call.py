"""Calls: what a coordinator wants done, which machines can do it, and the objective that only readers of the offers are
shown.

All planning documents are read by the functions on top, strictly: members that are missing, unknown, of another type or
out of range are refused.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from millmark.ledger.canonical import MAX_SAFE_INTEGER, Json, canonical_json, sha256, to_hex
from millmark.ledger.errors import PlanError
from millmark.ledger.phrases import Phrase

MAX_ID = 2**48 - 1
"""Largest number of a participant, machine or record."""
MAX_AMOUNT = 2**40
"""Largest single price, cost, weight, energy or mass: sums are checked against 2^53 - 1 apart from that."""
MAX_SLOTS = 100_000
MAX_TIME = 2**40
"""Unix seconds."""
MAX_OPERATIONS = 256
"""Operations of one order, as in the contracts."""
MAX_JOBS = 10_000
MAX_OFFERS = 200_000
MAX_TEXT = 200
"""Characters."""

T = TypeVar("T")
_HEX = re.compile("0x(?:[0-9a-f]{2})*")


def read_object(value: Json, what: str, names: Iterable[str], optional: Iterable[str] = ()) -> Mapping[str, Json]:
    """Return `value` if it is an object with exactly the members `names`, and perhaps some of those `optional`. Raises
    PlanError."""
    if not isinstance(value, Mapping):
        raise PlanError(f"{what} is not a JSON object")
    expected = frozenset(names)
    if unknown := sorted(value.keys() - expected - frozenset(optional)):
        raise PlanError(f"{what} has the unknown member {unknown[0][:60]!a}", hint="see PLANS.md")
    if missing := sorted(expected - value.keys()):
        raise PlanError(f"{what} lacks the member {missing[0]!r}", hint="see PLANS.md")
    return value


def read_document(
    value: Json, what: str, name: str, names: Iterable[str], optional: Iterable[str] = ()
) -> Mapping[str, Json]:
    """Like `read_object`, for a document of format `name`, version 1; `names` are its further members."""
    if not isinstance(value, Mapping) or value.get("format") != name:
        raise PlanError(f"not {what}", hint=f'its member "format" must be {name!r}')
    members = read_object(value, what, ("format", "version", *names), optional)
    if members["version"] != 1 or type(members["version"]) is not int:
        raise PlanError(f"{what} is of a version other than 1", hint="use a version of Millmark that knows it")
    return members


def read_integer(value: Json, what: str) -> int:
    """Return `value` if it is an integer of canonical JSON; ranges are checked where a document is built."""
    if type(value) is not int:
        raise PlanError(f"{what} is not an integer")
    return value


def read_text(value: Json, what: str) -> str:
    if not isinstance(value, str):
        raise PlanError(f"{what} is not text")
    return value


def read_bytes(value: Json, what: str) -> bytes:
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise PlanError(f"{what} is not bytes in hexadecimal", hint="write 0x and lower-case digits")
    return bytes.fromhex(value[2:])


def read_array(value: Json, what: str, length: int | None = None) -> Sequence[Json]:
    """Return `value` if it is an array, of `length` items if given."""
    if not isinstance(value, (list, tuple)):
        raise PlanError(f"{what} is not an array")
    if length is not None and len(value) != length:
        raise PlanError(f"{what} has {len(value)} items instead of {length}")
    return value


def read_optional_array(members: Mapping[str, Json], name: str, what: str) -> Sequence[Json]:
    """Return the items of an optional member, none if it is left out. An empty array is refused: leaving the member out
    is the one form for that."""
    if name not in members:
        return ()
    items = read_array(members[name], what)
    if not items:
        raise PlanError(f"{what} are an empty array", hint=f"leave {name!r} out where there are none")
    return items


def read_integers(value: Json, what: str, length: int | None = None) -> tuple[int, ...]:
    return tuple(read_integer(item, f"an item of {what}") for item in read_array(value, what, length))


def check_range(value: int, what: str, low: int, high: int) -> None:
    """Raises PlanError unless `value` is an integer from `low` to `high`."""
    if type(value) is not int or not low <= value <= high:
        raise PlanError(f"{what} is {str(value)[:40]}, and must be an integer from {low} to {high}")


def check_size(value: bytes, what: str, size: int) -> None:
    if len(value) != size:
        raise PlanError(f"{what} has {len(value)} bytes instead of {size}")


def check_text(value: str, what: str, *, low: int = 1, high: int = MAX_TEXT) -> None:
    if not low <= len(value) <= high or not value.isprintable():
        raise PlanError(f"{what} must be {low} to {high} printable characters")


def check_ascending(values: Sequence[T], what: str) -> None:
    """Raises PlanError unless each value is above the one before: a set has one form only."""
    if any(not first < second for first, second in itertools.pairwise(values)):  # type: ignore[operator]
        raise PlanError(f"{what} must be strictly ascending", hint="sort them, each once")


def check_count(values: Sequence[object], what: str, low: int, high: int) -> None:
    if not low <= len(values) <= high:
        raise PlanError(f"{what}: {len(values)} of them, and there must be {low} to {high}")


def check_sum(value: int, what: str) -> None:
    """Raises PlanError when a JSON reader could not represent `value`."""
    if not -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
        raise PlanError(f"{what} is beyond 2^53 - 1", hint="use a larger unit of money")


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


def parse_need(value: Json) -> Need:
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
    return Need(read_text(members["kind"], "the kind of a need"), tuple(pairs))


def parse_capability(value: Json) -> tuple[Capability, ...]:
    """Parse the member `capability` of a machine's claims. Raises PlanError."""
    items = read_array(value, "a capability")
    check_count(items, "kinds of a capability", 0, MAX_KINDS)
    return tuple(_parse_kind(item) for item in items)


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


def _parse_kind(value: Json) -> Capability:
    members = read_object(value, "a capability", ("kind", "limits"))
    limits = members["limits"]
    if not isinstance(limits, Mapping):
        raise PlanError("the limits of a capability are not a JSON object")
    pairs = tuple((name, _parse_limit(limits[name], name)) for name in sorted(limits))
    return Capability(read_text(members["kind"], "the kind of a capability"), pairs)


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
class Operation:
    """One operation that is to be done."""

    operation: int
    """Number in the order's route, from 0."""
    need: Need

    def to_json(self) -> dict[str, Json]:
        return {"operation": self.operation, "need": self.need.to_json()}


@dataclass(frozen=True, slots=True)
class Job:
    """The open operations of one order, each after the one before."""

    order: bytes
    """Subject, 32 bytes."""
    revision: bytes
    """Claims root of the order's terms in force, 32 bytes."""
    release: int
    """Slot from which the first operation may start."""
    due: int
    """Slot by which all must have ended: an end above it is late."""
    operations: tuple[Operation, ...]
    """Consecutive, from the first open one."""

    def __post_init__(self) -> None:
        check_size(self.order, "the order of a job", 32)
        check_size(self.revision, "the revision of a job", 32)
        check_range(self.release, "the release of a job", 0, MAX_SLOTS)
        check_range(self.due, "the due slot of a job", -MAX_SLOTS, 2 * MAX_SLOTS)
        check_count(self.operations, "operations of a job", 1, MAX_OPERATIONS)
        first = self.operations[0].operation
        check_range(first, "the first operation of a job", 0, MAX_OPERATIONS - 1)
        if any(item.operation != first + place for place, item in enumerate(self.operations)):
            raise PlanError("the operations of a job are not consecutive", hint="number them from the first open one")

    def to_json(self) -> dict[str, Json]:
        return {
            "order": to_hex(self.order),
            "revision": to_hex(self.revision),
            "release": self.release,
            "due": self.due,
            "operations": [item.to_json() for item in self.operations],
        }


@dataclass(frozen=True, slots=True)
class Call:
    """What a coordinator wants done. Recorded as an entry of kind `LeafKind.PLAN`."""

    chain_id: int
    ledger: bytes
    """Address of the contract, 20 bytes."""
    coordinator: int
    """Participant."""
    salt: bytes
    """32 random bytes."""
    origin: int
    """Start of slot 0, Unix seconds (UTC): local time and its changes stay in each owner's calendar."""
    slot: int
    """Length of a slot, seconds."""
    slots: int
    """Number of slots: rows lie in slots 0 to slots - 1."""
    closes: int
    """Unix seconds: offers are anchored before."""
    unit: str
    """What one unit of money is, such as `EUR/100`."""
    readers: tuple[int, ...]
    """Participants who may read all offers beside the coordinator, ascending."""
    objective: bytes
    """Commitment to the objective (`Objective.commitment`), 32 bytes."""
    jobs: tuple[Job, ...]
    """Ascending by order."""

    def __post_init__(self) -> None:
        check_range(self.chain_id, "the chain id of a call", 1, 2**53 - 1)
        check_size(self.ledger, "the ledger of a call", 20)
        check_range(self.coordinator, "the coordinator of a call", 1, MAX_ID)
        check_size(self.salt, "the salt of a call", 32)
        check_range(self.origin, "the origin of a call", 0, MAX_TIME)
        check_range(self.slot, "the slot length of a call", 1, _SLOT_S)
        check_range(self.slots, "the number of slots of a call", 1, MAX_SLOTS)
        check_range(self.closes, "the closing time of a call", 0, MAX_TIME)
        check_text(self.unit, "the unit of a call")
        check_ascending(self.readers, "the readers of a call")
        for reader in self.readers:
            check_range(reader, "a reader of a call", 1, MAX_ID)
        check_size(self.objective, "the objective of a call", 32)
        check_count(self.jobs, "jobs of a call", 1, MAX_JOBS)
        check_ascending([job.order for job in self.jobs], "the jobs of a call")

    def to_json(self) -> dict[str, Json]:
        return {
            "format": CALL_FORMAT,
            "version": 1,
            "chain_id": self.chain_id,
            "ledger": to_hex(self.ledger),
            "coordinator": self.coordinator,
            "salt": to_hex(self.salt),
            "origin": self.origin,
            "slot": self.slot,
            "slots": self.slots,
            "closes": self.closes,
            "unit": self.unit,
            "readers": list(self.readers),
            "objective": to_hex(self.objective),
            "jobs": [job.to_json() for job in self.jobs],
        }

    @property
    def digest(self) -> bytes:
        """32 bytes that name the call."""
        return sha256(_CALL_TAG + canonical_json(self.to_json()))


@dataclass(frozen=True, slots=True)
class Transport:
    """How goods get from one participant to another."""

    origin: int
    destination: int
    slots: int
    cost: int
    """Cost for one order, in the call's unit."""
    carrier: int
    """Participant, or 0 for none."""

    def __post_init__(self) -> None:
        check_range(self.origin, "the origin of a transport", 1, MAX_ID)
        check_range(self.destination, "the destination of a transport", 1, MAX_ID)
        if self.origin == self.destination:
            raise PlanError("a transport leads from a participant to itself", hint="leave it out: that needs none")
        check_range(self.slots, "the slots of a transport", 0, MAX_SLOTS)
        check_range(self.cost, "the cost of a transport", 0, MAX_AMOUNT)
        check_range(self.carrier, "the carrier of a transport", 0, MAX_ID)

    def to_json(self) -> Json:
        return [self.origin, self.destination, self.slots, self.cost, self.carrier]


@dataclass(frozen=True, slots=True)
class Objective:
    """What the plan's cost consists of beside the offers' prices. Owners of machines are not shown it."""

    salt: bytes
    """32 random bytes."""
    tardiness: tuple[tuple[bytes, int], ...]
    """Pairs of order and cost for each slot late, ascending; an order without one may be late at no cost."""
    transport: tuple[Transport, ...]
    """Ascending by origin and destination; what is missing is not possible between different participants."""
    destination: tuple[tuple[bytes, int], ...]
    """Pairs of order and participant whom it is brought to in the end, ascending."""
    carbon_price: int
    """Cost of 1,000,000 mg CO2e."""

    def __post_init__(self) -> None:
        check_size(self.salt, "the salt of an objective", 32)
        for name, pairs in (("tardiness", self.tardiness), ("destinations", self.destination)):
            check_ascending([order for order, _ in pairs], f"the {name} of an objective")
            for order, _ in pairs:
                check_size(order, f"an order in the {name} of an objective", 32)
        for _, weight in self.tardiness:
            check_range(weight, "a tardiness weight of an objective", 0, MAX_AMOUNT)
        for _, participant in self.destination:
            check_range(participant, "a destination of an objective", 1, MAX_ID)
        check_ascending([(item.origin, item.destination) for item in self.transport], "the transports of an objective")
        check_range(self.carbon_price, "the carbon price of an objective", 0, MAX_AMOUNT)

    def to_json(self) -> dict[str, Json]:
        return {
            "format": OBJECTIVE_FORMAT,
            "version": 1,
            "salt": to_hex(self.salt),
            "tardiness": [[to_hex(order), weight] for order, weight in self.tardiness],
            "transport": [item.to_json() for item in self.transport],
            "destination": [[to_hex(order), participant] for order, participant in self.destination],
            "carbon_price": self.carbon_price,
        }

    @property
    def commitment(self) -> bytes:
        """32 bytes that bind a call to this objective without showing it."""
        return sha256(_OBJECTIVE_TAG + self.salt + canonical_json(self.to_json()))


def parse_call(value: Json) -> Call:
    """Build a call from its JSON. Raises PlanError."""
    names = (
        *("chain_id", "ledger", "coordinator", "salt", "origin", "slot", "slots", "closes", "unit"),
        *("readers", "objective", "jobs"),
    )
    members = read_document(value, "a call", CALL_FORMAT, names)
    return Call(
        chain_id=read_integer(members["chain_id"], "the chain id of a call"),
        ledger=read_bytes(members["ledger"], "the ledger of a call"),
        coordinator=read_integer(members["coordinator"], "the coordinator of a call"),
        salt=read_bytes(members["salt"], "the salt of a call"),
        origin=read_integer(members["origin"], "the origin of a call"),
        slot=read_integer(members["slot"], "the slot length of a call"),
        slots=read_integer(members["slots"], "the number of slots of a call"),
        closes=read_integer(members["closes"], "the closing time of a call"),
        unit=read_text(members["unit"], "the unit of a call"),
        readers=read_integers(members["readers"], "the readers of a call"),
        objective=read_bytes(members["objective"], "the objective of a call"),
        jobs=tuple(_parse_job(item) for item in read_array(members["jobs"], "the jobs of a call")),
    )


def parse_objective(value: Json) -> Objective:
    """Build an objective from its JSON. Raises PlanError."""
    names = ("salt", "tardiness", "transport", "destination", "carbon_price")
    members = read_document(value, "an objective", OBJECTIVE_FORMAT, names)
    transport = read_array(members["transport"], "the transports of an objective")
    return Objective(
        salt=read_bytes(members["salt"], "the salt of an objective"),
        tardiness=_parse_pairs(members, "tardiness"),
        transport=tuple(Transport(*read_integers(item, "a transport of an objective", 5)) for item in transport),
        destination=_parse_pairs(members, "destination"),
        carbon_price=read_integer(members["carbon_price"], "the carbon price of an objective"),
    )


def _parse_job(value: Json) -> Job:
    members = read_object(value, "a job", ("order", "revision", "release", "due", "operations"))
    return Job(
        order=read_bytes(members["order"], "the order of a job"),
        revision=read_bytes(members["revision"], "the revision of a job"),
        release=read_integer(members["release"], "the release of a job"),
        due=read_integer(members["due"], "the due slot of a job"),
        operations=tuple(_parse_operation(item) for item in read_array(members["operations"], "a job's operations")),
    )


def _parse_operation(value: Json) -> Operation:
    members = read_object(value, "an operation", ("operation", "need"))
    return Operation(read_integer(members["operation"], "the number of an operation"), parse_need(members["need"]))


def _parse_pairs(members: Mapping[str, Json], name: str) -> tuple[tuple[bytes, int], ...]:
    pairs = []
    for item in read_array(members[name], f"the {name} of an objective"):
        order, number = read_array(item, f"an item of an objective's {name}", 2)
        what = f"in the {name} of an objective"
        pairs.append((read_bytes(order, f"an order {what}"), read_integer(number, f"a number {what}")))
    return tuple(pairs)
