"""What a footprint consists of, in the end: operations, material, transport, and what is only stated."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

from millmark.ledger.footprint.amounts import NOTHING, Amounts, Part
from millmark.ledger.footprint.document import Footprint
from millmark.ledger.footprint.factors import FactorKind

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

    `known`: the footprints of each lot, oldest first; it has several if it was reworked.
    """
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
        kept = _scale(material, _sum(material).share(footprint.kept))
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


def _sum(rows: Iterable[Contribution]) -> Amounts:
    found = NOTHING
    for one in rows:
        found += one.amounts
    return found
