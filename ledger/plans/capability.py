"""What a machine can do, and whether that is what an operation needs.

A machine declares in the claims of its registration, by kind of operation, limits of the values that matter:

    "capability": [{"kind": "turning", "limits": {"diameter_mm": [10, 400], "material": ["aluminium", "steel"]}}]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from millmark.ledger.canonical import MAX_SAFE_INTEGER, Json
from millmark.ledger.errors import PlanError
from millmark.ledger.plans._fields import (
    check_ascending,
    check_count,
    check_range,
    check_text,
    read_array,
    read_object,
    read_text,
)
from millmark.ledger.plans.grounds import OfferGround

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
