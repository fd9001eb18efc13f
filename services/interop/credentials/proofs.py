"""Data Integrity proofs over canonical JSON: eddsa-jcs-2022 and ecdsa-jcs-2019 with P-256.

Source: W3C Data Integrity EdDSA Cryptosuites 1.0 section 3.3, ECDSA Cryptosuites 1.0 section 3.3. The signed bytes are
the SHA-256 of the canonical proof options, followed by the SHA-256 of the canonical document without its proof. There
is no RDF processing: a term is signed as it is spelt, and the contexts are part of the signed document.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from millmark.ledger.canonical import Json, canonical_json, sha256
from millmark.services.interop.credentials.did import Resolver
from millmark.services.interop.credentials.keys import CredentialKey, PublicKey, decode_multibase, encode_multibase
from millmark.services.interop.errors import CredentialError

SUITES: Final = ("eddsa-jcs-2022", "ecdsa-jcs-2019")
_PURPOSE: Final = "assertionMethod"
_TIMESTAMP = re.compile(
    r"-?[0-9]{4,}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:Z|[+-][0-9]{2}:[0-9]{2})"
)


def add_proof(document: Mapping[str, Json], key: CredentialKey, method: str, *, created: str) -> dict[str, Json]:
    """The document with a proof by `key`, whose verification method is `method`. Raises CredentialError if the document
    already has a proof."""
    if "proof" in document:
        raise CredentialError("the document already has a proof")
    options: dict[str, Json] = {
        "type": "DataIntegrityProof",
        "cryptosuite": key.public.suite,
        "created": created,
        "verificationMethod": method,
        "proofPurpose": _PURPOSE,
    }
    if "@context" in document:
        options["@context"] = document["@context"]
    signature = key.sign(_signed_bytes(options, document))
    return {**document, "proof": {**options, "proofValue": encode_multibase(signature)}}


def verify_proof(secured: Mapping[str, Json], resolver: Resolver, *, at: datetime) -> str:
    """Verifies the single proof of a document as of `at`; returns the verification method that signed it.

    Raises CredentialError; NotFoundError if the key is unknown; InputError for a malformed key or value.
    Not established: that the document conforms to any data model, or who the signer is.
    """
    proof = secured.get("proof")
    if not isinstance(proof, dict):
        raise CredentialError("the document has no proof or several", hint="use exactly one proof")
    options = {name: value for name, value in proof.items() if name != "proofValue"}
    document = {name: value for name, value in secured.items() if name != "proof"}
    method = _checked_options(options, at)
    if "@context" in options:
        _verify_context(document.get("@context"), options["@context"])
        # The signature covers these contexts only. The document may have further ones, appended after signing.
        document["@context"] = options["@context"]
    key = resolver.key(method, _PURPOSE)
    if key.suite != options["cryptosuite"]:
        raise CredentialError(f"the key does not fit the cryptosuite {options['cryptosuite']}")
    _verify_signature(key, decode_multibase(str(proof.get("proofValue"))), options, document)
    return method


def _verify_signature(
    key: PublicKey, signature: bytes, options: Mapping[str, Json], document: Mapping[str, Json]
) -> None:
    """Raises CredentialError.

    Some implementations sign the document's contexts as part of the options but omit them from the proof. That variant
    is accepted too: the contexts are signed with the document in either case.
    """
    try:
        key.verify(signature, _signed_bytes(options, document))
    except CredentialError:
        if "@context" in options or "@context" not in document:
            raise
        key.verify(signature, _signed_bytes({**options, "@context": document["@context"]}, document))


def _checked_options(options: Mapping[str, Json], at: datetime) -> str:
    if options.get("type") != "DataIntegrityProof" or options.get("cryptosuite") not in SUITES:
        raise CredentialError("unsupported kind of proof", hint=f"use DataIntegrityProof with {' or '.join(SUITES)}")
    if options.get("proofPurpose") != _PURPOSE:
        raise CredentialError(f"the purpose of the proof is not {_PURPOSE}")
    for name in ("created", "expires"):
        if name in options and not is_timestamp(options[name]):
            raise CredentialError(f"{name} is not a time with an offset")
    if "expires" in options and parse_timestamp(str(options["expires"])) <= at:
        raise CredentialError("the proof has expired")
    method = options.get("verificationMethod")
    if not isinstance(method, str):
        raise CredentialError("the proof names no verification method")
    return method


def _verify_context(of_document: Json, of_proof: Json) -> None:
    """Raises CredentialError unless the document's contexts begin with the signed ones."""
    whole, signed = _listed(of_document), _listed(of_proof)
    if whole[: len(signed)] != signed:
        raise CredentialError("the document's contexts differ from the signed ones")


def _listed(context: Json) -> list[Json]:
    return list(context) if isinstance(context, (list, tuple)) else [context]


def _signed_bytes(options: Mapping[str, Json], document: Mapping[str, Json]) -> bytes:
    return sha256(canonical_json(options)) + sha256(canonical_json(document))


def is_timestamp(value: Json) -> bool:
    """Tells whether `value` is an XML Schema dateTimeStamp: an existing date and time with an offset."""
    if not isinstance(value, str) or not _TIMESTAMP.fullmatch(value):
        return False
    try:
        parse_timestamp(value)
    except (ValueError, OverflowError):
        return False
    return True


def parse_timestamp(text: str) -> datetime:
    """Parses a dateTimeStamp. Raises ValueError for one outside Python's calendar."""
    if "T24:00:00" in text:  # the end of a day, which not every supported Python parses
        return datetime.fromisoformat(text.replace("T24:", "T00:")) + timedelta(days=1)
    return datetime.fromisoformat(text)
