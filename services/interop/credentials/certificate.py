"""Verifiable credentials for certificates of the ledger, and verification of any credential.

The credential repeats the certificate and names its record: chain, ledger, sequence, lot. It is a convenience for
readers without access to the ledger. Where the two differ, the ledger prevails.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, cast

from millmark.ledger.canonical import Json
from millmark.ledger.records import Verdict
from millmark.services.interop.credentials.did import Resolver
from millmark.services.interop.credentials.keys import CredentialKey
from millmark.services.interop.credentials.model import BASE_CONTEXT, as_list, check_credential
from millmark.services.interop.credentials.proofs import add_proof, parse_timestamp, verify_proof
from millmark.services.interop.credentials.status_list import build_status_entry, is_revoked
from millmark.services.interop.errors import CredentialError

VOCABULARY: Final = "urn:millmark:certificate:1:"
_TERMS: Final = "InspectionCertificate Lot subject verdict inspector model inferenceDigest claimsRoot"
_CONTEXT: Final[list[Json]] = [BASE_CONTEXT, {"@vocab": VOCABULARY}]
"""Our vocabulary is declared inside the credential, so that readers need not fetch it."""


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """The ledger's data about one certificate, and the identifier of its lot."""

    chain_id: int
    ledger: bytes
    """Address of the ledger's contract, 20 bytes."""
    sequence: int
    """Sequence of the record that issued the certificate."""
    lot: bytes
    """Subject of the lot, 32 bytes."""
    identifier: str
    """Canonical identifier of the lot. The credential discloses it to its readers."""
    inspector: int
    """Number of the participant that issued the certificate."""
    model: int
    inference_digest: bytes
    """32 bytes."""
    verdict: Verdict
    claims_root: bytes
    """32 bytes."""
    issued_at: int
    """Unix time in seconds."""
    expires_at: int
    """Unix time in seconds; 0 for never."""


def build_certificate_context() -> dict[str, Json]:
    """A context that lists our terms one by one, for authors of other documents. They mean the same as in a
    credential."""
    return {"@context": {"@protected": True, **{term: VOCABULARY + term for term in _TERMS.split()}}}


def issue_credential(
    facts: CertificateFacts, issuer: str, key: CredentialKey, method: str, *, status_list_url: str
) -> dict[str, Json]:
    """The signed credential of a certificate. `issuer` is the inspector's DID, `method` the DID URL of the key.

    The proof is dated to the certificate's issue, so the same facts and key always produce the same bytes. Raises
    CredentialError.
    """
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
    """Verifies a credential as of `at`; returns the verification method that signed it.

    1 it conforms to the data model; 2 its proof holds; 3 the proof is by a key of its issuer; 4 `at` is within its
    validity; 5 none of its status entries is set, according to status list credentials of the same issuer that pass 1
    to 4 themselves. Raises CredentialError, NotFoundError, InputError.
    Not established: that the issuer tells the truth.
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
    entries = as_list(document.get("credentialStatus", []))
    if entries:  # 5
        needed = {str(entry.get("statusListCredential")) for entry in entries if isinstance(entry, dict)}
        # A list that no entry names has no influence on the result, so it is not verified either.
        own = {url: one for url, one in (lists or {}).items() if url in needed}
        for url, one in own.items():
            verify_credential({**one}, resolver, at=at)
            if _issuer(one) != issuer or one.get("id") != url:
                raise CredentialError("the status list has another issuer or another id")
        if is_revoked(entries, own):
            raise CredentialError("the credential was revoked")
    return method


def _issuer(document: Mapping[str, Json]) -> str:
    issuer = document.get("issuer")
    return str(issuer.get("id") if isinstance(issuer, dict) else issuer)


def _timestamp(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
