"""Inspection certificates 3.1 of EN 10204, built from a certificate of the ledger and its claims.

A 3.1 certificate is validated by the manufacturer's authorised inspection representative, who is independent of the
manufacturing department (EN 10204:2004 section 4.1): a person with name and title, not the key that signs for the
inspector. The document names both. Received documents are stored as they came, together with the hash of their
canonical form, by which claims refer to them.
"""

from __future__ import annotations

import base64
import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from millmark.ledger.canonical import Json, canonical_json
from millmark.ledger.records import Verdict
from millmark.services.interop.credentials.certificate import CertificateFacts
from millmark.services.interop.errors import CertificateDocumentError

if TYPE_CHECKING:
    import jsonschema_rs


# JSON Schema for EN 10168 inspection documents, version 0.5.0, written for this project.
#
# Source: EN 10168:2004, tables of fields A to D and Z; facts of the schema at
# https://schemas.materialidentity.org/en10168-schemas/v0.5.0/schema.json (CC BY 4.0, S1Seven GmbH). Formats are
# asserted. The content of embedded pictures and attachments is not checked.

SCHEMA_URL: Final = "https://schemas.materialidentity.org/en10168-schemas/v0.5.0/schema.json"

_Schema: TypeAlias = dict[str, Any]
_TEXT: _Schema = {"type": "string"}
_NUMBER: _Schema = {"type": "number"}
_SIZE: _Schema = {"type": "number", "minimum": 0}
_REF = r"https?://[a-z0-9/.\-]+[.a-z+]/[a-z0-9\-]+/v\d+\.\d+\.\d+(?:-\d+)?/[a-z./\-]+.json"
_MAILBOX = (
    r"^[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
    r"(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$"
)


def _object(fields: Mapping[str, _Schema], *required: str, closed: bool = True) -> _Schema:
    schema: _Schema = {"type": "object", "properties": dict(fields), "required": list(required)}
    return schema | {"additionalProperties": False} if closed else schema


def _text_members(*names: str) -> dict[str, _Schema]:
    return dict.fromkeys(names, _TEXT)


def _list(item: _Schema, **more: Any) -> _Schema:
    return {"type": "array", "items": item, **more}


_NOTE = _object(
    _text_members("Key", "Value", "Unit", "Interpretation", "Method")
    | {
        "Type": {
            "enum": "string number date date-time boolean url qr-code image email phone".split()  # noqa: SIM905 - one list
        }
    },
    "Key",
)
"""A field defined by the manufacturer: name, value and kind."""


def _notes(pattern: str) -> _Schema:
    return {"type": "object", "propertyNames": {"pattern": pattern}, "additionalProperties": _NOTE}


_COMPANY = _object(
    _text_members("Name", "ZipCode", "City")
    | {
        "Country": {**_TEXT, "pattern": "^[A-Z]{2}$"},
        "Street": _list(_TEXT, minItems=1, maxItems=3),
        "Emails": _list(
            {**_TEXT, "format": "email", "pattern": _MAILBOX, "minLength": 3, "maxLength": 254}, minItems=1, maxItems=6
        ),
        "Identifiers": {
            "type": "object",
            "properties": {"CageCode": _TEXT},
            "anyOf": [
                _object({"VAT": {**_TEXT, "minLength": 8, "maxLength": 15}}, "VAT", closed=False),
                _object({"DUNS": {**_TEXT, "minLength": 9, "maxLength": 9}}, "DUNS", closed=False),
            ],
        },
    },
    *("Name", "Country", "Street", "ZipCode", "City"),
)
_MEASURE = _object(_text_members("Property", "Unit") | dict.fromkeys(("Value", "Minimum", "Maximum"), _NUMBER), "Value")


def _share(*operators: str) -> _Schema:
    return _object({"Value": _TEXT, "Operator": {"enum": list(operators)}}, "Value", closed=False)


_ELEMENT = _object(
    {
        "Symbol": _TEXT,
        "Formula": _TEXT,
        "Unit": {"enum": ["%", "ppm"]},
        "Actual": _share("=", "<", "<=", ">", ">="),
        "Minimum": _share(">=", ">"),
        "Maximum": _share("<=", "<"),
    },
    "Symbol",
    "Actual",
)
_DIMENSIONS: Final[Mapping[str, str]] = {
    "Tube": "OuterDiameter WallThickness",
    "RectangularTube": "Width Height WallThickness",
    "QuadraticTube": "SideLength WallThickness",
    "Pipe": "SideLength WallThickness",
    "RectangularPipe": "Width Height WallThickness",
    "Coil": "Width WallThickness",
    "RoundBar": "Diameter",
    "HexagonalBar": "Diameter",
    **dict.fromkeys(("FlatBar", "Sheet", "Slab", "Plate", "Scroll", "Strip"), "Width Thickness"),
}
"""The dimensions that describe each form of product."""
_OPEN: Final = {"RectangularPipe", "Coil"}
"""Forms whose objects may have additional members."""


def _shape(form: str, sizes: str) -> _Schema:
    names = sizes.split()
    fields = {"Form": {"const": form}, "Unit": _TEXT, **dict.fromkeys(names, _SIZE)}
    return _object(fields, "Form", "Unit", *names, closed=form not in _OPEN)


_SHAPE: _Schema = {
    "oneOf": [
        *(_shape(form, sizes) for form, sizes in _DIMENSIONS.items()),
        _object({"Form": {"const": "Other"}, "Description": _TEXT}, "Form", "Description"),
    ]
}
_NAMED_PRODUCT = _text_members("B01", "B03", "B04", "B05", "B06") | {"B07": _list(_TEXT, minItems=1), "B08": _NUMBER}
_NORMS = dict.fromkeys(("ProductNorm", "MaterialNorm", "MassNorm", "SteelDesignation"), _list(_TEXT))
_PRODUCT: _Schema = {
    "type": "object",
    "required": ["B01", "B02"],
    "if": {"properties": {"B02": _TEXT}},
    "then": _object({**_NAMED_PRODUCT, "B02": _TEXT}),
    "else": _object(
        {
            **_NAMED_PRODUCT,
            **dict.fromkeys(("B10", "B11", "B12", "B13"), _MEASURE),
            "B02": _object(_NORMS),
            "B09": _SHAPE,
            "SupplementaryInformation": _notes("^B1[4-9]|^B[2-9][0-9]"),
        },
        "B09",
    ),
}
_TRANSACTION: _Schema = {
    **_object(
        {
            **_text_members("A02", "A03", "A04", "A05", "A07", "A08", "A09", "A96", "A97", "A98", "A99"),
            "A01": _COMPANY,
            "SupplementaryInformation": _notes("^A1[0-9]|^A[2-8][0-9]|^A[2-9][0-5]"),
        },
        *("A01", "A02", "A03", "A04", "A05", "A07"),
        closed=False,
    ),
    "oneOf": [
        _object({"A06": _COMPANY}, "A06", closed=False),
        _object(dict.fromkeys(("A06.1", "A06.2", "A06.3", "A06.4"), _COMPANY), "A06.1", closed=False),
    ],
}
_CHEMISTRY = _object(
    {
        "C70": _TEXT,
        **{f"C{number}": _ELEMENT for number in range(71, 116)},
        "SupplementaryInformation": _notes("^C11[6-9]|^C120"),
    }
)
_INSPECTION = _object(
    {
        **_text_members("C00", "C01", "C02", "C03"),
        "SupplementaryInformation": _notes("^C0[4-9]"),
        "TensileTest": _object(
            {"C10": _TEXT, **dict.fromkeys(("C11", "C12", "C13"), _MEASURE)}
            | {"SupplementaryInformation": _notes("^C1[4-9]|^C2[0-9]")}
        ),
        "HardnessTest": _object(
            {"C30": _TEXT, "C31": _list(_MEASURE), "C32": _MEASURE, "SupplementaryInformation": _notes("^C3[3-9]")}
        ),
        "NotchedBarImpactTest": _object(
            {"C40": _TEXT, "C41": _MEASURE, "C42": _list(_MEASURE), "C43": _MEASURE}
            | {"SupplementaryInformation": _notes("^C4[4-9]")}
        ),
        "OtherMechanicalTests": _notes("^C[5-6][0-9]"),
        "ChemicalComposition": _CHEMISTRY,
    }
)
_TESTS = _object(
    {
        "D01": _TEXT,
        "NonDestructiveTests": _notes("^D[0][2-9]|^D[1-4]D[0-9]|^D50"),
        "OtherProductTests": _notes("^D[5][1-9]|^D[6-9][0-9]"),
    }
)
_VALIDATION = _object(
    {
        "Z01": _TEXT,
        "Z02": {**_TEXT, "format": "date"},
        "Z03": _object(_text_members("Name", "Title", "StampImage"), "Name", "Title", closed=False),
        "Z04": _object(
            _text_members("CE_Image", "NotifiedBodyNumber", "DoCYear", "DoCNumber"),
            *("CE_Image", "NotifiedBodyNumber", "DoCYear", "DoCNumber"),
            closed=False,
        ),
        "SupplementaryInformation": _notes("^Z0[5-9]|^Z[1-9][0-9]"),
    },
    *("Z01", "Z02"),
    closed=False,
)
_ATTACHMENT = _object(
    {
        **_text_members("FileName", "MIME-Type", "Encoding", "Data"),
        "Hash": _object(
            {"Algorithm": {"enum": ["SHA256", "SHA3-256"]}, "Encoding": {"enum": ["base64", "hex"]}, "Value": _TEXT},
            *("Algorithm", "Encoding", "Value"),
            closed=False,
        ),
    },
    *("Hash", "FileName", "MIME-Type", "Encoding", "Data"),
)
_LANGUAGES = _list({"enum": ["EN", "DE", "FR", "ES", "PL", "CN", "TR", "IT"]}, minItems=1, maxItems=2, uniqueItems=True)


def document_schema() -> _Schema:
    """The schema of a complete document."""
    certificate = _object(
        {
            "CertificateLanguages": _LANGUAGES,
            "CommercialTransaction": _TRANSACTION,
            "ProductDescription": _PRODUCT,
            "Inspection": {"if": {"type": "array"}, "then": _list(_INSPECTION, minItems=1), "else": _INSPECTION},
            "OtherTests": _TESTS,
            "Validation": _VALIDATION,
            "Attachments": _list(_ATTACHMENT),
        },
        *("CertificateLanguages", "CommercialTransaction", "ProductDescription", "Validation"),
    )
    whole = _object(
        {"RefSchemaUrl": {**_TEXT, "pattern": _REF}, "Certificate": certificate}, "RefSchemaUrl", "Certificate"
    )
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **whole}


@cache
def _validator() -> jsonschema_rs.Draft202012Validator:
    import jsonschema_rs  # noqa: PLC0415 - several megabytes, which most gateways at rest do not need

    return jsonschema_rs.Draft202012Validator(document_schema(), validate_formats=True)


def check_document(document: Json) -> None:
    """Checks a document against the schema. Raises CertificateDocumentError for the first field that violates it."""
    for error in _validator().iter_errors(document):
        pointer = "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in error.instance_path)
        raise CertificateDocumentError(error.message[:200], pointer=pointer)


_PNG = b"\x89PNG\r\n\x1a\n"
_FIELDS: Final = frozenset({"ProductDescription", "Inspection", "OtherTests"})
_TYPE: Final = "Inspection certificate 3.1 according to EN 10204:2004"


@dataclass(frozen=True, slots=True)
class Company:
    """The manufacturer of the product, or the receiver of the certificate."""

    name: str
    street: str
    zip_code: str
    city: str
    country: str
    """ISO 3166-1 alpha-2 code."""
    vat: str
    """VAT number, 8 to 15 characters."""

    def to_json(self) -> dict[str, Json]:
        return {
            "Name": self.name,
            "Street": [self.street],
            "ZipCode": self.zip_code,
            "City": self.city,
            "Country": self.country,
            "Identifiers": {"VAT": self.vat},
        }


@dataclass(frozen=True, slots=True)
class Representative:
    """The person who validates the certificate."""

    name: str
    title: str


def build_document(
    facts: CertificateFacts,
    claims: Mapping[str, Json],
    *,
    manufacturer: Company,
    receiver: Company,
    representative: Representative,
    order_number: str,
    logo_png: bytes,
) -> bytes:
    """A 3.1 certificate in canonical JSON that conforms to the schema.

    `claims` contains the fields that the ledger does not know, in the form of the schema: `ProductDescription`, and
    optionally `Inspection` and `OtherTests`. Fields Z05 to Z08 of the validation name the ledger's certificate. Raises
    CertificateDocumentError for a field that violates the schema, and for any verdict other than a pass, because the
    document declares compliance."""
    if facts.verdict is not Verdict.PASS:
        raise CertificateDocumentError(
            "the verdict is not a pass, but a 3.1 certificate declares compliance", hint="name a passing certificate"
        )
    if not logo_png.startswith(_PNG):
        raise CertificateDocumentError("the logo is not a PNG image", pointer="/Certificate/CommercialTransaction/A04")
    if unknown := claims.keys() - _FIELDS:
        raise CertificateDocumentError(
            f"the document has no field {sorted(unknown)[0][:80]!a}", hint=f"use {', '.join(sorted(_FIELDS))}"
        )
    document: dict[str, Json] = {
        "RefSchemaUrl": SCHEMA_URL,
        "Certificate": {
            "CertificateLanguages": ["EN"],
            "CommercialTransaction": {
                "A01": manufacturer.to_json(),
                "A02": _TYPE,
                "A03": f"{facts.chain_id}-{facts.sequence}",
                "A04": "data:image/png;base64," + base64.b64encode(logo_png).decode(),
                "A05": f"{representative.title}, {manufacturer.name}",
                "A06": receiver.to_json(),
                "A07": order_number,
            },
            **claims,
            "Validation": _validation(facts, representative),
        },
    }
    check_document(document)
    return canonical_json(document)


def build_from_claims(facts: CertificateFacts, claims: Mapping[str, Json]) -> bytes:
    """Builds the document from one member of a certificate's claims.

    The member holds the fields of the document, and `manufacturer`, `receiver`, `representative`, `order_number` and
    `logo_png` (base64). Raises CertificateDocumentError as `build_document` does, and if one of these is missing."""
    # Unknown and missing members of the companies raise TypeError here, and are reported like other faults.
    try:
        return build_document(
            facts,
            {name: claims[name] for name in _FIELDS if name in claims},
            manufacturer=Company(**_texts(claims["manufacturer"])),
            receiver=Company(**_texts(claims["receiver"])),
            representative=Representative(**_texts(claims["representative"])),
            order_number=str(claims["order_number"]),
            logo_png=base64.b64decode(str(claims["logo_png"]), validate=True),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CertificateDocumentError(f"a required claim is missing or malformed: {error}") from None


def _texts(value: Json) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        raise TypeError("names and addresses must be strings")
    return {name: str(one) for name, one in value.items()}


def _validation(facts: CertificateFacts, representative: Representative) -> dict[str, Json]:
    # Fields from Z05 on are free in the standard. They tie the document to the ledger, which prevails over it.
    day = datetime.datetime.fromtimestamp(facts.issued_at, datetime.UTC).date()
    ledger = f"urn:millmark:certificate:{facts.chain_id}:0x{facts.ledger.hex()}:{facts.sequence}"
    return {
        "Z01": "The products supplied are in compliance with the requirements of the order.",
        "Z02": day.isoformat(),
        "Z03": {"Name": representative.name, "Title": representative.title},
        "SupplementaryInformation": {
            "Z05": {"Key": "Ledger certificate", "Value": ledger, "Type": "string"},
            "Z06": {"Key": "Lot", "Value": facts.identifier, "Type": "string"},
            "Z07": {"Key": "Verdict", "Value": facts.verdict.name.lower(), "Type": "string"},
            "Z08": {"Key": "Inference digest", "Value": "0x" + facts.inference_digest.hex(), "Type": "string"},
        },
    }
