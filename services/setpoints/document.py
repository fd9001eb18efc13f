"""What is proposed: setpoints of one machine with what they are expected to change, as canonical JSON of integers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from millmark.ledger.canonical import Json, canonical_json, sha256
from millmark.ledger.errors import InputError

FORMAT: Final = "millmark.setpoint"
MAX_VALUES: Final = 32
_MAX_NUMBER: Final = 2**53 - 1
_PPM: Final = 1_000_000
_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,31}")
_DIGEST = re.compile("[0-9a-f]{64}")
_MAX_TEXT: Final = 200


@dataclass(frozen=True, slots=True)
class SetpointValue:
    """One setpoint, in units of 10^-decimals of the sensor's unit. Raises InputError if a member is out of range."""

    name: str
    decimals: int
    before: int
    """What the machine had when it was proposed."""
    value: int

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise InputError(f"{str(self.name)[:40]!a} is not the name of a setpoint", hint="use lower-case letters")
        _range("decimals", self.decimals, 0, 9)
        _range("before", self.before, -_MAX_NUMBER, _MAX_NUMBER)
        _range("value", self.value, -_MAX_NUMBER, _MAX_NUMBER)


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the model says of some setpoints over the horizon. Raises InputError if a member is out of range."""

    cost: int
    energy_wh: int
    eta_ppm: int
    """Availability at the end of the horizon, in millionths."""
    e_ppm: int
    """Effectiveness x quality ratio, likewise."""

    def __post_init__(self) -> None:
        _range("cost", self.cost, -_MAX_NUMBER, _MAX_NUMBER)
        _range("energy_wh", self.energy_wh, 0, _MAX_NUMBER)
        _range("eta_ppm", self.eta_ppm, 0, _PPM)
        _range("e_ppm", self.e_ppm, 0, _PPM)


@dataclass(frozen=True, slots=True)
class SetpointDocument:
    """A proposal. Raises InputError if a member is out of range."""

    machine: int
    model: str
    """Digest of the process model, 64 lower-case digits."""
    values: tuple[SetpointValue, ...]
    horizon_s: int
    expected: Forecast
    """With the proposed setpoints."""
    kept: Forecast
    """With those that the machine had."""
    unit: str
    """What one unit of cost is, such as `EUR/100`."""
    cause: str = ""
    """Why it was looked for, such as a drift alarm; empty if no cause is stated."""

    def __post_init__(self) -> None:
        _range("machine", self.machine, 1, 2**48 - 1)
        _range("horizon_s", self.horizon_s, 1, 2**31)
        if not isinstance(self.model, str) or not _DIGEST.fullmatch(self.model):
            raise InputError("the model is not named by its digest", hint="64 lower-case hexadecimal digits")
        if not 1 <= len(self.values) <= MAX_VALUES or len({one.name for one in self.values}) != len(self.values):
            raise InputError("a proposal has each setpoint once", hint=f"1 to {MAX_VALUES} setpoints")
        if all(one.before == one.value for one in self.values):
            raise InputError("nothing is proposed that the machine does not have")
        for what, text in (("unit", self.unit), ("cause", self.cause)):
            if not isinstance(text, str) or len(text) > _MAX_TEXT or not text.isprintable():
                raise InputError(f"the {what} is not text of at most {_MAX_TEXT} characters")

    def to_json(self) -> Json:
        members: dict[str, Json] = json.loads(json.dumps(asdict(self)))
        return {"format": FORMAT, "version": 1, **members}

    def build(self) -> bytes:
        """The canonical JSON."""
        return canonical_json(self.to_json())

    @property
    def digest(self) -> bytes:
        return sha256(self.build())


def parse_setpoint(value: Json) -> SetpointDocument:
    """Parse a proposal. Raises InputError for one that has not exactly the members of the format."""
    members = _object(value, {"format", "version", *SetpointDocument.__slots__})
    if members["format"] != FORMAT or members["version"] != 1:
        raise InputError("this is not a proposal of setpoints", hint=f"format {FORMAT}, version 1")
    values = members["values"]
    if not isinstance(values, list | tuple):
        raise InputError("the values of a proposal are not a list")
    rest: dict[str, Any] = {name: members[name] for name in ("machine", "model", "horizon_s", "unit", "cause")}
    return SetpointDocument(
        **rest,
        values=tuple(SetpointValue(**_object(one, set(SetpointValue.__slots__))) for one in values),
        expected=Forecast(**_object(members["expected"], set(Forecast.__slots__))),
        kept=Forecast(**_object(members["kept"], set(Forecast.__slots__))),
    )


def setpoint_event_id(number: int, digest: bytes) -> str:
    """Id of the event that has the answer to a proposal. The number alone is this database's: after one that was lost,
    the stream may have an answer to an earlier proposal of that number."""
    return f"setpoint/{number}-{digest.hex()[:8]}"


def _object(value: Json, names: set[str]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or value.keys() != names:
        raise InputError("a proposal of setpoints has other members than its format", hint="see SETPOINTS.md")
    return value


def _range(what: str, value: object, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        raise InputError(f"{what} is {str(value)[:40]!a}, not a whole number in {low}..{high}")
