"""Inspection documents: ours are valid, those of others are kept as they came, broken ones are named."""

from __future__ import annotations

import copy
import dataclasses
import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from millmark.ledger.canonical import Json, canonical_json
from millmark.ledger.records import Verdict
from millmark.services.interop.errors import CertificateDocumentError
from millmark.services.interop.inspection.document import (
    Company,
    Representative,
    build_document,
    check_document,
)
from tests.support.interop import CORPUS, FACTS, broken_copies

MATERIAL_IDENTITY = CORPUS / "en10168" / "material-identity"
COPIES = 200
VALUES: list[Any] = [None, True, 0, -1.5, "", "x", "2020-01-01", "AT", [], {}, ["a"], {"Key": "a"}, {"Value": 1}, "EN"]
NAMES = ["foo", "A06", "A06.1", "B09", "C71", "C99", "D02", "Z05", "SupplementaryInformation", "Value"]
MILL = Company("Mill SE", "Stahlstrasse 1", "4040", "Linz", "AT", "AT123456789")
TRADER = Company("Trader AG", "Handelsgasse 1", "10115", "Berlin", "DE", "DE1223456789")
PERSON = Representative("Ada Example", "Inspection representative")
LOGO = b"\x89PNG\r\n\x1a\n rest"
CLAIMS: dict[str, Any] = {
    "ProductDescription": {
        "B01": "Bracket",
        "B02": {"SteelDesignation": ["S355J2"], "ProductNorm": ["EN 10025-2"]},
        "B09": {"Form": "Plate", "Width": 120, "Thickness": 6.5, "Unit": "mm"},
    },
    "Inspection": {
        "TensileTest": {"C11": {"Property": "ReH", "Value": 377.12, "Unit": "MPa", "Minimum": 355}},
        "ChemicalComposition": {"C71": {"Symbol": "C", "Actual": {"Value": "0.16", "Operator": "<="}, "Unit": "%"}},
    },
}


def _built(claims: dict[str, Any] = CLAIMS, logo_png: bytes = LOGO, **facts: Any) -> dict[str, Any]:
    data = build_document(
        dataclasses.replace(FACTS, **facts),
        claims,
        manufacturer=MILL,
        receiver=TRADER,
        representative=PERSON,
        order_number="4711",
        logo_png=logo_png,
    )
    document: dict[str, Any] = json.loads(data)
    check_document(document)
    assert data == canonical_json(document)
    return document


def _with(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """A copy of the claims with another value, or without one (...)."""
    changed = copy.deepcopy(CLAIMS)
    holder: Any = changed
    for step in path[:-1]:
        holder = holder.setdefault(step, {})
    if value is ...:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return changed


def test_a_document_names_its_certificate_and_its_person() -> None:
    document = _built()
    assert (
        document["Certificate"]["CommercialTransaction"]["A02"]
        == "Inspection certificate 3.1 according to EN 10204:2004"
    )
    validation = document["Certificate"]["Validation"]
    assert validation["Z02"] == "2026-01-01"
    assert validation["Z03"] == {"Name": "Ada Example", "Title": "Inspection representative"}
    notes = validation["SupplementaryInformation"]
    assert notes["Z05"]["Value"] == f"urn:millmark:certificate:31337:0x{'11' * 20}:131077"
    assert notes["Z08"]["Value"] == "0x" + "33" * 32


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.NONE])
def test_what_did_not_pass_is_not_declared_compliant(verdict: Verdict) -> None:
    with pytest.raises(CertificateDocumentError, match="not a pass"):
        _built(verdict=verdict)


@pytest.mark.parametrize(
    ("path", "value", "pointer"),
    [
        (("ProductDescription", "B01"), ..., "/ProductDescription"),
        (("ProductDescription", "B09"), ..., "/ProductDescription"),
        (("ProductDescription", "B09", "Width"), -1, "/ProductDescription/B09"),
        (("ProductDescription", "B09", "Form"), "Sphere", "/ProductDescription/B09"),
        (("ProductDescription", "B99"), "x", "/ProductDescription"),
        (("ProductDescription", "B02"), "S355", "/ProductDescription"),
        (("Inspection", "TensileTest", "C11", "Value"), "377", "/Inspection/TensileTest/C11/Value"),
        (("Inspection", "TensileTest", "C99"), {}, "/Inspection/TensileTest"),
        (
            ("Inspection", "ChemicalComposition", "C71", "Actual"),
            "0.16",
            "/Inspection/ChemicalComposition/C71/Actual",
        ),
        (
            ("Inspection", "ChemicalComposition", "C71", "Unit"),
            "g",
            "/Inspection/ChemicalComposition/C71/Unit",
        ),
        (
            ("Inspection", "ChemicalComposition", "SupplementaryInformation"),
            {"C71": {"Key": "a"}},
            "/Inspection/ChemicalComposition/SupplementaryInformation",
        ),
        (("OtherTests", "D02"), {"Key": "a"}, "/OtherTests"),
        (("OtherTests", "OtherProductTests"), {"D51": {"Value": "a"}}, "/OtherTests/OtherProductTests/D51"),
    ],
)
def test_a_field_that_breaks_the_schema_is_named(path: tuple[Any, ...], value: Any, pointer: str) -> None:
    with pytest.raises(CertificateDocumentError) as refused:
        _built(_with(path, value))
    assert refused.value.pointer == f"/Certificate{pointer}"


def test_claims_that_have_no_place_are_refused() -> None:
    with pytest.raises(CertificateDocumentError, match="'Price'"):
        _built({**CLAIMS, "Price": 5})
    with pytest.raises(CertificateDocumentError, match="not a PNG"):
        _built(logo_png=b"GIF89a")


@pytest.mark.parametrize("document", [[], {}, None, {"RefSchemaUrl": "x", "Certificate": {}}], ids=str)
def test_what_is_no_document_is_refused(document: Json) -> None:
    with pytest.raises(CertificateDocumentError):
        check_document(document)


# The published certificates and their schema.


def _published() -> list[Path]:
    return sorted((MATERIAL_IDENTITY / "test" / "fixtures" / "EN10168" / "v0.5.0").glob("valid_*.json"))


@cache
def _judge() -> Any:
    path = MATERIAL_IDENTITY / "schemas" / "EN10168" / "v0.5.0" / "schema.json"
    return jsonschema_rs.validator_for(json.loads(path.read_text(encoding="utf-8")), validate_formats=True)


@pytest.mark.parametrize("path", _published(), ids=lambda path: path.stem)
def test_published_certificates_are_valid(path: Path) -> None:
    check_document(json.loads(path.read_bytes()))


@pytest.mark.parametrize("path", _published()[:1], ids=lambda path: path.stem)
def test_our_documents_are_valid_by_the_published_schema(path: Path) -> None:
    assert path.exists()
    assert _judge().is_valid(_built())


@pytest.mark.parametrize("path", _published(), ids=lambda path: path.stem)
def test_broken_copies_are_judged_as_by_the_published_schema(path: Path) -> None:
    for document in broken_copies(path, COPIES, VALUES, NAMES):
        if _judge().is_valid(document):
            check_document(document)
        else:
            with pytest.raises(CertificateDocumentError):
                check_document(document)
