"""Plans: rows chosen from offers, the legs between them, what that costs, and the proof of a lower bound."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from millmark.ledger.canonical import MAX_SAFE_INTEGER, Json, canonical_json, sha256, to_hex
from millmark.ledger.errors import PlanError
from millmark.ledger.plans import call as form

PLAN_FORMAT = "millmark.plan"
MAX_SLOT_PRICE = 2**40
_PLAN_TAG = b"millmark.plan.v1\0"

Key = tuple[bytes, int]
"""Order and operation: what names a row."""


class CauseKind(enum.StrEnum):
    """Why a plan replaces the one before."""

    MACHINE_DOWN = "machine-down"
    DRIFT = "drift"
    CERTIFICATE = "certificate"
    LATE = "late"
    ENERGY = "energy"
    DECLINED = "declined"
    CALL = "call"


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a plan replaces the one before: an entry of a stream, or a record."""

    kind: CauseKind
    text: str
    """One line for people."""
    stream: bytes | None = None
    """Subject of the stream whose entry it is, 32 bytes."""
    leaf: int | None = None
    """Index of the entry in that stream."""
    record: int | None = None
    """Sequence number of the record."""

    def __post_init__(self) -> None:
        form.check_text(self.text, "the text of a cause", low=0)
        if (self.stream is None) != (self.leaf is None) or (self.leaf is None) == (self.record is None):
            raise PlanError("a cause names neither one entry nor one record", hint="give stream and leaf, or record")
        if self.stream is not None:
            form.check_size(self.stream, "the stream of a cause", 32)
        for number in (self.leaf, self.record):
            if number is not None:
                form.check_range(number, "the leaf or record of a cause", 0, form.MAX_ID)

    def to_json(self) -> dict[str, Json]:
        place: dict[str, Json] = {"record": self.record}
        if self.stream is not None:
            place = {"stream": to_hex(self.stream), "leaf": self.leaf}
        return {"kind": self.kind.value, **place, "text": self.text}


@dataclass(frozen=True, slots=True)
class Row:
    """One operation on one machine."""

    order: bytes
    """Subject, 32 bytes."""
    operation: int
    offer: bytes
    """Leaf hash of the offer, 32 bytes."""
    machine: int
    owner: int
    start: int
    """First slot."""
    end: int
    """Slot after the last one."""
    price: int
    wh: int
    co2e_mg: int

    def __post_init__(self) -> None:
        form.check_size(self.order, "the order of a row", 32)
        form.check_range(self.operation, "the operation of a row", 0, form.MAX_OPERATIONS - 1)
        form.check_size(self.offer, "the offer of a row", 32)
        form.check_range(self.machine, "the machine of a row", 1, form.MAX_ID)
        form.check_range(self.owner, "the owner of a row", 1, form.MAX_ID)
        form.check_range(self.start, "the start of a row", 0, form.MAX_SLOTS)
        form.check_range(self.end, "the end of a row", self.start + 1, 2 * form.MAX_SLOTS)
        form.check_range(self.price, "the price of a row", 0, form.MAX_AMOUNT)
        form.check_range(self.wh, "the Wh of a row", 0, form.MAX_AMOUNT)
        form.check_range(self.co2e_mg, "the mg CO2e of a row", 0, form.MAX_AMOUNT)

    @property
    def key(self) -> Key:
        return self.order, self.operation

    def to_json(self) -> dict[str, Json]:
        return {
            "order": to_hex(self.order),
            "operation": self.operation,
            "offer": to_hex(self.offer),
            "machine": self.machine,
            "owner": self.owner,
            "start": self.start,
            "end": self.end,
            "price": self.price,
            "wh": self.wh,
            "co2e_mg": self.co2e_mg,
        }


@dataclass(frozen=True, slots=True)
class Leg:
    """Transport of an order after one of its operations."""

    order: bytes
    """Subject, 32 bytes."""
    after: int
    """Operation that it follows."""
    origin: int
    """Participant; `from` in JSON."""
    destination: int
    """Participant; `to` in JSON."""
    carrier: int
    """Participant, or 0 for none."""
    start: int
    end: int
    """Slot of arrival: the next operation may start in it."""
    cost: int

    def __post_init__(self) -> None:
        form.check_size(self.order, "the order of a leg", 32)
        form.check_range(self.after, "the operation before a leg", 0, form.MAX_OPERATIONS - 1)
        form.check_range(self.origin, "the origin of a leg", 1, form.MAX_ID)
        form.check_range(self.destination, "the destination of a leg", 1, form.MAX_ID)
        form.check_range(self.carrier, "the carrier of a leg", 0, form.MAX_ID)
        form.check_range(self.start, "the start of a leg", 0, 2 * form.MAX_SLOTS)
        form.check_range(self.end, "the end of a leg", self.start, 4 * form.MAX_SLOTS)
        form.check_range(self.cost, "the cost of a leg", 0, form.MAX_AMOUNT)

    @property
    def key(self) -> Key:
        return self.order, self.after

    def to_json(self) -> dict[str, Json]:
        return {
            "order": to_hex(self.order),
            "after": self.after,
            "from": self.origin,
            "to": self.destination,
            "carrier": self.carrier,
            "start": self.start,
            "end": self.end,
            "cost": self.cost,
        }


@dataclass(frozen=True, slots=True)
class Cost:
    """What a plan costs, in the call's unit."""

    price: int
    """What the rows cost."""
    transport: int
    tardiness: int
    carbon: int
    """What the rows' greenhouse gases cost."""
    spent: int = 0
    """Price and carbon cost of what is reworked: the same in every plan that could take this one's place, so no gap is
    measured by it."""

    def __post_init__(self) -> None:
        for name, value in (
            ("price", self.price),
            ("transport", self.transport),
            ("tardiness", self.tardiness),
            ("carbon", self.carbon),
            ("amount spent", self.spent),
            ("total", self.total),
        ):
            form.check_sum(value, f"the {name} in a plan's cost")
            form.check_range(value, f"the {name} in a plan's cost", 0, MAX_SAFE_INTEGER)

    @property
    def total(self) -> int:
        return self.price + self.transport + self.tardiness + self.carbon + self.spent

    def to_json(self) -> dict[str, Json]:
        """Without `spent` if that is 0: plans were first written without it."""
        return {
            "price": self.price,
            "transport": self.transport,
            "tardiness": self.tardiness,
            "carbon": self.carbon,
            **({"spent": self.spent} if self.spent else {}),
            "total": self.total,
        }


@dataclass(frozen=True, slots=True)
class Bound:
    """Slot prices, and the lower bound that follows from them."""

    value: int
    """No plan on the same offers costs less."""
    prices: tuple[tuple[int, tuple[tuple[int, int], ...]], ...]
    """Machine and its pairs of slot and price, ascending; slots left out have price 0."""

    def __post_init__(self) -> None:
        form.check_sum(self.value, "the bound of a plan")
        form.check_count(self.prices, "machines with slot prices", 0, form.MAX_OFFERS)
        form.check_ascending([machine for machine, _ in self.prices], "the machines with slot prices")
        for machine, slots in self.prices:
            form.check_range(machine, "a machine with slot prices", 1, form.MAX_ID)
            form.check_ascending([slot for slot, _ in slots], f"the slots with prices of machine {machine}")
            for slot, price in slots:
                form.check_range(slot, "a slot with a price", 0, form.MAX_SLOTS)
                form.check_range(price, f"the price of slot {slot} of machine {machine}", 1, MAX_SLOT_PRICE)

    def to_json(self) -> dict[str, Json]:
        prices: list[Json] = [[machine, [list(pair) for pair in slots]] for machine, slots in self.prices]
        return {"value": self.value, "prices": prices}


@dataclass(frozen=True, slots=True)
class Plan:
    """Rows chosen from offers. Recorded as an entry of kind `LeafKind.PLAN` in the coordinator's own stream."""

    call: bytes
    """Digest of the call, 32 bytes."""
    offers: tuple[bytes, ...]
    """Leaf hashes of all offers that count, ascending."""
    tie: bytes
    """Hash of the first block at or after the time when the call closes, 32 bytes."""
    rows: tuple[Row, ...]
    """Ascending by order and operation."""
    legs: tuple[Leg, ...]
    """Ascending by order and operation before."""
    cost: Cost
    bound: Bound
    before: bytes | None = None
    """Digest of the plan that this one replaces."""
    cause: Cause | None = None
    """Why it does."""
    now: int = 0
    """Slot from which rows that are not fixed may start."""
    dropped: tuple[bytes, ...] = ()
    """Leaf hashes of offers that the cause took away, or those of earlier plans, ascending: they are not among
    `offers`."""
    fixed: tuple[Key, ...] = ()
    """Rows of the plan before that stay, ascending."""
    reworked: tuple[Row, ...] = ()
    """Rows of plans before that were carried out and whose part failed, ascending by order and operation, of one
    operation the first one first: `rows` has its rework. They count in the cost."""

    def __post_init__(self) -> None:
        form.check_size(self.call, "the call of a plan", 32)
        form.check_size(self.tie, "the tie hash of a plan", 32)
        if (self.before is None) != (self.cause is None):
            raise PlanError("a plan names a plan before without a cause, or a cause without a plan before")
        if self.before is not None:
            form.check_size(self.before, "the plan before", 32)
        elif self.dropped or self.fixed or self.now or self.reworked:
            raise PlanError(
                "a plan without one before drops offers, fixes or reworks rows, or starts later than slot 0"
            )
        form.check_range(self.now, "the first slot of a plan", 0, form.MAX_SLOTS)
        for name, ids in (("offers", self.offers), ("dropped offers", self.dropped)):
            form.check_count(ids, f"{name} of a plan", 0, form.MAX_OFFERS)
            form.check_ascending(ids, f"the {name} of a plan")
            for item in ids:
                form.check_size(item, f"one of the {name} of a plan", 32)
        if not frozenset(self.offers).isdisjoint(self.dropped):
            raise PlanError("a plan has an offer both among its offers and among those dropped")
        form.check_ascending(self.fixed, "the fixed rows of a plan")
        form.check_ascending([row.key for row in self.rows], "the rows of a plan")
        form.check_ascending([leg.key for leg in self.legs], "the legs of a plan")
        _check_reworked(self)

    def newly_dropped(self, before: Plan) -> frozenset[bytes]:
        """What this plan's own cause took away, and not that of the plan `before` or of an earlier one."""
        return frozenset(self.dropped) - frozenset(before.dropped)

    def to_json(self) -> dict[str, Json]:
        """Without `reworked` if that is empty: plans were first written without it, and their digests stay."""
        return {
            "format": PLAN_FORMAT,
            "version": 1,
            "call": to_hex(self.call),
            "before": None if self.before is None else to_hex(self.before),
            "cause": None if self.cause is None else self.cause.to_json(),
            "now": self.now,
            "offers": [to_hex(item) for item in self.offers],
            "dropped": [to_hex(item) for item in self.dropped],
            "tie": to_hex(self.tie),
            "fixed": [[to_hex(order), operation] for order, operation in self.fixed],
            **({"reworked": [row.to_json() for row in self.reworked]} if self.reworked else {}),
            "rows": [row.to_json() for row in self.rows],
            "legs": [leg.to_json() for leg in self.legs],
            "cost": self.cost.to_json(),
            "bound": self.bound.to_json(),
        }

    @property
    def digest(self) -> bytes:
        """32 bytes that name the plan."""
        return sha256(_PLAN_TAG + canonical_json(self.to_json()))

    def reworks(self, key: Key) -> int:
        """Which rework of its operation a row is; 0 for the first time that it is done."""
        return sum(row.key == key for row in self.reworked)

    def row_document(self, key: Key) -> dict[str, Json]:
        """The claims of the records that propose and accept one row; of one that is a rework, with which one it is.
        Raises PlanError when the plan lacks it."""
        for row in self.rows:
            if row.key == key:
                shown: dict[str, Json] = {"plan": to_hex(self.digest), "row": row.to_json()}
                times = self.reworks(key)
                return {**shown, "rework": times} if times else shown
        raise PlanError(f"the plan has no row for operation {key[1] + 1} of order {to_hex(key[0])}")


def _check_reworked(plan: Plan) -> None:
    form.check_count(plan.reworked, "reworked rows of a plan", 0, form.MAX_OFFERS)
    keys = [row.key for row in plan.reworked]
    if any(low > high for low, high in pairwise(keys)):
        raise PlanError("the reworked rows of a plan are not ascending")
    if unknown := set(keys) - {row.key for row in plan.rows}:
        order, operation = min(unknown)
        raise PlanError(f"operation {operation + 1} of order {to_hex(order)} is reworked, and has no row")


def parse_plan(value: Json) -> Plan:
    """Build a plan from its JSON. Raises PlanError."""
    names = ("call", "before", "cause", "now", "offers", "dropped", "tie", "fixed", "rows", "legs", "cost", "bound")
    members = form.read_document(value, "a plan", PLAN_FORMAT, names, ("reworked",))
    reworked = form.read_optional_array(members, "reworked", "the reworked rows of a plan")
    before, cause = members["before"], members["cause"]
    return Plan(
        call=form.read_bytes(members["call"], "the call of a plan"),
        before=None if before is None else form.read_bytes(before, "the plan before"),
        cause=None if cause is None else parse_cause(cause),
        now=form.read_integer(members["now"], "the first slot of a plan"),
        offers=read_ids(members["offers"], "the offers of a plan"),
        dropped=read_ids(members["dropped"], "the dropped offers of a plan"),
        tie=form.read_bytes(members["tie"], "the tie hash of a plan"),
        fixed=tuple(_parse_key(item) for item in form.read_array(members["fixed"], "the fixed rows of a plan")),
        reworked=tuple(parse_row(item) for item in reworked),
        rows=tuple(parse_row(item) for item in form.read_array(members["rows"], "the rows of a plan")),
        legs=tuple(parse_leg(item) for item in form.read_array(members["legs"], "the legs of a plan")),
        cost=parse_cost(members["cost"]),
        bound=parse_bound(members["bound"]),
    )


def parse_row(value: Json) -> Row:
    """Build a row from its JSON. Raises PlanError."""
    names = ("order", "operation", "offer", "machine", "owner", "start", "end", "price", "wh", "co2e_mg")
    members = form.read_object(value, "a row", names)
    numbers = {
        name: form.read_integer(members[name], f"the {name} of a row")
        for name in names
        if name not in ("order", "offer")
    }
    return Row(
        order=form.read_bytes(members["order"], "the order of a row"),
        offer=form.read_bytes(members["offer"], "the offer of a row"),
        **numbers,
    )


def parse_leg(value: Json) -> Leg:
    """Build a leg from its JSON. Raises PlanError."""
    names = ("order", "after", "from", "to", "carrier", "start", "end", "cost")
    members = form.read_object(value, "a leg", names)
    after, origin, destination, carrier, start, end, cost = (
        form.read_integer(members[name], f"the {name} of a leg") for name in names[1:]
    )
    order = form.read_bytes(members["order"], "the order of a leg")
    return Leg(order, after, origin, destination, carrier, start, end, cost)


def parse_cause(value: Json) -> Cause:
    """Build a cause from its JSON. Raises PlanError."""
    by_record = isinstance(value, dict) and "record" in value
    members = form.read_object(
        value, "a cause", ("kind", "record", "text") if by_record else ("kind", "stream", "leaf", "text")
    )
    kind = form.read_text(members["kind"], "the kind of a cause")
    if kind not in frozenset(CauseKind):
        raise PlanError(f"the cause {kind[:60]!a} is unknown", hint=f"one of {', '.join(CauseKind)}")
    text = form.read_text(members["text"], "the text of a cause")
    if by_record:
        return Cause(CauseKind(kind), text, record=form.read_integer(members["record"], "the record of a cause"))
    return Cause(
        CauseKind(kind),
        text,
        stream=form.read_bytes(members["stream"], "the stream of a cause"),
        leaf=form.read_integer(members["leaf"], "the leaf of a cause"),
    )


def parse_cost(value: Json) -> Cost:
    """Build a cost from its JSON. Raises PlanError, also when the total is not the sum of the parts."""
    names = ("price", "transport", "tardiness", "carbon", "total")
    members = form.read_object(value, "a plan's cost", names, ("spent",))
    price, transport, tardiness, carbon, total = (
        form.read_integer(members[name], f"the {name} in a plan's cost") for name in names
    )
    cost = Cost(price, transport, tardiness, carbon, read_spent(members, "a plan's cost"))
    if cost.total != total:
        raise PlanError(f"the total in a plan's cost is {total}, and its parts add up to {cost.total}")
    return cost


def read_spent(members: Mapping[str, Json], what: str) -> int:
    """What was spent on rows that are reworked: 0 if the member is left out, which is the one form for that."""
    if "spent" not in members:
        return 0
    spent = form.read_integer(members["spent"], f"the amount spent in {what}")
    form.check_range(spent, f"the amount spent in {what}", 1, MAX_SAFE_INTEGER)
    return spent


def parse_bound(value: Json) -> Bound:
    """Build a bound from its JSON. Raises PlanError."""
    members = form.read_object(value, "the bound of a plan", ("value", "prices"))
    prices = []
    for item in form.read_array(members["prices"], "the slot prices of a plan"):
        machine, slots = form.read_array(item, "a machine's slot prices", 2)
        pairs = tuple(_parse_slot(pair) for pair in form.read_array(slots, "a machine's slot prices"))
        prices.append((form.read_integer(machine, "a machine with slot prices"), pairs))
    return Bound(form.read_integer(members["value"], "the bound of a plan"), tuple(prices))


def read_ids(value: Json, what: str) -> tuple[bytes, ...]:
    return tuple(form.read_bytes(item, f"an item of {what}") for item in form.read_array(value, what))


def _parse_slot(value: Json) -> tuple[int, int]:
    slot, price = form.read_integers(value, "a slot price", 2)
    return slot, price


def _parse_key(value: Json) -> Key:
    order, operation = form.read_array(value, "a fixed row", 2)
    return form.read_bytes(order, "the order of a fixed row"), form.read_integer(
        operation, "the operation of a fixed row"
    )
