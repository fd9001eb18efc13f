"""Inspection certificates 3.1 of EN 10204, built from a certificate of the ledger and its claims.

A 3.1 certificate is validated by the manufacturer's authorised inspection representative, who is independent of the
manufacturing department (EN 10204:2004 section 4.1): a person with name and title, not the key that signs for the
inspector. The document names both. Received documents are stored as they came, together with the hash of their
canonical form, by which claims refer to them.
"""

from __future__ import annotations

import base64
import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from millmark.ledger.canonical import Json, canonical_json, parse_json, sha256
from millmark.ledger.records import Verdict
from millmark.services.interop.credentials.certificate import CertificateFacts
from millmark.services.interop.errors import CertificateDocumentError
from millmark.services.interop.inspection.schema import SCHEMA_URL, check_document

MAX_BYTES: Final = 16 << 20
_MAX_DEPTH: Final = 32
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


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A received document and its digest."""

    original: bytes
    """The bytes as received; the document is passed on in this form."""
    document: Mapping[str, Json]
    digest: bytes
    """SHA-256 of the canonical JSON (RFC 8785), 32 bytes."""


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
    document declares compliance.
    """
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
    `logo_png` (base64). Raises CertificateDocumentError as `build_document` does, and if one of these is missing.
    """
    # Unknown and missing members of the companies raise TypeError here, and are reported like other faults.
    try:
        return build_document(
            facts,
            {name: claims[name] for name in _FIELDS if name in claims},
            manufacturer=_company(claims["manufacturer"]),
            receiver=_company(claims["receiver"]),
            representative=Representative(**_texts(claims["representative"])),
            order_number=str(claims["order_number"]),
            logo_png=base64.b64decode(str(claims["logo_png"]), validate=True),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CertificateDocumentError(f"a required claim is missing or malformed: {error}") from None


def _company(value: Json) -> Company:
    return Company(**_texts(value))


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


def store_document(data: bytes) -> StoredDocument:
    """Parses and validates a received document. Raises CertificateDocumentError, CanonicalError."""
    document = parse_json(data, max_bytes=MAX_BYTES, max_depth=_MAX_DEPTH)
    check_document(document)
    if not isinstance(document, dict):
        raise CertificateDocumentError("the inspection document is not a JSON object")
    return StoredDocument(data, document, sha256(canonical_json(document)))


def is_type_31(document: Mapping[str, Json]) -> bool:
    """Tells whether a valid document declares itself a type 3.1 certificate of EN 10204, however it is worded."""
    certificate = document.get("Certificate")
    transaction = certificate.get("CommercialTransaction") if isinstance(certificate, dict) else None
    named = str(transaction.get("A02")) if isinstance(transaction, dict) else ""
    return "10204" in named and re.search(r"(?<![\d.])3\.1(?![\d.])", named) is not None
