"""Exports a footprint as a ProductFootprint of PACT Data Exchange 3.0.3. Decimals are text, with all their digits."""

from __future__ import annotations

from decimal import Decimal

from millmark.ledger.canonical import Json
from millmark.ledger.errors import InputError
from millmark.ledger.provenance.footprints import LotFootprint
from millmark.services.interop.pcf.about import About, Times, emitted_mg, id_of, kilograms, share, unit
from millmark.services.interop.pcf.catena_x import comment_on

_VERSION = "3.0.3"


def build_pact(footprint: LotFootprint, about: About) -> dict[str, Json]:
    """The footprint of a lot, for all of it. Raises InputError for a unit that the model lacks, or without the fossil
    carbon that it asks for."""
    times = Times.of(footprint)
    return {
        "id": id_of(footprint, about),
        "specVersion": _VERSION,
        "created": times.last,
        "status": "Active",
        "validityPeriodStart": times.last,
        "validityPeriodEnd": times.valid_until,
        "companyName": about.company,
        "companyIds": list(about.company_ids),
        "productDescription": about.description,
        "productIds": list(about.product_ids),
        "productNameCompany": about.product,
        "comment": comment_on(footprint, about),
        "pcf": _pcf(footprint, about),
    }


def _pcf(footprint: LotFootprint, about: About) -> dict[str, Json]:
    if about.fossil_carbon_g is None:
        raise InputError("the description of the product has no fossil_carbon_g", hint="PACT 3 asks for it")
    name, amount = unit(footprint)
    times, total = Times.of(footprint), _text(kilograms(emitted_mg(footprint, about)))
    found: dict[str, Json] = {
        "declaredUnitOfMeasurement": name,
        "declaredUnitAmount": _text(amount),
        "productMassPerDeclaredUnit": _text(Decimal(about.mass_g).scaleb(-3)),
        "referencePeriodStart": times.first,
        "referencePeriodEnd": times.last,
        # Without biogenic uptake stated anywhere, both figures are the same.
        "pcfExcludingBiogenicUptake": total,
        "pcfIncludingBiogenicUptake": total,
        "fossilGhgEmissions": total,
        "fossilCarbonContent": _text(Decimal(about.fossil_carbon_g).scaleb(-3)),
        "packagingEmissionsIncluded": False,
        "ipccCharacterizationFactors": [about.ipcc],
        "crossSectoralStandards": list(about.standards),
        "exemptedEmissionsPercent": str(about.exempted_percent),
        "primaryDataShare": _text(share(footprint)),
        **_geography(about),
    }
    sources = sorted({one.source for one in footprint.factors})
    if sources:
        # The edition is part of what our tables call the source.
        found["secondaryEmissionFactorSources"] = [{"name": one, "version": "as named"} for one in sources]
    return found


def _geography(about: About) -> dict[str, Json]:
    """One level at most; without any, the footprint is global."""
    if about.country is not None:
        return {"geographyCountry": about.country}
    return {} if about.region in ("Global", "Several") else {"geographyRegionOrSubregion": about.region}


def _text(value: Decimal) -> str:
    return format(value, "f")
