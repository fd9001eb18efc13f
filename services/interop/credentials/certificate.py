"""A certificate of the ledger as a verifiable credential, and the check of any credential.

The credential repeats what the certificate says, and names the record that it stands for: chain, ledger, sequence, lot.
It is a convenience for those who do not read the ledger. Where the two differ, the ledger is right.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, cast

from ledger.canonical import Json
from ledger.records import Verdict
from services.interop.credentials.did import Resolver
from services.interop.credentials.keys import CredentialKey
from services.interop.credentials.model import BASE_CONTEXT, check_credential, listed
from services.interop.credentials.proofs import add_proof, parse_timestamp, verify_proof
from services.interop.credentials.status_list import build_status_entry, taken_back
from services.interop.errors import CredentialError

__all__ = [
    "VOCABULARY",
    "CertificateFacts",
    "build_certificate_context",
    "issue_credential",
    "verify_credential",
]

VOCABULARY: Final = "urn:millmark:certificate:1:"
_TERMS: Final = "InspectionCertificate Lot subject verdict inspector model inferenceDigest claimsRoot"
_CONTEXT: Final[list[Json]] = [BASE_CONTEXT, {"@vocab": VOCABULARY}]
"""Within the credential, so that nobody who reads it has to fetch our terms."""


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What the ledger has of one certificate, and the identifier that its lot opens to."""

    chain_id: int
    ledger: bytes
    """Address of the ledger's contract, 20 bytes."""
    sequence: int
    """Of the certificate's record."""
    lot: bytes
    """Subject, 32 bytes."""
    identifier: str
    """Of the lot, canonical. Whoever gets the credential learns it."""
    inspector: int
    """Participant."""
    model: int
    inference_digest: bytes
    """32 bytes."""
    verdict: Verdict
    claims_root: bytes
    """32 bytes."""
    issued_at: int
    """Seconds since 1970."""
    expires_at: int
    """Seconds since 1970; 0 for never."""


def build_certificate_context() -> dict[str, Json]:
    """Our terms one by one, for whoever writes documents with them; they mean what they mean in a credential."""
    return {"@context": {"@protected": True, **{term: VOCABULARY + term for term in _TERMS.split()}}}


def issue_credential(
    facts: CertificateFacts, issuer: str, key: CredentialKey, method: str, *, status_list_url: str
) -> dict[str, Json]:
    """The signed credential of a certificate. `issuer` is the inspector's DID, `method` the key's name there."""
    document: dict[str, Json] = {
        "@context": _CONTEXT,
        "id": f"urn:millmark:certificate:{facts.chain_id}:0x{facts.ledger.hex()}:{facts.sequence}",
        "type": ["VerifiableCredential", "InspectionCertificate"],
        "issuer": issuer,
        "validFrom": _timestamp(facts.issued_at),
        "credentialSubject": {
            "id": facts.identifier,
            "type": "Lot",
            "subject": _hex(facts.lot),
            "verdict": facts.verdict.name.lower(),
            "inspector": facts.inspector,
            "model": facts.model,
            "inferenceDigest": _hex(facts.inference_digest),
            "claimsRoot": _hex(facts.claims_root),
        },
        "credentialStatus": build_status_entry(status_list_url, facts.sequence),
    }
    if facts.expires_at:
        document["validUntil"] = _timestamp(facts.expires_at)
    check_credential(document)
    return add_proof(document, key, method, created=_timestamp(facts.issued_at))


def verify_credential(
    document: Json, resolver: Resolver, *, at: datetime, lists: Mapping[str, Mapping[str, Json]] | None = None
) -> str:
    """Verify a credential as of `at`; return the verification method that signed it.

    1 it conforms to the data model; 2 its proof holds; 3 the proof is by a key of its issuer; 4 `at` is within its
    validity; 5 no status entry of it is set, by status list credentials that pass 1 to 4 themselves and are of the same
    issuer. Raises CredentialError, NotFoundError, InputError.
    Not established: that the issuer is right.
    """
    check_credential(document)  # 1
    document = cast("dict[str, Json]", document)
    method = verify_proof(document, resolver, at=at)  # 2
    issuer = _issuer(document)
    if method.partition("#")[0] != issuer:  # 3
        raise CredentialError("the proof is not by a key of the issuer")
    if "validFrom" in document and at < parse_timestamp(str(document["validFrom"])):  # 4
        raise CredentialError("the credential is not valid yet")
    if "validUntil" in document and at > parse_timestamp(str(document["validUntil"])):
        raise CredentialError("the credential has expired")
    entries = listed(document.get("credentialStatus", []))
    if entries:  # 5
        needed = {str(entry.get("statusListCredential")) for entry in entries if isinstance(entry, dict)}
        own = {url: one for url, one in (lists or {}).items() if url in needed}
        for url, one in own.items():
            verify_credential({**one}, resolver, at=at)
            if _issuer(one) != issuer or one.get("id") != url:
                raise CredentialError("the status list is of another issuer, or of another address")
        if taken_back(entries, own):
            raise CredentialError("the credential was taken back")
    return method


def _issuer(document: Mapping[str, Json]) -> str:
    issuer = document.get("issuer")
    return str(issuer.get("id") if isinstance(issuer, dict) else issuer)


def _timestamp(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
