"""A lot's footprint: `passport.footprint` of its claims. It shows how its totals follow from what it states.

    material  = sum of the shares of what went in as material, of which this lot has `kept`
    step      = material + shares of components + own operations + other
    totals    = `part` of the step

Below it: what a footprint consists of in the end, and what a step's record says of each lot's part.

See FOOTPRINT.md. Integers only; `Footprint.totals` computes them, and `parse_footprint` refuses a document with others.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import cast

from millmark.ledger.canonical import Json, to_hex
from millmark.ledger.errors import FactorError, FootprintError
from millmark.ledger.footprint.amounts import (
    ALL,
    NOTHING,
    Amounts,
    Factor,
    FactorKind,
    FactorTable,
    Part,
    digest_of,
    items_of,
    members_of,
    number_of,
    parse_amounts,
    parse_factor,
    parse_part,
    text_of,
)

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
        own=tuple(map(_parse_own, items_of(found["own"], "own", MAX_ITEMS))),
        shares=tuple(map(_share, items_of(found["shares"], "shares", MAX_ITEMS))),
        other=tuple(map(_other, items_of(found["other"], "other", MAX_ITEMS))),
        kept=parse_part(found["kept"]) if "kept" in found else ALL,
        part=parse_part(found["part"]),
    )
    stated = parse_amounts(cast(Json, {name: found[name] for name in ("co2e_mg", "metered_mg", "wh")}))
    if stated != footprint.totals:
        raise FootprintError("the totals of the footprint do not follow from what it states")
    return footprint


def _parse_own(value: Json) -> Own:
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


# What a footprint consists of, in the end: operations, material, transport, and what is only stated.

_DEPTH = 64
"""Steps after which what is above counts as stated, so that no chain of lots exhausts the stack."""


class Source(enum.Enum):
    """What a contribution is of."""

    OPERATION = "operation"
    """An operation whose register was read at start and finish."""
    STATED_OPERATION = "stated_operation"
    """An operation whose energy its company states."""
    MATERIAL = "material"
    """Material from outside, by a secondary factor."""
    TRANSPORT = "transport"
    LOT = "lot"
    """A lot whose own footprint is not known here."""


@dataclass(frozen=True, slots=True)
class Contribution:
    source: Source
    lot: bytes
    """The lot in whose footprint it is; of a lot whose footprint is not known, that lot."""
    amounts: Amounts
    assignment: int = 0
    what: str = ""
    """What it is; of material and transport alone."""


def find_contributions(lot: bytes, known: Mapping[bytes, Sequence[Footprint]]) -> tuple[Contribution, ...]:
    """The contributions to a lot's latest footprint, from its beginning on. Their amounts add up to its totals exactly.
    `known`: the footprints of each lot, oldest first; it has several if it was reworked."""
    return tuple(_Finding(known).of(lot, len(known[lot]) - 1, _DEPTH))


@dataclass(slots=True)
class _Finding:
    known: Mapping[bytes, Sequence[Footprint]]
    found: dict[tuple[bytes, int], list[Contribution]] = field(default_factory=dict)
    """Each footprint once, even if the lot went into many others; empty as long as it is being looked at, for documents
    are only texts and could name each other."""

    def of(self, lot: bytes, version: int, depth: int) -> list[Contribution]:
        if (lot, version) not in self.found:
            self.found[lot, version] = []
            self.found[lot, version] = self._find(lot, self.known[lot][version], depth)
        return self.found[lot, version]

    def _find(self, lot: bytes, footprint: Footprint, depth: int) -> list[Contribution]:
        material, components = list[Contribution](), list[Contribution]()
        for share in footprint.shares:
            amounts = share.amounts.share(share.part)
            # The one that was counted: a lot may have been reworked since.
            above = (at for at, one in enumerate(self.known.get(share.lot, ())) if one.totals == share.amounts)
            version = next(above, None)
            rows = [] if version is None or depth == 0 else self.of(share.lot, version, depth - 1)
            rows = _scale(rows, amounts) if rows else [Contribution(Source.LOT, share.lot, amounts)]
            (components if share.component else material).extend(rows)
        kept = _scale(material, _sum(one.amounts for one in material).share(footprint.kept))
        return _scale(_merge([*kept, *components, *_own(lot, footprint)]), footprint.totals)


def _merge(rows: Sequence[Contribution]) -> list[Contribution]:
    """One for each thing: some may have come in by several lots."""
    found: dict[tuple[Source, bytes, int, str], Contribution] = {}
    for one in rows:
        key = (one.source, one.lot, one.assignment, one.what)
        before = found.get(key)
        found[key] = one if before is None else replace(one, amounts=before.amounts + one.amounts)
    return list(found.values())


def _own(lot: bytes, footprint: Footprint) -> Iterator[Contribution]:
    kinds = {one.key: one.kind for one in footprint.used}
    for own in footprint.own:
        source = Source.OPERATION if own.assignment else Source.STATED_OPERATION
        yield Contribution(source, lot, footprint.amounts_of_own(own), own.assignment)
    for other in footprint.other:
        source = Source.TRANSPORT if kinds[other.factor] is FactorKind.TRANSPORT else Source.MATERIAL
        yield Contribution(source, lot, footprint.amounts_of_other(other), what=other.what)


def _scale(rows: Sequence[Contribution], total: Amounts) -> list[Contribution]:
    """The same contributions, which then add up to another total."""
    columns = [_shares([getattr(one.amounts, name) for one in rows], getattr(total, name)) for name in _NAMES]
    return [
        replace(one, amounts=Amounts(*amounts)) for one, amounts in zip(rows, zip(*columns, strict=True), strict=True)
    ]


_NAMES = tuple(one.name for one in fields(Amounts))


def _shares(amounts: Sequence[int], total: int) -> list[int]:
    whole, start, found = sum(amounts), 0, []
    for amount in amounts:
        part = Part(start, start + amount, whole) if whole else Part(0, 0, 1)
        found.append(total * part.end // part.of - total * part.start // part.of)
        start += amount
    return found


# Steps: what a record took and made, and so which part of the step's footprint each lot has.
#
# Scrap and loss have no part: what was used for them goes to what is good. What is left over of the material has its
# part of the material by quantity, and nothing of the operation. By-products in a third unit have no part.

_NONE = Part(0, 0, 1)


@dataclass(frozen=True, slots=True)
class Taken:
    """A quantity of a lot that goes into a step."""

    lot: bytes
    quantity: int
    component: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """A transformation, as its record has it."""

    taken: tuple[Taken, ...] = ()
    made: tuple[tuple[bytes, int], ...] = ()
    """Lots in the output unit, with their quantities, in the record's order."""
    left: tuple[tuple[bytes, int], ...] = ()
    """Lots of left-over material, in the input unit where the output unit is another."""
    loss: int = 0
    """In the input unit."""

    @property
    def good(self) -> int:
        """Quantity of what was made."""
        return sum(quantity for _, quantity in self.made)


def expected_part(step: Step, lot: bytes) -> Part:
    """A lot's part of a step: by quantity among what was made, nothing for a by-product; all of what was kept of the
    material, for left-over material."""
    if any(name == lot for name, _ in step.left):
        return ALL
    return _among(step.made, lot, step.good)


def expected_kept(step: Step, lot: bytes) -> Part:
    """Which part of the material a lot and its likes have. Raises FootprintError if more is left than was taken."""
    rest = sum(one.quantity for one in step.taken if not one.component) - step.loss
    left = sum(quantity for _, quantity in step.left)
    if not left:
        return ALL
    if any(name == lot for name, _ in step.left):
        return _among(step.left, lot, rest)
    return Part(left, rest, rest)


def _among(lots: Iterable[tuple[bytes, int]], lot: bytes, of: int) -> Part:
    start = 0
    for name, quantity in lots:
        if name == lot:
            return Part(start, start + quantity, of)
        start += quantity
    return _NONE


def use_factors(table: FactorTable, own: Iterable[Own], other: Iterable[Other]) -> dict[str, object]:
    """The members `table` and `used` of a footprint. Raises FactorError for a key that the table lacks."""
    keys = {key for one in own for key in (one.location, one.market)} | {one.factor for one in other}
    return {"table": table.digest, "used": tuple(table.get(key) for key in sorted(keys))}


def build_footprint(
    step: Step,
    lot: bytes,
    *,
    sources: Mapping[bytes, tuple[Amounts, Part]],
    own: Sequence[Own] = (),
    other: Sequence[Other] = (),
    table: FactorTable,
    time_s: int,
    estimated: Collection[bytes] = (),
    part: Part | None = None,
) -> Footprint:
    """The footprint of a lot that a step made.

    `sources`: of each lot that was taken, its amounts and the part that was taken of it. Those in `estimated` have no
    footprint, and are among `other` by a secondary factor. `part`: of a lot that was reworked and keeps its name, all.
    Raises FootprintError for a lot that has neither, and FactorError.
    """
    left_over = any(name == lot for name, _ in step.left)
    shares = []
    for taken in step.taken:
        if taken.lot in sources and not (left_over and taken.component):
            amounts, used = sources[taken.lot]
            shares.append(Share(taken.lot, used, amounts, taken.component))
        elif taken.lot not in sources and taken.lot not in estimated:
            raise FootprintError(
                f"the lot 0x{taken.lot.hex()} has no footprint", hint="state a secondary factor for what is taken of it"
            )
    own, other = ((), ()) if left_over else (tuple(own), tuple(other))
    chosen = use_factors(table, own, other)
    return Footprint(
        time_s=time_s,
        own=own,
        shares=tuple(shares),
        other=other,
        kept=expected_kept(step, lot),
        part=expected_part(step, lot) if part is None else part,
        **chosen,  # type: ignore[arg-type]  # table and used
    )
