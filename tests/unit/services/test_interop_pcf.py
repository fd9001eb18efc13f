"""Exports of footprints: whatever is valid for us is valid for Catena-X and PACT, and nothing is assumed."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from millmark.ledger.canonical import MAX_SAFE_INTEGER, Json
from millmark.ledger.errors import InputError
from millmark.ledger.provenance.footprints import FactorOf, LotFootprint
from millmark.services.gateway.http.example_values import footprint as example
from millmark.services.interop.pcf import About, Basis, build_catena_x, build_pact, parse_about
from millmark.services.interop.pcf.about import _REGIONS, _UNITS

CORPUS = Path(__file__).parents[4] / "shared" / "corpus"
SCHEMA = CORPUS / "catena-x" / "io.catenax.pcf" / "9.0.0" / "gen" / "Pcf-schema.json"
ABOUT: dict[str, Json] = {
    "company": "Cedar Assembly",
    "company_ids": ["urn:BPNL000000000CED"],
    "product": "crankshaft",
    "product_ids": ["urn:gtin:09506000013459"],
    "description": "with its bearing",
    "mass_g": 4850,
    "region": "Western Europe",
    "country": "DE",
    "ipcc": "AR6",
    "standards": ["ISO14067"],
    "exempted_percent": 0,
    "basis": "location",
    "fossil_carbon_g": 20,
}

amounts = st.integers(0, MAX_SAFE_INTEGER)
texts = st.sampled_from(["x", "Zürich 42CrMo4", "钢", 'a "quote" & <tag>', "\x7f\u2028"])
urns = st.from_regex(r"urn:[a-z]{2,8}:[a-zA-Z0-9]{1,12}", fullmatch=True)
factors = st.builds(
    FactorOf,
    key=st.just("grid"),
    kind=st.just("location"),
    value=amounts,
    unit=st.just("mg/kWh"),
    source=texts,
    region=st.just("DE"),
    first_day=st.just("2026-01-01"),
    last_day=st.just("2026-12-31"),
)


@st.composite
def footprints(draw: st.DrawFn) -> LotFootprint:
    location = draw(amounts)
    time = draw(st.integers(0, 7_258_118_399))
    return replace(
        example(),
        lot=draw(st.binary(min_size=32, max_size=32)),
        record=draw(st.integers(1, 2**40 - 1)),
        quantity=draw(st.integers(1, 2**40 - 1)),
        unit=draw(st.sampled_from(sorted(_UNITS))),
        wh=draw(amounts),
        location_mg=location,
        market_mg=draw(amounts),
        metered_mg=draw(st.integers(0, location)),
        first_time=draw(st.integers(0, time)),
        time=time,
        table=draw(st.binary(min_size=32, max_size=32)),
        factors=tuple(draw(st.lists(factors, max_size=4))),
    )


abouts = st.builds(
    About,
    company=texts,
    company_ids=st.lists(urns, min_size=1, max_size=3, unique=True).map(tuple),
    product=texts,
    product_ids=st.lists(urns, min_size=1, max_size=3, unique=True).map(tuple),
    description=texts,
    mass_g=st.integers(0, 10**15),
    region=st.sampled_from(_REGIONS),
    country=st.none() | st.from_regex("[A-Z]{2}", fullmatch=True),
    ipcc=st.sampled_from(["AR4", "AR5", "AR6"]),
    standards=st.lists(texts, min_size=1, max_size=3, unique=True).map(tuple),
    exempted_percent=st.integers(0, 10),
    basis=st.sampled_from(Basis),
    fossil_carbon_g=st.integers(0, 10**15),
)


@pytest.fixture(scope="module")
def schema() -> jsonschema_rs.Draft4Validator:
    if not SCHEMA.is_file():
        pytest.skip("the Catena-X schema is not on this machine")
    return jsonschema_rs.Draft4Validator(json.loads(SCHEMA.read_text()), validate_formats=True)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(footprint=footprints(), about=abouts)
def test_every_export_is_valid_for_catena_x(
    schema: jsonschema_rs.Draft4Validator, footprint: LotFootprint, about: About
) -> None:
    text = json.dumps(build_catena_x(footprint, about))
    assert not [error.message for error in schema.iter_errors(json.loads(text))]


DECIMAL = re.compile(r"\d+(\.\d+)?")
PACT = {
    "type": "object",
    "required": [
        "id", "specVersion", "created", "status", "companyName", "companyIds", "productDescription", "productIds",
        "productNameCompany", "pcf",
    ],
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "created": {"type": "string", "format": "date-time"},
        "companyIds": {"type": "array", "minItems": 1, "uniqueItems": True, "items": {"pattern": "^[uU][rR][nN]:"}},
        "productIds": {"type": "array", "minItems": 1, "uniqueItems": True, "items": {"pattern": "^[uU][rR][nN]:"}},
    },
}  # fmt: skip
"""What is asked for of what we write, in our words; the specification's own file is compared where it is at hand."""
DECIMALS = (
    "declaredUnitAmount", "productMassPerDeclaredUnit", "pcfExcludingBiogenicUptake", "pcfIncludingBiogenicUptake",
    "fossilGhgEmissions", "fossilCarbonContent", "exemptedEmissionsPercent", "primaryDataShare",
)  # fmt: skip


@settings(max_examples=40)
@given(footprint=footprints(), about=abouts)
def test_every_export_has_the_form_of_pact(footprint: LotFootprint, about: About) -> None:
    found: Any = json.loads(json.dumps(build_pact(footprint, about)))
    jsonschema_rs.Draft202012Validator(PACT, validate_formats=True).validate(found)
    pcf = found["pcf"]
    assert all(DECIMAL.fullmatch(pcf[name]) for name in DECIMALS)
    mg = footprint.location_mg if about.basis is Basis.LOCATION else footprint.market_mg
    assert Decimal(pcf["pcfExcludingBiogenicUptake"]) * 1_000_000 == mg, "no digit is lost"
    assert Decimal(pcf["declaredUnitAmount"]) > 0
    assert sum(name.startswith("geography") for name in pcf) <= 1


def test_both_exports_have_one_id_and_the_same_figure() -> None:
    about = parse_about(json.dumps(ABOUT).encode())
    pact, catena_x = build_pact(example(), about), build_catena_x(example(), about)
    text = json.dumps(catena_x)
    assert f'"id": "{pact["id"]}"' in text
    assert '"pcfExcludingBiogenicUptake": 11.0998' in text
    assert pact["pcf"]["pcfExcludingBiogenicUptake"] == "11.0998"  # type: ignore[index, call-overload]  # an object
    assert pact["pcf"]["primaryDataShare"] == "14.41"  # type: ignore[index, call-overload]  # as above
    market = build_pact(example(), replace(about, basis=Basis.MARKET))
    assert market["id"] != pact["id"]
    assert market["pcf"]["pcfExcludingBiogenicUptake"] == "10.0052"  # type: ignore[index, call-overload]  # as above


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"mass_g": None}, "mass_g is not"),
        ({"mass_g": 4.85}, "mass_g is not"),
        ({"product_ids": ["09506000013459"]}, "not a URN"),
        ({"company_ids": []}, "1 to 50"),
        ({"company_ids": ["urn:a:b", "urn:a:b"]}, "twice"),
        ({"region": "Germany"}, "Western Europe"),
        ({"country": "Germany"}, "ISO 3166"),
        ({"basis": "marginal"}, "location, market"),
        ({"exempted_percent": 11}, "from 0 to 10"),
        ({"colour": "red"}, "unknown member"),
        ({"description": ""}, "description"),
    ],
)
def test_a_description_that_does_not_say_it_is_refused(change: dict[str, Json], says: str) -> None:
    with pytest.raises(InputError, match=says):
        parse_about(json.dumps({**ABOUT, **change}).encode())


def test_what_is_missing_is_named() -> None:
    for name in ABOUT.keys() - {"country", "fossil_carbon_g"}:
        with pytest.raises(InputError, match=f"has no {name}"):
            parse_about(json.dumps({one: value for one, value in ABOUT.items() if one != name}).encode())
    bare = parse_about(json.dumps({name: value for name, value in ABOUT.items() if name != "fossil_carbon_g"}).encode())
    with pytest.raises(InputError, match="fossil_carbon_g"):
        build_pact(example(), bare)
    with pytest.raises(InputError, match="no declared unit"):
        build_pact(replace(example(), unit="SET"), parse_about(json.dumps(ABOUT).encode()))
