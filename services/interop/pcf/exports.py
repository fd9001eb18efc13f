"""A footprint as partners' systems read it: Catena-X Pcf 9.0.0 and PACT Data Exchange 3.0.3."""

from __future__ import annotations

from decimal import Decimal

from millmark.ledger.canonical import Json
from millmark.ledger.errors import InputError
from millmark.ledger.provenance.footprints import LotFootprint
from millmark.services.interop.pcf.about import About, Times, emitted_mg, id_of, kilograms, share, unit

_RULES = (
    "operations by register readings of their machines; material and what was left of it by quantity; loss and scrap "
    "to the good parts"
)


def build_catena_x(footprint: LotFootprint, about: About) -> dict[str, Json]:
    """The aspect of a lot, for all of it. Raises InputError for a unit that the model lacks."""
    return {
        "scopeOfPcfForm": [
            {"specVersion": "urn:io.catenax.pcf:datamodel:version:9.0.0", "partialFullPcf": "Cradle-to-gate"}
        ],
        "companyAndProductInformation": [_product(footprint, about)],
        "pcfAssessmentAndMethodology": [
            {
                "dataSourcesAndQuality": [_sources(footprint)],
                "pcfAssessmentInformation": [_assessment(footprint, about)],
                "pcfMethodology": [_method(about)],
            }
        ],
        "general": [{"comment": comment_on(footprint, about)}],
        "carbonContent": [_carbon(about)],
        "productLifeCycleStagesAndEmissions": [_stages(footprint, about)],
    }


def comment_on(footprint: LotFootprint, about: About) -> str:
    """What the figures are, and where the proof of them is."""
    other = {"location": footprint.market_mg, "market": footprint.location_mg}[about.basis.value]
    kind = {"location": "market", "market": "location"}[about.basis.value]
    return (
        f"Lot 0x{footprint.lot.hex()}, record {footprint.record}: {footprint.wh} Wh. Electricity is counted "
        f"{about.basis.value}-based; {kind}-based the figure is {_text(kilograms(other))} kg CO2e. Factor table "
        f"SHA-256 0x{footprint.table.hex()}. A Millmark bundle of the lot proves the figures from register readings."
    )


def _product(footprint: LotFootprint, about: About) -> Json:
    name, amount = unit(footprint)
    return {
        "companyInformation": [{"companyName": about.company, "companyIds": list(about.company_ids)}],
        "productInformation": [
            {
                "productNameCompany": about.product,
                "productIds": list(about.product_ids),
                "declaredUnitOfMeasurement": name,
                "declaredUnitAmount": _number(amount),
                "productMassPerDeclaredUnit": _number(Decimal(about.mass_g).scaleb(-3)),
                "productDescription": about.description,
            }
        ],
    }


def _sources(footprint: LotFootprint) -> Json:
    found: dict[str, Json] = {"primaryDataShare": _number(share(footprint))}
    sources = sorted({one.source for one in footprint.factors})
    if sources:
        found["secondaryEmissionFactorSources"] = list(sources)
    return found


def _assessment(footprint: LotFootprint, about: About) -> Json:
    times = Times.of(footprint)
    place: dict[str, Json] = {"geographyRegionOrSubregion": about.region}
    if about.country is not None:
        place["geographyCountry"] = about.country
    return {
        "technology": [{"ccsTechnologicalCO2CaptureIncluded": False, "boundaryProcessesDescription": _RULES}],
        "idAndVersion": [
            {
                "id": id_of(footprint, about),
                "version": 0,
                "status": "Active",
                "retroOrProspectivePcfType": "Retrospective PCF",
            }
        ],
        "boundarySpecifications": [{"exemptedEmissionsPercent": about.exempted_percent}],
        "geography": [place],
        "time": [
            {
                "referencePeriodStart": times.first,
                "referencePeriodEnd": times.last,
                "created": times.last,
                "validityPeriodStart": times.last,
                "validityPeriodEnd": times.valid_until,
            }
        ],
    }


def _method(about: About) -> Json:
    return {
        "massBalancingInformation": [
            {
                "massBalancingUsed": False,
                "freeAttributionInMassBalancing": "not applicable",
                "massBalancingCertificateScheme": "not applicable",
            }
        ],
        "standards": [{"crossSectoralStandards": list(about.standards), "productOrSectorSpecificRules": []}],
        "gwpCharacterizationFactorDetails": [{"ipccCharacterizationFactors": about.ipcc}],
        "allocationInForeground": [
            {
                "allocationWasteIncineration": "polluter pays principle",
                "allocationRulesDescription": _RULES,
                "allocationRecycledCarbon": "cut-off",
            }
        ],
    }


def _carbon(about: About) -> Json:
    if about.fossil_carbon_g is None:
        return {}
    return {"fossilCarbonContent": _number(Decimal(about.fossil_carbon_g).scaleb(-3))}


def _stages(footprint: LotFootprint, about: About) -> Json:
    total = _number(kilograms(emitted_mg(footprint, about)))
    return {
        # Without biogenic uptake stated anywhere, both figures are the same.
        "productionStage": [
            {
                "pcfIncludingBiogenicUptake": total,
                "pcfExcludingBiogenicUptake": total,
                "fossilGhgEmissions": total,
            }
        ],
        "distributionStage": [{"distributionStageIncluded": False}],
        "packagingStage": [{"packagingEmissionsIncluded": False}],
    }


def _number(value: Decimal) -> int | float:
    """A JSON number: the model has numbers, where PACT has decimals as text."""
    return int(value) if value == value.to_integral_value() else float(value)


def _text(value: Decimal) -> str:
    return format(value, "f")


# Exports a footprint as a ProductFootprint of PACT Data Exchange 3.0.3. Decimals are text, with all their digits.

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
