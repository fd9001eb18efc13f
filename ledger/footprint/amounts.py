"""Amounts of energy and emissions, exact shares of them, and emission factors. Integers only.

The functions on top read JSON of footprints strictly: every member is known, and every number a whole one that JSON can
represent.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime

from millmark.ledger.canonical import MAX_SAFE_INTEGER, Json, canonical_json, parse_json, sha256
from millmark.ledger.errors import FactorError, FootprintError

_HEX32 = re.compile("0x[0-9a-f]{64}")


def members_of(value: Json, what: str, needed: Collection[str], optional: Collection[str] = ()) -> Mapping[str, Json]:
    """The members of an object. Raises FootprintError if one is missing or unknown."""
    if not isinstance(value, Mapping):
        raise FootprintError(f"{what} is not a JSON object")
    for name in needed:
        if name not in value:
            raise FootprintError(f"{what} has no {name}")
    for name in value:
        if name not in needed and name not in optional:
            raise FootprintError(f"{what} has the unknown member {name[:40]!a}")
    return value


def number_of(value: Json, what: str, least: int = 0, most: int = MAX_SAFE_INTEGER) -> int:
    """A whole number. Raises FootprintError, also for a number with a fraction and for a truth value."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise FootprintError(f"{what} is not a whole number")
    if not least <= value <= most:
        raise FootprintError(f"{what} is {value}, and must be from {least} to {most}")
    return value


def text_of(value: Json, what: str, longest: int = 200) -> str:
    """Text that is not empty. Raises FootprintError."""
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise FootprintError(f"{what} is not text of 1 to {longest} characters")
    return value


def digest_of(value: Json, what: str) -> bytes:
    """32 bytes from 0x-hex. Raises FootprintError."""
    if not isinstance(value, str) or not _HEX32.fullmatch(value):
        raise FootprintError(f"{what} is not 0x and 64 lower-case hexadecimal digits")
    return bytes.fromhex(value[2:])


def items_of(value: Json, what: str, most: int) -> list[Json]:
    """The items of an array. Raises FootprintError for anything else, and for more than `most`."""
    if not isinstance(value, list) or len(value) > most:
        raise FootprintError(f"{what} is not an array of at most {most} items")
    return list(value)


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of a whole: units `start` to `end` of `of`. The parts of several that take from one whole follow one
    another, so that their shares add up to it exactly, without a rounding difference."""

    start: int
    end: int
    of: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end <= self.of <= MAX_SAFE_INTEGER or self.of == 0:
            raise FootprintError(f"{self.start} to {self.end} is not a part of {self.of} units")

    @property
    def size(self) -> int:
        return self.end - self.start

    def to_json(self) -> Json:
        return [self.start, self.end, self.of]


ALL = Part(0, 1, 1)
"""The whole."""


def share_of(amount: int, part: Part) -> int:
    """The share of a part: the floor of what is up to its end, less that of what is up to its start."""
    return amount * part.end // part.of - amount * part.start // part.of


@dataclass(frozen=True, slots=True)
class Amounts:
    """What was used and emitted for something. Raises FootprintError for a number that JSON cannot represent."""

    wh: int = 0
    """Energy that was used by machines of the ledger, in Wh."""
    location_mg: int = 0
    """Emissions in mg CO2e, those of electricity by the average of the grid where it was used."""
    market_mg: int = 0
    """The same, those of electricity by the contract with its supplier."""
    metered_mg: int = 0
    """The part of `location_mg` that follows from register readings."""

    def __post_init__(self) -> None:
        for one in fields(self):
            number_of(getattr(self, one.name), f"the amount {one.name}")

    def __add__(self, other: Amounts) -> Amounts:
        return Amounts(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))

    def share(self, part: Part) -> Amounts:
        return Amounts(*(share_of(getattr(self, one.name), part) for one in fields(self)))

    def to_json(self) -> dict[str, Json]:
        emitted: Json = {"location": self.location_mg, "market": self.market_mg}
        return {"co2e_mg": emitted, "metered_mg": self.metered_mg, "wh": self.wh}


NOTHING = Amounts()


def parse_part(value: Json) -> Part:
    """Raises FootprintError."""
    if not isinstance(value, list) or len(value) != 3:
        raise FootprintError("a part is not an array of start, end and whole")
    return Part(*(number_of(one, "a number of a part") for one in value))


def parse_amounts(members: dict[str, Json] | Json) -> Amounts:
    """From the members `wh`, `co2e_mg` and `metered_mg`. Raises FootprintError."""
    found = members_of(members, "an amount", ("co2e_mg", "metered_mg", "wh"))
    emitted = members_of(found["co2e_mg"], "co2e_mg", ("location", "market"))
    location, market = (number_of(emitted[name], f"co2e_mg {name}") for name in ("location", "market"))
    metered = number_of(found["metered_mg"], "metered_mg", most=location)
    return Amounts(number_of(found["wh"], "wh"), location, market, metered)


# Emission factors: a table of them is a document with a digest, and each says where and until when it holds.

FORMAT = "millmark.factors"
_TAG = b"millmark.factors.v1\0"
MAX_TABLE_BYTES = 1 << 20
MAX_FACTORS = 1000
_KEY = re.compile("[a-z0-9][a-z0-9._-]{0,63}")


class FactorKind(enum.Enum):
    LOCATION = "location"
    """Electricity, by the average of the grid where it is used (GHG Protocol, Scope 2 Guidance)."""
    MARKET = "market"
    """Electricity, by the contract with its supplier."""
    MATERIAL = "material"
    """What was made elsewhere: a secondary value, where its maker states none."""
    TRANSPORT = "transport"


_UNITS: Mapping[str, tuple[str, int]] = {
    "mg/kWh": ("Wh", 1000),
    "mg/kg": ("g", 1000),
    "mg/piece": ("piece", 1),
    "mg/tkm": ("kg km", 1000),
}
"""By a factor's unit: the unit of an amount, and how many of these make one of the factor's."""
_OF_KIND: Mapping[FactorKind, tuple[str, ...]] = {
    FactorKind.LOCATION: ("mg/kWh",),
    FactorKind.MARKET: ("mg/kWh",),
    FactorKind.MATERIAL: ("mg/kg", "mg/piece"),
    FactorKind.TRANSPORT: ("mg/tkm",),
}


@dataclass(frozen=True, slots=True)
class Factor:
    """What is emitted for a unit of something. Raises FactorError."""

    key: str
    """Lower-case letters, digits, `.`, `_` and `-`; once in a table."""
    kind: FactorKind
    value: int
    """mg CO2e for one `unit`: 380 g/kWh is 380000."""
    unit: str
    source: str
    """Publication and edition."""
    region: str
    """ISO 3166, such as DE, or another name of where it holds."""
    first_day: date
    last_day: date
    """The days on which it may be used, in UTC, both included."""

    def __post_init__(self) -> None:
        if not _KEY.fullmatch(self.key):
            raise FactorError(f"{self.key[:80]!a} is not a factor's key", hint="use a-z, 0-9, dots and hyphens")
        if self.unit not in _OF_KIND[self.kind]:
            raise FactorError(
                f"the factor {self.key} is in {self.unit[:20]!a}", hint=f"give {' or '.join(_OF_KIND[self.kind])}"
            )
        if self.last_day < self.first_day:
            raise FactorError(f"the factor {self.key} ends before it begins")

    def emitted_mg(self, amount: int) -> int:
        """mg CO2e for an amount in `amount_unit`, rounded half up. Raises FactorError beyond 2^53 - 1."""
        per = _UNITS[self.unit][1]
        found = (amount * self.value * 2 + per) // (2 * per)
        if found > MAX_SAFE_INTEGER:
            raise FactorError(f"the factor {self.key} makes more of {amount} than JSON can represent")
        return found

    @property
    def amount_unit(self) -> str:
        """The unit of amounts: Wh, g, piece or kg km."""
        return _UNITS[self.unit][0]

    def verify_use(self, kinds: Iterable[FactorKind], time_s: int) -> None:
        """Raises FactorError if it is of another kind, or does not hold at the time, in seconds since 1970."""
        allowed = tuple(kinds)
        if self.kind not in allowed:
            raise FactorError(
                f"the factor {self.key} is of kind {self.kind.value}, not {' or '.join(one.value for one in allowed)}"
            )
        day = datetime.fromtimestamp(time_s, UTC).date()
        if not self.first_day <= day <= self.last_day:
            raise FactorError(
                f"the factor {self.key} holds from {self.first_day} to {self.last_day}, and is used on {day}",
                hint="use a table with the factor of that time",
            )

    def to_json(self) -> dict[str, Json]:
        return {
            "from": self.first_day.isoformat(),
            "key": self.key,
            "kind": self.kind.value,
            "region": self.region,
            "source": self.source,
            "unit": self.unit,
            "until": self.last_day.isoformat(),
            "value": self.value,
        }


@dataclass(frozen=True, slots=True)
class FactorTable:
    """Factors, ascending by key. Raises FactorError if one is there twice, or out of order."""

    factors: tuple[Factor, ...]

    def __post_init__(self) -> None:
        keys = [one.key for one in self.factors]
        if keys != sorted(set(keys)):
            raise FactorError("the factors are not ascending by key, each once")

    @property
    def digest(self) -> bytes:
        """SHA-256 of `millmark.factors.v1`, a zero byte and the table in canonical JSON."""
        return sha256(_TAG + canonical_json(self.to_json()))

    def get(self, key: str) -> Factor:
        """Raises FactorError if there is none."""
        found = next((one for one in self.factors if one.key == key), None)
        if found is None:
            raise FactorError(f"the table has no factor {key[:80]!a}")
        return found

    def to_json(self) -> dict[str, Json]:
        return {"factors": [one.to_json() for one in self.factors], "format": FORMAT, "version": 1}


def parse_factors(data: bytes) -> FactorTable:
    """Read a table (UTF-8 JSON; spaces and order of members do not matter). Raises FactorError, CanonicalError."""
    try:
        found = members_of(
            parse_json(data, max_bytes=MAX_TABLE_BYTES, max_depth=8), "a factor table", ("factors", "format", "version")
        )
        if found["format"] != FORMAT or number_of(found["version"], "version") != 1:
            raise FactorError(f"it is not a {FORMAT} of version 1")
        return FactorTable(tuple(map(parse_factor, items_of(found["factors"], "factors", MAX_FACTORS))))
    except FactorError:
        raise
    except FootprintError as error:
        raise FactorError(error.cause, hint=error.hint) from None


def parse_factor(value: Json) -> Factor:
    """Raises FootprintError."""
    names = ("from", "key", "kind", "region", "source", "unit", "until", "value")
    found = members_of(value, "a factor", names)
    kinds = {one.value: one for one in FactorKind}
    kind = found["kind"]
    if not isinstance(kind, str) or kind not in kinds:
        raise FactorError(
            f"{str(kind)[:40]!a} is not a kind of factor",
            hint=f"one of {', '.join(kinds)}; marginal factors are for deciding when to run, not for accounting",
        )
    return Factor(
        key=text_of(found["key"], "key", 64),
        kind=kinds[kind],
        value=number_of(found["value"], "value"),
        unit=text_of(found["unit"], "unit"),
        source=text_of(found["source"], "source"),
        region=text_of(found["region"], "region"),
        first_day=_day(found["from"]),
        last_day=_day(found["until"]),
    )


def _day(value: Json) -> date:
    try:
        if isinstance(value, str) and len(value) == len("2026-01-01"):
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise FactorError(f"{str(value)[:40]!a} is not a day", hint="write YYYY-MM-DD")
