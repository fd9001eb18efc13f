"""Credentials and documents for the documentation, signed by a key that is no secret."""

from __future__ import annotations

import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519

from ledger.canonical import Json
from ledger.records import CertificateStatus, Verdict
from services.gateway.docs.example_values import IDENTIFIER
from services.interop.credentials.certificate import CertificateFacts, issue_credential
from services.interop.credentials.did import build_did_document
from services.interop.credentials.keys import Ed25519Key
from services.interop.credentials.proofs import add_proof
from services.interop.credentials.status_list import build_status_list, status_bits
from services.interop.inspection.document import build_from_claims

__all__ = ["CLAIMS", "build_credential_examples"]

_DID, _NAME = "did:web:gateway.example", "vc-2026"
_LIST = "https://gateway.example/v1/status-lists/0"
_KEY = Ed25519Key(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
_FACTS = CertificateFacts(
    chain_id=131277322940537,
    ledger=b"\x22" * 20,
    sequence=412,
    lot=b"\x1a" * 32,
    identifier=IDENTIFIER,
    inspector=6,
    model=9,
    inference_digest=b"\x77" * 32,
    verdict=Verdict.PASS,
    claims_root=b"\xaa" * 32,
    issued_at=1_772_443_800,
    expires_at=1_803_979_800,
)
_COMPANY = {
    "name": "Cedar Assembly",
    "street": "Hafenstrasse 1",
    "zip_code": "20457",
    "city": "Hamburg",
    "country": "DE",
    "vat": "DE123456789",
}
CLAIMS: dict[str, Json] = {
    "manufacturer": _COMPANY,
    "receiver": {**_COMPANY, "name": "Nordwind Mobility"},
    "representative": {"name": "Ada Example", "title": "Inspection representative"},
    "order_number": "PO-4711",
    "logo_png": "iVBORw0KGgo=",
    "ProductDescription": {
        "B01": "Bracket",
        "B02": {"SteelDesignation": ["S355J2"], "ProductNorm": ["EN 10025-2"]},
        "B09": {"Form": "Plate", "Width": 120, "Thickness": 6.5, "Unit": "mm"},
    },
}


def build_credential_examples() -> dict[str, dict[str, Any]]:
    """One answer for each operation, by operation id and name."""
    method, made = f"{_DID}#{_NAME}", "2026-03-02T09:30:00Z"
    bits = status_bits(0, {410: CertificateStatus.REVOKED})
    listed = build_status_list(_LIST, _DID, bits, valid_from=made)
    return {
        "getDidDocument": {"one": build_did_document(_DID, {_NAME: _KEY.public})},
        "getStatusList": {"one": add_proof(listed, _KEY, method, created=made)},
        "getCredential": {"pass": issue_credential(_FACTS, _DID, _KEY, method, status_list_url=_LIST)},
        "getInspectionDocument": {"bracket": json.loads(build_from_claims(_FACTS, CLAIMS))},
    }
