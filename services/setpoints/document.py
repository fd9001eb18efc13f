"""Forms of SETPOINTS.md: what is proposed, setpoints of one machine with what they are expected to change, as canonical
JSON of integers; and the machine's state over time."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import msgspec

from millmark.ledger.canonical import Json, canonical_json, sha256
from millmark.ledger.errors import InputError
from millmark.ledger.store import Book

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
    try:
        document = msgspec.convert(value, SetpointDocument)
    except msgspec.ValidationError as error:
        raise InputError(f"this is not a proposal of setpoints: {error}", hint="see SETPOINTS.md") from None
    # Written again: msgspec passes over members that a dataclass does not have, and fills in those that have a default.
    if document.to_json() != value:
        raise InputError(
            "a proposal of setpoints has other members than its format", hint=f"format {FORMAT}, version 1"
        )
    return document


def setpoint_event_id(number: int, digest: bytes) -> str:
    """Id of the event that has the answer to a proposal. The number alone is this database's: after one that was lost,
    the stream may have an answer to an earlier proposal of that number."""
    return f"setpoint/{number}-{digest.hex()[:8]}"


# The state of a machine over time, as it was sent to the machine's stream: section 1 of SETPOINTS.md

_MAX_COLUMNS: Final = 64
_MEMBERS = frozenset({"time", "values", "eta_ppm", "e_ppm", "wh"})


@dataclass(frozen=True, slots=True)
class MachineReading:
    """The state at one time. Integers only; raises InputError if a member is out of range."""

    time_s: int
    """Unix time, by the machine's clock."""
    values: Mapping[str, tuple[int, int]]
    """By column: integer, and its decimals."""
    eta_ppm: int | None = None
    """Availability since the reading before, in millionths."""
    e_ppm: int | None = None
    """Effectiveness x quality ratio, likewise."""
    wh: int | None = None
    """Energy since the reading before."""

    def __post_init__(self) -> None:
        _range("time", self.time_s, 0, 2**40)
        if not 1 <= len(self.values) <= _MAX_COLUMNS:
            raise InputError(f"a state has 1 to {_MAX_COLUMNS} values")
        for name, pair in self.values.items():
            if not isinstance(name, str) or not _NAME.fullmatch(name) or len(pair) != 2:
                raise InputError(
                    f"{str(name)[:40]!a} is not a value of a state", hint="write NAME: [integer, decimals]"
                )
            _range(name, pair[0], -_MAX_NUMBER, _MAX_NUMBER)
            _range(f"decimals of {name}", pair[1], 0, 9)
        for what, value, most in (
            ("eta_ppm", self.eta_ppm, _PPM),
            ("e_ppm", self.e_ppm, _PPM),
            ("wh", self.wh, _MAX_NUMBER),
        ):
            if value is not None:
                _range(what, value, 0, most)

    @property
    def oee_ppm(self) -> int | None:
        """OEE index: availability x effectiveness x quality ratio."""
        return None if self.eta_ppm is None or self.e_ppm is None else self.eta_ppm * self.e_ppm // _PPM


def build_state_data(reading: MachineReading) -> dict[str, Json]:
    """The data of the event that has it."""
    state: dict[str, Json] = {
        "time": reading.time_s,
        "values": {name: list(pair) for name, pair in reading.values.items()},
    }
    for name in ("eta_ppm", "e_ppm", "wh"):
        if (value := getattr(reading, name)) is not None:
            state[name] = value
    return {"state": state}


def parse_reading(data: Json) -> MachineReading | None:
    """The state in an event's data; None if there is none. Raises InputError if it has not exactly the form."""
    state = data.get("state") if isinstance(data, Mapping) else None
    if state is None:
        return None
    if not isinstance(state, Mapping) or not {"time", "values"} <= state.keys() <= _MEMBERS:
        allowed = ", ".join(sorted(_MEMBERS))
        raise InputError(f"a state needs time and values, and may only have {allowed}", hint="see SETPOINTS.md")
    members: Mapping[str, Any] = state
    values = members["values"]
    if not isinstance(values, Mapping) or not all(isinstance(pair, list | tuple) for pair in values.values()):
        raise InputError("the values of a state are not pairs by name", hint="see SETPOINTS.md")
    pairs: dict[str, Any] = {name: tuple(pair) for name, pair in values.items()}
    rest = {name: members.get(name) for name in ("eta_ppm", "e_ppm", "wh")}
    return MachineReading(members["time"], pairs, **rest)


def find_readings(book: Book, streams: Iterable[bytes], most: int) -> Sequence[MachineReading]:
    """The latest readings in these streams, by time; of each stream the last `most` entries are looked at. What cannot
    be read is an event like others: it was accepted as such, and is left out."""
    found: list[MachineReading] = []
    for stream in streams:
        size = book.evidence_size(stream)
        for text in book.evidence_texts(stream, range(max(0, size - most), size)).values():
            if '"state":' not in text:
                continue
            try:
                entry = json.loads(text)
                reading = parse_reading(entry.get("data") if isinstance(entry, dict) else None)
            except (InputError, TypeError):
                continue
            if reading is not None:
                found.append(reading)
    return sorted(found, key=lambda one: one.time_s)[-most:]


def _range(what: str, value: object, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        raise InputError(f"{what[:40]} is {str(value)[:40]!a}, not a whole number in {low}..{high}")
