"""Amounts of energy and emissions, and shares of them that add up to the whole exactly. Integers only."""

from __future__ import annotations

from dataclasses import dataclass, fields

from millmark.ledger.canonical import MAX_SAFE_INTEGER, Json
from millmark.ledger.errors import FootprintError
from millmark.ledger.footprint._json import members_of, number_of


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

    @property
    def metered_permille(self) -> int:
        """How much of the location-based emissions follows from register readings, rounded down; 0 of nothing."""
        return self.metered_mg * 1000 // self.location_mg if self.location_mg else 0

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
