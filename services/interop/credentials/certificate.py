"""Verifiable credentials for certificates of the ledger, and verification of any credential.

The credential repeats the certificate and names its record: chain, ledger, sequence, lot. It is a convenience for
readers without access to the ledger. Where the two differ, the ledger prevails.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, cast

from millmark.ledger.canonical import Json
from millmark.ledger.records import CertificateStatus, Verdict
from millmark.services.interop.credentials.keys import CredentialKey, Resolver, add_proof, parse_timestamp, verify_proof
from millmark.services.interop.credentials.model import BASE_CONTEXT, as_list, check_credential, is_url
from millmark.services.interop.errors import CredentialError

# Bitstring Status Lists (W3C Bitstring Status List 1.0): one bit per certificate says whether it is revoked.
#
# The bit's place follows from the certificate's sequence on the ledger: list sequence // SIZE, index sequence % SIZE.
# Its value is computed from the ledger when the list is built, and never stored.

SIZE: Final = 131_072
"""Bits in a list, the minimum of the standard: fetching a list does not reveal which certificate the reader checks."""
_MAX_BYTES: Final = 1 << 22
"""Limit of a decoded list from an untrusted source: 33 million bits."""
STANDING: Final = (CertificateStatus.VALID, CertificateStatus.EXPIRED)
"""Statuses whose bit is 0. Expiry does not set the bit, because `validUntil` states it."""


def status_bits(number: int, statuses: Mapping[int, CertificateStatus]) -> bytes:
    """The bits of list `number`. A bit is set for every certificate (by sequence) whose status is not in STANDING."""
    revoked = (one for one, status in statuses.items() if status not in STANDING and one // SIZE == number)
    bits = bytearray(SIZE // 8)
    for sequence in revoked:
        place, bit = divmod(sequence % SIZE, 8)
        bits[place] |= 0x80 >> bit
    return bytes(bits)


def encode_bitstring(bits: bytes) -> str:
    """Encodes bits as GZIP in base64url without padding, with the multibase prefix `u`. Deterministic."""
    if len(bits) * 8 < SIZE:
        raise CredentialError(f"a status list must have at least {SIZE} bits")
    return "u" + base64.urlsafe_b64encode(gzip.compress(bits, mtime=0)).rstrip(b"=").decode()


def decode_bitstring(text: Json) -> bytes:
    """Decodes a list. Raises CredentialError, also for one that would unpack to more than 4 MiB."""
    if not isinstance(text, str) or not text.startswith("u"):
        raise CredentialError("the status list is not multibase text in base64url", hint="it must begin with u")
    try:
        packed = base64.b64decode(text[1:] + "=" * (-len(text[1:]) % 4), altchars=b"-_", validate=True)
        unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
        bits = unpacker.decompress(packed, _MAX_BYTES)  # bounded: a small text can unpack to gigabytes
    except (binascii.Error, ValueError, zlib.error):
        raise CredentialError("the status list is not GZIP in base64url") from None
    if unpacker.unconsumed_tail:
        raise CredentialError(f"the status list unpacks to more than {_MAX_BYTES >> 20} MiB")
    if not unpacker.eof or unpacker.unused_data:
        raise CredentialError("the status list is truncated or followed by other data")
    if len(bits) * 8 < SIZE:
        raise CredentialError(f"the status list has fewer than {SIZE} bits")
    return bits


def build_status_list(url: str, issuer: str, bits: bytes, *, valid_from: str) -> dict[str, Json]:
    """The unsigned credential with a revocation list, to be signed and served at `url` by the issuer."""
    return {
        "@context": [BASE_CONTEXT],
        "id": url,
        "type": ["VerifiableCredential", "BitstringStatusListCredential"],
        "issuer": issuer,
        "validFrom": valid_from,
        "credentialSubject": {
            "id": f"{url}#list",
            "type": "BitstringStatusList",
            "statusPurpose": "revocation",
            "encodedList": encode_bitstring(bits),
        },
    }


def build_status_entry(url: str, sequence: int) -> dict[str, Json]:
    """The `credentialStatus` of the certificate `sequence`, whose list is at `url`."""
    index = str(sequence % SIZE)
    return {
        "id": f"{url}#{index}",
        "type": "BitstringStatusListEntry",
        "statusPurpose": "revocation",
        "statusListIndex": index,
        "statusListCredential": url,
    }


def is_set(entry: Json, lists: Mapping[str, Mapping[str, Json]]) -> bool:
    """Tells whether the bit of a status entry is set in status list credentials that the caller has verified.

    Raises CredentialError if the entry or its list is malformed, missing, or for another purpose."""
    if not isinstance(entry, dict) or entry.get("type") != "BitstringStatusListEntry":
        raise CredentialError("unsupported kind of status", hint="use BitstringStatusListEntry")
    url, index, purpose = (entry.get(name) for name in ("statusListCredential", "statusListIndex", "statusPurpose"))
    # The length is bounded because int() takes quadratic time.
    if not is_url(url) or not isinstance(index, str) or not (index.isascii() and index.isdigit()) or len(index) > 12:
        raise CredentialError("the status entry has no list or no index")
    if entry.get("statusSize", 1) != 1:
        raise CredentialError("statuses of more than one bit are not supported")
    document = lists.get(str(url))
    if document is None:
        raise CredentialError(f"the status list {str(url)[:120]} is missing", hint="fetch it from its issuer")
    bits = _bits(document, purpose)
    place, bit = divmod(int(index), 8)
    if place >= len(bits):
        raise CredentialError("the status index is beyond the end of its list")
    return bool(bits[place] & 0x80 >> bit)


def _bits(document: Mapping[str, Json], purpose: Json) -> bytes:
    subject = document.get("credentialSubject")
    if "BitstringStatusListCredential" not in as_list(document.get("type")) or not isinstance(subject, dict):
        raise CredentialError("the status entry refers to something other than a status list")
    if subject.get("type") != "BitstringStatusList" or purpose not in as_list(subject.get("statusPurpose")):
        raise CredentialError("the status list and the entry have different purposes")
    return decode_bitstring(subject.get("encodedList"))


def is_revoked(statuses: Iterable[Json], lists: Mapping[str, Mapping[str, Json]]) -> bool:
    """Tells whether any of several status entries is set. Raises CredentialError as `is_set` does."""
    # All are read before any decides, so that a malformed entry is never skipped.
    found = [is_set(entry, lists) for entry in statuses]
    return any(found)


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
    CredentialError."""
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
    Not established: that the issuer tells the truth."""
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
