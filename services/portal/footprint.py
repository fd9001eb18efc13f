"""Energy and carbon of a part, as disclosed by its documents. PASSPORT.md specifies the fields."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from ledger.canonical import Json
from ledger.provenance import Fact, Passport
from ledger.provenance.answers import Party, Trace

__all__ = ["Footprint", "FootprintRow", "build_footprint", "is_footprint"]

_ENERGY, _CARBON = ("passport", "energy"), ("passport", "emissionsScorecard")
_KWH = {
    "KWH": Decimal(1),
    "WHR": Decimal("0.001"),
    "MJ": Decimal(1) / Decimal("3.6"),
    "3B": Decimal(1) / Decimal("3.6"),
}
"""Kilowatt-hours per unit of energy, by UN/ECE Recommendation 20 code."""
_MOST_DIGITS = 18


@dataclass(frozen=True, slots=True)
class FootprintRow:
    """The disclosed values of one lot."""

    identifier: str | None
    subject: bytes
    maker: Party | None
    energy_kwh: Decimal | None
    carbon_kg: Decimal | None
    scope: str | None
    """`operationalScope` in UNTP."""


@dataclass(frozen=True, slots=True)
class Footprint:
    rows: tuple[FootprintRow, ...]
    """The part first, then the lots it came from."""
    energy_kwh: Decimal | None
    carbon_kg: Decimal | None
    """Sums; None if a row covers more than this part, or if a carbon value covers more than its own production step."""


def is_footprint(fact: Fact) -> bool:
    return fact.thing == "lot" and fact.path[:2] in (_ENERGY, _CARBON)


def build_footprint(passport: Passport) -> Footprint | None:
    """Reads the disclosed energy and carbon values of the lots in a passport. None if nothing is disclosed."""
    trace = passport.trace
    by_lot: dict[bytes, dict[tuple[str | int, ...], Json]] = {}
    for fact in passport.facts:
        if is_footprint(fact):
            by_lot.setdefault(fact.subject, {})[fact.path[1:]] = fact.value
    makers = {made.lot: step.participant for step in trace.transformations for made in step.outputs}
    names = {trace.lot.subject: trace.lot.identifier, **{lot.subject: lot.identifier for lot in trace.upstream}}
    rows = [_row(lot, name, makers.get(lot), by_lot[lot]) for lot, name in names.items() if lot in by_lot]
    if not any(row.energy_kwh is not None or row.carbon_kg is not None for row in rows):
        return None
    # A document about a lot of several pieces covers parts of others too: such values must not be added up.
    whole = {row.subject for row in rows} <= _made_singly(trace)
    return Footprint(
        tuple(rows),
        _sum(row.energy_kwh for row in rows) if whole else None,
        _sum(row.carbon_kg for row in rows) if whole and all(row.scope == "GateToGate" for row in rows) else None,
    )


def _row(
    lot: bytes, identifier: str | None, maker: Party | None, fields: dict[tuple[str | int, ...], Json]
) -> FootprintRow:
    value, unit = _number(fields.get(("energy", "value"))), fields.get(("energy", "uom"))
    scope = fields.get(("emissionsScorecard", "operationalScope"))
    return FootprintRow(
        identifier=identifier,
        subject=lot,
        maker=maker,
        energy_kwh=value * _KWH[unit] if value is not None and isinstance(unit, str) and unit in _KWH else None,
        carbon_kg=_number(fields.get(("emissionsScorecard", "carbonFootprint"))),
        scope=scope if isinstance(scope, str) else None,
    )


def _number(value: Json | None) -> Decimal | None:
    """A finite number, also if written as text; None for everything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)) or len(str(value)) > _MOST_DIGITS:
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _made_singly(trace: Trace) -> set[bytes]:
    """Lots that were the only piece made in their step, so that their documents cover this part alone."""
    return {step.outputs[0].lot for step in trace.transformations if [made.quantity for made in step.outputs] == [1]}


def _sum(values: Iterable[Decimal | None]) -> Decimal | None:
    found = [value for value in values if value is not None]
    return sum(found, Decimal(0)) if found else None
