"""The state of a machine over time, as it was sent to the machine's stream: section 1 of SETPOINTS.md."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from millmark.ledger.canonical import Json
from millmark.ledger.errors import InputError
from millmark.ledger.store import Book

_PPM: Final = 1_000_000
_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,31}")
_MAX_COLUMNS: Final = 64
_MAX: Final = 2**53 - 1
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
            _range(name, pair[0], -_MAX, _MAX)
            _range(f"decimals of {name}", pair[1], 0, 9)
        for what, value, most in (("eta_ppm", self.eta_ppm, _PPM), ("e_ppm", self.e_ppm, _PPM), ("wh", self.wh, _MAX)):
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
    """The latest readings in these streams, by time; of each stream the last `most` entries are looked at.

    What cannot be read is an event like others: it was accepted as such, and is left out.
    """
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
