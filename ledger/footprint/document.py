"""A lot's footprint: `passport.footprint` of its claims. It shows how its totals follow from what it states.

    material  = sum of the shares of what went in as material, of which this lot has `kept`
    step      = material + shares of components + own operations + other
    totals    = `part` of the step

See FOOTPRINT.md. Integers only; `Footprint.totals` computes them, and `parse_footprint` refuses a document with others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import cast

from millmark.ledger.canonical import Json, to_hex
from millmark.ledger.errors import FactorError, FootprintError
from millmark.ledger.footprint._json import digest_of, items_of, members_of, number_of, text_of
from millmark.ledger.footprint.amounts import ALL, NOTHING, Amounts, Part, parse_amounts, parse_part
from millmark.ledger.footprint.factors import Factor, FactorKind, parse_factor

PATH = ("passport", "footprint")
"""Where claims have it."""
_VERSION = 1
_LATEST_S = 7_258_118_399
"""The end of the year 2199."""
MAX_ITEMS = 200
"""Most shares, operations or others of one step."""
_NEEDED = ("co2e_mg", "factors", "metered_mg", "other", "own", "part", "shares", "time", "used", "version", "wh")


@dataclass(frozen=True, slots=True)
class Own:
    """The energy of an operation, or a part of it."""

    wh: int
    """Energy of the whole operation."""
    location: str
    market: str
    """Keys of the factors by which it counts."""
    assignment: int = 0
    """The assignment whose register readings say so; 0 if it is only stated."""
    part: Part = ALL
    """What of it belongs to this step, by quantity, if lots of several records were made under the assignment."""

    def to_json(self) -> dict[str, Json]:
        found: dict[str, Json] = {"location": self.location, "market": self.market, "wh": self.wh}
        if self.assignment:
            found["assignment"] = self.assignment
        if self.part != ALL:
            found["part"] = self.part.to_json()
        return found


@dataclass(frozen=True, slots=True)
class Share:
    """What a lot brought in that went into the step."""

    lot: bytes
    """32 bytes."""
    part: Part
    """What was taken of it, in its unit."""
    amounts: Amounts
    """The amounts for all of that lot."""
    component: bool = False

    def to_json(self) -> dict[str, Json]:
        return {
            "component": self.component,
            "lot": to_hex(self.lot),
            "part": self.part.to_json(),
            **self.amounts.to_json(),
        }


@dataclass(frozen=True, slots=True)
class Other:
    """What else was emitted: for material from outside by a secondary factor, or for transport."""

    what: str
    factor: str
    """Key."""
    amount: int
    """In the factor's `amount_unit`: g, piece or kg km."""
    recycled: bool = False
    """Whether it is material that was used before."""

    def to_json(self) -> dict[str, Json]:
        found: dict[str, Json] = {"amount": self.amount, "factor": self.factor, "what": self.what}
        if self.recycled:
            found["recycled"] = True
        return found


@dataclass(frozen=True, slots=True)
class Footprint:
    """A footprint and what it follows from. Raises FactorError if a factor is missing, of another kind or not valid at
    `time_s`, FootprintError for what cannot be."""

    table: bytes
    """Digest of the factor table."""
    used: tuple[Factor, ...]
    """The factors that count here, ascending by key."""
    time_s: int
    """When it was made, in seconds since 1970: its factors are those of that day."""
    own: tuple[Own, ...] = ()
    shares: tuple[Share, ...] = ()
    other: tuple[Other, ...] = ()
    kept: Part = ALL
    """What of the material is in this lot and its likes, where some of it was left over."""
    part: Part = ALL
    """This lot's part of the step, by quantity."""

    def __post_init__(self) -> None:
        keys = [one.key for one in self.used]
        if keys != sorted({name for name, _ in self._uses()}):
            raise FactorError("the factors of the footprint are not those that it uses, ascending by key")
        for name, kinds in self._uses():
            self._factor(name).verify_use(kinds, self.time_s)
        if len({one.lot for one in self.shares}) < len(self.shares):
            raise FootprintError("a lot is counted twice in a footprint")
        metered = [one.assignment for one in self.own if one.assignment]
        if len(set(metered)) < len(metered):
            raise FootprintError("an assignment is counted twice in a footprint")
        _ = self.totals  # refused here if a sum is beyond what JSON can represent

    @property
    def totals(self) -> Amounts:
        return self.step.share(self.part)

    @property
    def step(self) -> Amounts:
        """The amounts for everything that the step made."""
        material = _sum(one.amounts.share(one.part) for one in self.shares if not one.component)
        components = _sum(one.amounts.share(one.part) for one in self.shares if one.component)
        own = _sum(map(self.amounts_of_own, self.own))
        return material.share(self.kept) + components + own + _sum(map(self.amounts_of_other, self.other))

    def amounts_of_own(self, own: Own) -> Amounts:
        wh = Amounts(own.wh).share(own.part).wh
        location = self._factor(own.location).emitted_mg(wh)
        market = self._factor(own.market).emitted_mg(wh)
        return Amounts(wh, location, market, location if own.assignment else 0)

    def amounts_of_other(self, other: Other) -> Amounts:
        emitted = self._factor(other.factor).emitted_mg(other.amount)
        return Amounts(0, emitted, emitted, 0)

    def _uses(self) -> Iterator[tuple[str, tuple[FactorKind, ...]]]:
        for own in self.own:
            yield own.location, (FactorKind.LOCATION,)
            yield own.market, (FactorKind.MARKET,)
        for other in self.other:
            yield other.factor, (FactorKind.MATERIAL, FactorKind.TRANSPORT)

    def _factor(self, key: str) -> Factor:
        found = next((one for one in self.used if one.key == key), None)
        if found is None:
            raise FactorError(f"the footprint lacks the factor {key[:80]!a}")
        return found

    def to_json(self) -> dict[str, Json]:
        found: dict[str, Json] = {
            "factors": to_hex(self.table),
            "other": [one.to_json() for one in self.other],
            "own": [one.to_json() for one in self.own],
            "part": self.part.to_json(),
            "shares": [one.to_json() for one in self.shares],
            "time": self.time_s,
            "used": [one.to_json() for one in self.used],
            "version": _VERSION,
            **self.totals.to_json(),
        }
        if self.kept != ALL:
            found["kept"] = self.kept.to_json()
        return found


def parse_footprint(value: Json) -> Footprint:
    """Read `passport.footprint` of a document. Raises FootprintError, also if its totals do not follow from the
    rest."""
    found = members_of(value, "a footprint", _NEEDED, ("kept",))
    if number_of(found["version"], "version") != _VERSION:
        raise FootprintError("the footprint has an unknown version", hint="update this program")
    footprint = Footprint(
        table=digest_of(found["factors"], "factors"),
        used=tuple(map(parse_factor, items_of(found["used"], "used", MAX_ITEMS))),
        time_s=number_of(found["time"], "time", most=_LATEST_S),
        own=tuple(map(_own, items_of(found["own"], "own", MAX_ITEMS))),
        shares=tuple(map(_share, items_of(found["shares"], "shares", MAX_ITEMS))),
        other=tuple(map(_other, items_of(found["other"], "other", MAX_ITEMS))),
        kept=parse_part(found["kept"]) if "kept" in found else ALL,
        part=parse_part(found["part"]),
    )
    stated = parse_amounts(cast(Json, {name: found[name] for name in ("co2e_mg", "metered_mg", "wh")}))
    if stated != footprint.totals:
        raise FootprintError("the totals of the footprint do not follow from what it states")
    return footprint


def _own(value: Json) -> Own:
    found = members_of(value, "an operation of a footprint", ("location", "market", "wh"), ("assignment", "part"))
    return Own(
        number_of(found["wh"], "wh"),
        text_of(found["location"], "location", 64),
        text_of(found["market"], "market", 64),
        number_of(found["assignment"], "assignment", 1) if "assignment" in found else 0,
        parse_part(found["part"]) if "part" in found else ALL,
    )


def _share(value: Json) -> Share:
    found = members_of(value, "a share", ("co2e_mg", "component", "lot", "metered_mg", "part", "wh"))
    if not isinstance(found["component"], bool):
        raise FootprintError("component is not true or false")
    amounts = parse_amounts(cast(Json, {name: found[name] for name in ("co2e_mg", "metered_mg", "wh")}))
    return Share(digest_of(found["lot"], "lot"), parse_part(found["part"]), amounts, found["component"])


def _other(value: Json) -> Other:
    found = members_of(value, "another emission", ("amount", "factor", "what"), ("recycled",))
    if found.get("recycled", True) is not True:
        raise FootprintError("recycled may only be true", hint="leave it out where nothing is recycled")
    return Other(
        text_of(found["what"], "what"),
        text_of(found["factor"], "factor", 64),
        number_of(found["amount"], "amount"),
        "recycled" in found,
    )


def _sum(amounts: Iterable[Amounts]) -> Amounts:
    found = NOTHING
    for one in amounts:
        found += one
    return found
