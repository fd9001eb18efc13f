"""Plans: rows chosen from offers, the legs between them, what that costs, and the proof of a lower bound."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

from millmark.ledger.canonical import MAX_SAFE_INTEGER, Json, canonical_json, sha256, to_hex
from millmark.ledger.errors import PlanError
from millmark.ledger.plans import form
from millmark.ledger.plans.form import LEFT_OUT, Amount, Between, Called, Form, Hash, Id, OperationNumber, Slot

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

    @classmethod
    def parse(cls, value: Json) -> Cause:
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
            return cls(CauseKind(kind), text, record=form.read_integer(members["record"], "the record of a cause"))
        stream = form.read_bytes(members["stream"], "the stream of a cause")
        return cls(CauseKind(kind), text, stream, form.read_integer(members["leaf"], "the leaf of a cause"))


@dataclass(frozen=True, slots=True)
class Row(Form):
    """One operation on one machine."""

    WHAT = "a row"
    order: Hash
    """Subject."""
    operation: OperationNumber
    offer: Hash
    """Leaf hash of the offer."""
    machine: Id
    owner: Id
    start: Slot
    """First slot."""
    end: int
    """Slot after the last one."""
    price: Amount
    wh: Annotated[Amount, Called("Wh")]
    co2e_mg: Annotated[Amount, Called("mg CO2e")]

    def verify(self) -> None:
        form.check_range(self.end, "the end of a row", self.start + 1, 2 * form.MAX_SLOTS)

    @property
    def key(self) -> Key:
        return self.order, self.operation


@dataclass(frozen=True, slots=True)
class Leg(Form):
    """Transport of an order after one of its operations."""

    WHAT = "a leg"
    order: Hash
    """Subject."""
    after: Annotated[OperationNumber, Called("the operation before a leg")]
    origin: Annotated[Id, Called("origin", "from")]
    """Participant."""
    destination: Annotated[Id, Called("destination", "to")]
    """Participant."""
    carrier: Annotated[int, Between(0, form.MAX_ID)]
    """Participant, or 0 for none."""
    start: Annotated[int, Between(0, 2 * form.MAX_SLOTS)]
    end: int
    """Slot of arrival: the next operation may start in it."""
    cost: Amount

    def verify(self) -> None:
        form.check_range(self.end, "the end of a leg", self.start, 4 * form.MAX_SLOTS)

    @property
    def key(self) -> Key:
        return self.order, self.after


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

    @classmethod
    def parse(cls, value: Json) -> Cost:
        """Build a cost from its JSON. Raises PlanError, also when the total is not the sum of the parts."""
        names = ("price", "transport", "tardiness", "carbon", "total")
        members = form.read_object(value, "a plan's cost", names, ("spent",))
        *parts, total = (form.read_integer(members[name], f"the {name} in a plan's cost") for name in names)
        if "spent" in members:
            spent, what = members["spent"], "the amount spent in a plan's cost"
            form.check_range(form.read_integer(spent, what), what, 1, MAX_SAFE_INTEGER)
            parts.append(form.read_integer(spent, what))
        if (cost := cls(*parts)).total != total:
            raise PlanError(f"the total in a plan's cost is {total}, and its parts add up to {cost.total}")
        return cost


@dataclass(frozen=True, slots=True)
class Bound(Form):
    """Slot prices, and the lower bound that follows from them."""

    WHAT = "the bound of a plan"
    value: Annotated[int, Called("the bound of a plan")]
    """No plan on the same offers costs less."""
    prices: Annotated[tuple[_MachinePrices, ...], Called("the slot prices of a plan")]
    """Machine and its pairs of slot and price, ascending; slots left out have price 0."""

    def verify(self) -> None:
        form.check_sum(self.value, "the bound of a plan")
        form.check_count(self.prices, "machines with slot prices", 0, form.MAX_OFFERS)
        form.check_ascending([machine for machine, _ in self.prices], "the machines with slot prices")
        for machine, slots in self.prices:
            form.check_range(machine, "a machine with slot prices", 1, form.MAX_ID)
            form.check_ascending([slot for slot, _ in slots], f"the slots with prices of machine {machine}")
            for slot, price in slots:
                form.check_range(slot, "a slot with a price", 0, form.MAX_SLOTS)
                form.check_range(price, f"the price of slot {slot} of machine {machine}", 1, MAX_SLOT_PRICE)


_MachinePrices = tuple[
    Annotated[int, Called("a machine with slot prices")],
    Annotated[tuple[Annotated[tuple[int, int], Called("a slot price")], ...], Called("a machine's slot prices")],
]


@dataclass(frozen=True, slots=True)
class Plan(Form):
    """Rows chosen from offers. Recorded as an entry of kind `LeafKind.PLAN` in the coordinator's own stream."""

    WHAT, FORMAT = "a plan", PLAN_FORMAT
    call: Hash
    """Digest of the call."""
    offers: tuple[Hash, ...]
    """Leaf hashes of all offers that count, ascending."""
    tie: Annotated[Hash, Called("tie hash")]
    """Hash of the first block at or after the time when the call closes."""
    rows: tuple[Row, ...]
    """Ascending by order and operation."""
    legs: tuple[Leg, ...]
    """Ascending by order and operation before."""
    cost: Cost
    bound: Bound
    before: Annotated[Hash | None, Called("the plan before")] = None
    """Digest of the plan that this one replaces."""
    cause: Cause | None = None
    """Why it does."""
    now: Annotated[Slot, Called("first slot")] = 0
    """Slot from which rows that are not fixed may start."""
    dropped: Annotated[tuple[Hash, ...], Called("dropped offers")] = ()
    """Leaf hashes of offers that the cause took away, or those of earlier plans, ascending: they are not among
    `offers`."""
    fixed: Annotated[tuple[Key, ...], Called("fixed rows")] = ()
    """Rows of the plan before that stay, ascending."""
    reworked: Annotated[tuple[Row, ...], Called("reworked rows"), LEFT_OUT] = ()
    """Rows of plans before that were carried out and whose part failed, ascending by order and operation, of one
    operation the first one first: `rows` has its rework. They count in the cost."""

    def verify(self) -> None:
        if (self.before is None) != (self.cause is None):
            raise PlanError("a plan names a plan before without a cause, or a cause without a plan before")
        if self.before is None and (self.dropped or self.fixed or self.now or self.reworked):
            raise PlanError(
                "a plan without one before drops offers, fixes or reworks rows, or starts later than slot 0"
            )
        for name, ids in (("offers", self.offers), ("dropped offers", self.dropped)):
            form.check_count(ids, f"{name} of a plan", 0, form.MAX_OFFERS)
            form.check_ascending(ids, f"the {name} of a plan")
        if not frozenset(self.offers).isdisjoint(self.dropped):
            raise PlanError("a plan has an offer both among its offers and among those dropped")
        form.check_ascending(self.fixed, "the fixed rows of a plan")
        form.check_ascending([row.key for row in self.rows], "the rows of a plan")
        form.check_ascending([leg.key for leg in self.legs], "the legs of a plan")
        _check_reworked(self)

    def newly_dropped(self, before: Plan) -> frozenset[bytes]:
        """What this plan's own cause took away, and not that of the plan `before` or of an earlier one."""
        return frozenset(self.dropped) - frozenset(before.dropped)

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
