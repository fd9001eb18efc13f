"""JSON-LD contexts for the W3C terms in our credentials and DID documents, written by us.

Sources: Verifiable Credentials Data Model 2.0 (appendix B.1), Data Integrity 1.0, Bitstring Status List 1.0, DID 1.0
and Multikey. The context for credentials has all terms, because a term that it lacked would count as unmapped; the
others leave out what we neither write nor read. IRIs and types are the same as there.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from millmark.ledger.canonical import Json

_Terms: TypeAlias = dict[str, Json]

_CREDENTIALS: Final = "https://www.w3.org/2018/credentials#"
_STATUS: Final = "https://www.w3.org/ns/credentials/status#"
_SECURITY: Final = "https://w3id.org/security#"
_JWT: Final = "https://www.iana.org/assignments/jwt#"
_JOSE: Final = "https://www.iana.org/assignments/jose#"
_XSD_TIME: Final = "http://www.w3.org/2001/XMLSchema#dateTime"
_MULTIBASE: Final = _SECURITY + "multibase"
_KEYWORDS: Final[_Terms] = {"id": "@id", "type": "@type"}
_NAMED: Final[_Terms] = {"name": "https://schema.org/name", "description": "https://schema.org/description"}


def build_credentials_context() -> dict[str, Json]:
    """The context served for https://www.w3.org/ns/credentials/v2."""
    alone = ("EnvelopedVerifiableCredential", "EnvelopedVerifiablePresentation", "JsonSchemaCredential")
    return {
        "@context": _protected(
            {
                **_NAMED,
                "digestMultibase": _term(_SECURITY, "digestMultibase", _MULTIBASE),
                "digestSRI": _term(_CREDENTIALS, "digestSRI", _CREDENTIALS + "sriString"),
                "mediaType": "https://schema.org/encodingFormat",
                "VerifiableCredential": _kind(_CREDENTIALS, "VerifiableCredential", _credential()),
                "VerifiablePresentation": _kind(_CREDENTIALS, "VerifiablePresentation", _presentation()),
                **{name: _CREDENTIALS + name for name in alone},
                "JsonSchema": _kind(
                    _CREDENTIALS, "JsonSchema", {"jsonSchema": _term(_CREDENTIALS, "jsonSchema", "@json")}
                ),
                "BitstringStatusListCredential": _STATUS + "BitstringStatusListCredential",
                "BitstringStatusList": _kind(_STATUS, "BitstringStatusList", _status_list()),
                "BitstringStatusListEntry": _kind(_STATUS, "BitstringStatusListEntry", _status_entry()),
                "DataIntegrityProof": _kind(_SECURITY, "DataIntegrityProof", _proof()),
                **_jose(),
            }
        )
    }


def build_did_context() -> dict[str, Json]:
    """The context served for https://www.w3.org/ns/did/v1."""
    relations = {
        name: _term(_SECURITY, iri, "@id", "@set")
        for name, iri in {**_PURPOSES, "keyAgreement": "keyAgreementMethod"}.items()
    }
    return {
        "@context": _protected(
            {
                **relations,
                "controller": _term(_SECURITY, "controller", "@id"),
                "verificationMethod": _term(_SECURITY, "verificationMethod", "@id"),
            }
        )
    }


def build_multikey_context() -> dict[str, Json]:
    """The context served for https://w3id.org/security/multikey/v1."""
    terms: _Terms = {
        "controller": _term(_SECURITY, "controller", "@id"),
        "revoked": _term(_SECURITY, "revoked", _XSD_TIME),
        "expires": _term(_SECURITY, "expiration", _XSD_TIME),
        "publicKeyMultibase": _term(_SECURITY, "publicKeyMultibase", _MULTIBASE),
    }
    return {"@context": _protected({"Multikey": _kind(_SECURITY, "Multikey", terms)})}


def _term(space: str, name: str, type_: str, container: str = "") -> Json:
    term: _Terms = {"@id": space + name, "@type": type_}
    return {**term, "@container": container} if container else term


def _protected(terms: _Terms) -> _Terms:
    return {"@protected": True, **_KEYWORDS, **terms}


def _kind(space: str, name: str, terms: _Terms) -> Json:
    """A type, with the terms of its members as a type-scoped context."""
    return {"@id": space + name, "@context": _protected(terms)}


def _linked(names: str) -> _Terms:
    return {name: _term(_CREDENTIALS, name, "@id") for name in names.split()}


_PROOF: Final = _term(_SECURITY, "proof", "@id", "@graph")
_PURPOSES: Final = {
    "assertionMethod": "assertionMethod",
    "authentication": "authenticationMethod",
    "capabilityDelegation": "capabilityDelegationMethod",
    "capabilityInvocation": "capabilityInvocationMethod",
}


def _credential() -> _Terms:
    return {
        **_NAMED,
        **_linked("credentialSchema credentialStatus credentialSubject evidence issuer refreshService relatedResource"),
        **_linked("termsOfUse confidenceMethod renderMethod"),
        "proof": _PROOF,
        **{name: _term(_CREDENTIALS, name, _XSD_TIME) for name in ("validFrom", "validUntil")},
    }


def _presentation() -> _Terms:
    held: Json = {
        "@id": _CREDENTIALS + "verifiableCredential",
        "@type": "@id",
        "@container": "@graph",
        "@context": None,  # clears all terms: each credential inside brings its own context
    }
    return {**_linked("holder termsOfUse"), "proof": _PROOF, "verifiableCredential": held}


def _status_list() -> _Terms:
    return {
        "encodedList": _term(_STATUS, "encodedList", _MULTIBASE),
        "statusPurpose": _STATUS + "statusPurpose",
        "ttl": _STATUS + "ttl",
    }


def _status_entry() -> _Terms:
    message = _protected({"message": _STATUS + "message", "status": _STATUS + "status"})
    return {
        "statusMessage": {"@id": _STATUS + "statusMessage", "@context": message},
        "statusReference": _term(_STATUS, "statusReference", "@id"),
        "statusSize": _term(_STATUS, "statusSize", "https://www.w3.org/2001/XMLSchema#integer"),
        "statusListCredential": _term(_STATUS, "statusListCredential", "@id"),
        "statusListIndex": _STATUS + "statusListIndex",
        "statusPurpose": _STATUS + "statusPurpose",
    }


def _proof() -> _Terms:
    named = {**_PURPOSES, "keyAgreement": "keyAgreementMethod"}
    purposes = {name: _term(_SECURITY, iri, "@id", "@set") for name, iri in named.items()}
    return {
        "created": _term("http://purl.org/dc/terms/", "created", _XSD_TIME),
        "expires": _term(_SECURITY, "expiration", _XSD_TIME),
        "cryptosuite": _term(_SECURITY, "cryptosuite", _SECURITY + "cryptosuiteString"),
        **{name: _SECURITY + name for name in ("challenge", "domain", "nonce")},
        "previousProof": _term(_SECURITY, "previousProof", "@id"),
        "proofPurpose": {"@id": _SECURITY + "proofPurpose", "@type": "@vocab", "@context": _protected(purposes)},
        "proofValue": _term(_SECURITY, "proofValue", _MULTIBASE),
        "verificationMethod": _term(_SECURITY, "verificationMethod", "@id"),
    }


def _jose() -> _Terms:
    """Claims of JSON Web Tokens and SD-JWT in a credential."""
    number = "https://www.w3.org/2001/XMLSchema#nonNegativeInteger"
    confirmation: _Terms = {
        "@protected": True,
        "kid": _term(_JWT, "kid", "@id"),
        "jwk": _term(_JWT, "jwk", "@json"),
    }
    return {
        "...": {"@id": _JWT + "..."},
        "_sd": _term(_JWT, "_sd", "@json"),
        "_sd_alg": {"@id": _JWT + "_sd_alg"},
        "aud": _term(_JWT, "aud", "@id"),
        "cnf": {"@id": _JWT + "cnf", "@context": confirmation},
        **{name: _term(_JWT, name, number) for name in ("exp", "iat", "nbf")},
        **{name: _term(_JOSE, name, "@id") for name in ("iss", "jku", "kid", "sub", "x5u")},
    }
