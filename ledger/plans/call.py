"""Calls: what a coordinator wants done, and the objective that only readers of the offers are shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from millmark.ledger.canonical import Json, canonical_json, sha256, to_hex
from millmark.ledger.errors import PlanError
from millmark.ledger.plans._fields import (
    MAX_AMOUNT,
    MAX_ID,
    MAX_JOBS,
    MAX_OPERATIONS,
    MAX_SLOTS,
    MAX_TIME,
    check_ascending,
    check_count,
    check_range,
    check_size,
    check_text,
    read_array,
    read_bytes,
    read_document,
    read_integer,
    read_integers,
    read_object,
    read_text,
)
from millmark.ledger.plans.capability import Need, parse_need

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
