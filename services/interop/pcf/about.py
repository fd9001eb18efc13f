"""What an exported footprint says beside its figures: company, product and method, as its company states them.

Nothing is assumed: what a standard asks for and nobody stated is refused, and named.
"""

from __future__ import annotations

import enum
import re
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import cast

from millmark.ledger.canonical import Json, parse_json
from millmark.ledger.errors import InputError
from millmark.ledger.provenance.footprints import LotFootprint

MAX_ABOUT_BYTES = 1 << 16
_URN = re.compile("[uU][rR][nN]:[!-~]{1,200}")
_COUNTRY = re.compile("[A-Z]{2}")
_IPCC = ("AR4", "AR5", "AR6")
_REGIONS = (
    "Africa", "Americas", "Asia", "Europe", "Oceania", "Australia and New Zealand", "Central Asia", "Eastern Asia",
    "Eastern Europe", "Latin America and the Caribbean", "Melanesia", "Micronesia", "Northern Africa",
    "Northern America", "Northern Europe", "Polynesia", "South-eastern Asia", "Southern Asia", "Southern Europe",
    "Sub-Saharan Africa", "Western Asia", "Western Europe", "Global", "Several",
)  # fmt: skip
"""UN M49, as both standards list them, and two words of Catena-X."""
_UNITS: Mapping[str, tuple[str, Decimal]] = {
    "H87": ("piece", Decimal(1)),
    "C62": ("piece", Decimal(1)),
    "KGM": ("kilogram", Decimal(1)),
    "GRM": ("kilogram", Decimal("0.001")),
    "TNE": ("kilogram", Decimal(1000)),
    "LTR": ("liter", Decimal(1)),
    "MLT": ("liter", Decimal("0.001")),
    "MTQ": ("cubic meter", Decimal(1)),
    "MTK": ("square meter", Decimal(1)),
    "KWH": ("kilowatt hour", Decimal(1)),
    "HUR": ("hour", Decimal(1)),
}
"""Units of UN/ECE Recommendation 20 in the words of both standards."""
_VALID_DAYS = 365


class Basis(enum.Enum):
    """By which factors electricity counts in the exported figure."""

    LOCATION = "location"
    MARKET = "market"


@dataclass(frozen=True, slots=True)
class About:
    company: str
    company_ids: tuple[str, ...]
    """URNs, such as urn:BPNL... for Catena-X."""
    product: str
    product_ids: tuple[str, ...]
    """URNs."""
    description: str
    mass_g: int
    """Mass of the whole lot as it was made, without packaging."""
    region: str
    country: str | None
    """ISO 3166-1, two letters."""
    ipcc: str
    """Assessment report whose global warming potentials the factors are made with."""
    standards: tuple[str, ...]
    exempted_percent: int
    """Emissions that are left out, in per cent, 0 to 10."""
    basis: Basis
    fossil_carbon_g: int | None = None
    """Carbon of fossil origin in the lot; PACT asks for it."""


_NEEDED = {
    "company", "company_ids", "product", "product_ids", "description", "mass_g", "region", "ipcc", "standards",
    "exempted_percent", "basis",
}  # fmt: skip
_OPTIONAL = {"country", "fossil_carbon_g"}


def parse_about(data: bytes) -> About:
    """Read a description (UTF-8 JSON, with the members of `About`). Raises InputError, naming the member."""
    found = parse_json(data, max_bytes=MAX_ABOUT_BYTES, max_depth=4)
    if not isinstance(found, dict):
        raise InputError("the description of the product is not a JSON object")
    for name in sorted(_NEEDED - found.keys()):
        raise InputError(f"the description of the product has no {name}", hint="see services/interop/pcf/PCF.md")
    for name in sorted(found.keys() - _NEEDED - _OPTIONAL):
        raise InputError(f"the description of the product has the unknown member {name[:40]!a}")
    carbon = found.get("fossil_carbon_g")
    return About(
        company=_text(found, "company"),
        company_ids=_urns(found, "company_ids"),
        product=_text(found, "product"),
        product_ids=_urns(found, "product_ids"),
        description=_text(found, "description"),
        mass_g=_whole(found, "mass_g"),
        region=_one_of(found, "region", _REGIONS),
        country=_country(found.get("country")),
        ipcc=_one_of(found, "ipcc", _IPCC),
        standards=_texts(found, "standards"),
        exempted_percent=_whole(found, "exempted_percent", 10),
        basis=Basis(_one_of(found, "basis", [one.value for one in Basis])),
        fossil_carbon_g=None if carbon is None else _whole(found, "fossil_carbon_g"),
    )


def _text(found: Mapping[str, Json], name: str) -> str:
    value = found[name]
    if not isinstance(value, str) or not 0 < len(value) <= 1000:
        raise InputError(f"{name} is not text of 1 to 1000 characters")
    return value


def _texts(found: Mapping[str, Json], name: str) -> tuple[str, ...]:
    value = found[name]
    texts = value if isinstance(value, list) else []
    if not texts or not all(isinstance(one, str) and 0 < len(one) <= 200 for one in texts) or len(texts) > 50:
        raise InputError(f"{name} is not an array of 1 to 50 texts")
    if len(set(cast("list[str]", texts))) < len(texts):
        raise InputError(f"{name} has a text twice")
    return tuple(cast("list[str]", texts))


def _urns(found: Mapping[str, Json], name: str) -> tuple[str, ...]:
    texts = _texts(found, name)
    for one in texts:
        if not _URN.fullmatch(one):
            raise InputError(f"{one[:80]!a} in {name} is not a URN", hint="write urn:gtin:..., urn:BPNL... or the like")
    return texts


def _whole(found: Mapping[str, Json], name: str, most: int = 10**15) -> int:
    value = found[name]
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise InputError(f"{name} is not a whole number from 0 to {most}")
    return value


def _one_of(found: Mapping[str, Json], name: str, allowed: Collection[str]) -> str:
    value = found[name]
    if not isinstance(value, str) or value not in allowed:
        raise InputError(f"{name} is {str(value)[:40]!a}", hint=f"one of {', '.join(allowed)}")
    return value


def _country(value: Json) -> str | None:
    if value is not None and not (isinstance(value, str) and _COUNTRY.fullmatch(value)):
        raise InputError("country is not two capital letters of ISO 3166-1")
    return value


def kilograms(mg: int) -> Decimal:
    return Decimal(mg).scaleb(-6).normalize() if mg else Decimal(0)


def emitted_mg(footprint: LotFootprint, about: About) -> int:
    """The figure that is exported, for the whole lot."""
    return footprint.location_mg if about.basis is Basis.LOCATION else footprint.market_mg


def share(footprint: LotFootprint) -> Decimal:
    """Primary data share: how much of the location-based emissions is of metered operations, in per cent, rounded down
    to two digits."""
    found = footprint.metered_mg * 10_000 // footprint.location_mg if footprint.location_mg else 0
    return Decimal(found).scaleb(-2)


def unit(footprint: LotFootprint) -> tuple[str, Decimal]:
    """Unit and amount that the figures are for. Raises InputError for a unit that the standards lack."""
    found = _UNITS.get(footprint.unit)
    if found is None:
        raise InputError(
            f"the lot is measured in {footprint.unit[:10]!a}, which no declared unit stands for",
            hint=f"the standards have {', '.join(sorted({one for one, _ in _UNITS.values()}))}",
        )
    return found[0], found[1] * footprint.quantity


def id_of(footprint: LotFootprint, about: About) -> str:
    """The same for the same lot, record and basis, so that the same footprint has one id wherever it is exported."""
    name = f"millmark.footprint.v1:{footprint.lot.hex()}:{footprint.record}:{about.basis.value}"
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


@dataclass(frozen=True, slots=True)
class Times:
    """RFC 3339, UTC."""

    first: str
    """Time of the earliest footprint that went in."""
    last: str
    valid_until: str

    @classmethod
    def of(cls, footprint: LotFootprint) -> Times:
        first, last = (datetime.fromtimestamp(one, UTC) for one in (footprint.first_time, footprint.time))
        return cls(_time(first), _time(last), _time(last + timedelta(days=_VALID_DAYS)))


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}Z"
