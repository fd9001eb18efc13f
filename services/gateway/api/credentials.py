"""Certificates as W3C credentials, with status lists and DID document, and the contexts to read them with."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Annotated, Any, Final

from cryptography.hazmat.primitives.asymmetric import ed25519
from fastapi import Path, Response

from millmark.ledger import errors, records
from millmark.ledger.canonical import Json
from millmark.ledger.provenance.answers import Printable
from millmark.services.access import Scope
from millmark.services.access.rules import PUBLIC, Rule
from millmark.services.gateway.http import authentication, example_values, route_table
from millmark.services.gateway.http import routes as http
from millmark.services.interop.contexts.published import CONTEXT_MEDIA, CONTEXTS_PATH, published_contexts
from millmark.services.interop.credentials import certificate
from millmark.services.interop.credentials.issuer import STATUS_PATH, Issuer, build_facts
from millmark.services.interop.credentials.keys import Ed25519Key, add_proof, build_did_document
from millmark.services.serving.requests import WholeNumber

CREDENTIAL_MEDIA: Final = "application/vc"
DID_MEDIA: Final = "application/did"
_FRESH_S: Final = 60
_OBJECT: Final[dict[str, Any]] = {"type": "object"}
ListNumber = Annotated[
    WholeNumber,
    Path(
        ge=0, le=http.MAX_SEQUENCE, description="Number of the list, from the credential's status entry.", examples=[0]
    ),
]


def _answers(media: str, described: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {media: {"schema": {**_OBJECT, "description": described}}}}, **http.PROBLEMS_404}


def add_credentials(table: route_table.RouteTable, issuer: Issuer) -> None:
    routes = http.Routes(table, "credentials", http.PROBLEMS_404)
    _add_public(routes, issuer)
    _add_certificates(routes, issuer)


def _add_public(routes: http.Routes, issuer: Issuer) -> None:
    @routes.get(
        "/.well-known/did.json",
        "getDidDocument",
        "Get the company's DID document",
        rule=PUBLIC,
        examples={"one": lambda: build_did_document(_DID, {_KEY_NAME: _KEY.public})},
        response_class=Response,
        responses=_answers(DID_MEDIA, "A DID document (did:web)."),
    )
    def did_document() -> Response:
        """Lists the keys that may issue credentials for the company."""
        return _public(issuer.document(), DID_MEDIA)

    @routes.get(
        STATUS_PATH + "/{number}",
        "getStatusList",
        "Get a credential status list",
        rule=PUBLIC,
        examples={"one": _status_list},
        response_class=Response,
        responses=_answers(CREDENTIAL_MEDIA, "A BitstringStatusListCredential, signed."),
    )
    def status_list(number: ListNumber) -> Response:
        """Returns one bit per certificate, by its sequence: set if the certificate was revoked, refuted or left
        unopened, or if its model was withdrawn, as of the index's last block. Public and the same for everybody, so
        fetching it does not reveal which certificate is being checked."""
        return _public(issuer.status_list(number), CREDENTIAL_MEDIA)


def _add_certificates(routes: http.Routes, issuer: Issuer) -> None:
    @routes.get(
        "/v1/certificates/{id}/credential",
        "getCredential",
        "Get a certificate as a verifiable credential",
        rule=Rule(Scope.PROVENANCE),
        examples={"pass": lambda: certificate.issue_credential(_FACTS, _DID, _KEY, _METHOD, status_list_url=_LIST)},
        response_class=Response,
        responses=_answers(CREDENTIAL_MEDIA, "A VerifiableCredential (2.0) with a Data Integrity proof."),
    )
    def credential(
        principal: authentication.CurrentPrincipal, sequence: http.Number, if_none_match: http.IfNoneMatch = None
    ) -> Response:
        """The credential is signed by the inspector that runs this gateway; other inspectors' certificates are
        available from their own gateways. Its status list tells whether it is still valid."""
        body = _encode(issuer.credential(sequence, principal.viewer))
        return http.with_etag(Response(body, media_type=CREDENTIAL_MEDIA), if_none_match)


def _public(document: dict[str, Json], media: str) -> Response:
    """A response that shared caches may store."""
    headers = {"Cache-Control": f"public, max-age={_FRESH_S}"}
    return Response(_encode(document), headers=headers, media_type=media)


def _encode(document: dict[str, Json]) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


# Examples, signed with a key that is not secret

_DID, _KEY_NAME = "did:web:gateway.example", "vc-2026"
_LIST = "https://gateway.example/v1/status-lists/0"
_KEY = Ed25519Key(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
_FACTS = build_facts(example_values.certificate(), chain_id=example_values.CHAIN_ID, ledger=b"\x22" * 20)
_METHOD, _MADE = f"{_DID}#{_KEY_NAME}", "2026-03-02T09:30:00Z"


def _status_list() -> dict[str, Json]:
    bits = certificate.status_bits(0, {410: records.CertificateStatus.REVOKED})
    return add_proof(certificate.build_status_list(_LIST, _DID, bits, valid_from=_MADE), _KEY, _METHOD, created=_MADE)


# Public vocabularies for reading our documents offline: JSON-LD contexts.

_PUBLIC: Final = "public, max-age=86400"
"""Contents change only with a new version of the program, and then under new names."""
ContextName = Annotated[
    str,
    Path(
        pattern=r"^[a-z0-9-]{1,40}\.jsonld$",
        description="Name of a context, as listed.",
        examples=["epcis-v2.jsonld"],
    ),
]


@dataclass(frozen=True, slots=True)
class Context(Printable):
    """A JSON-LD context."""

    url: str
    """The URL by which documents refer to it. The same content is available here at `path`."""
    path: str
    """Path on this gateway."""
    source: str
    """Publisher of the terms, and what is left out."""
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Contexts(Printable):
    """All contexts that documents of this gateway refer to."""

    contexts: tuple[Context, ...]


def list_contexts() -> Contexts:
    return Contexts(
        tuple(
            Context(one.url, f"{CONTEXTS_PATH}/{one.name}", one.source, hashlib.sha256(one.document).digest())
            for one in published_contexts().values()
        )
    )


def add_contexts(table: route_table.RouteTable) -> None:
    """Adds public routes. Their content depends only on the version of the program, not on the company."""
    routes = http.Routes(table, "vocabularies", {"default": http.PROBLEM})
    _add_list(routes)
    _add_context(routes)


def _add_list(routes: http.Routes) -> None:
    @routes.get(
        CONTEXTS_PATH,
        "listContexts",
        "List JSON-LD contexts",
        Contexts,
        rule=PUBLIC,
        examples={"all": list_contexts},
    )
    def contexts(if_none_match: http.IfNoneMatch = None) -> Response:
        """Lists every context that documents of this gateway refer to. Readers without internet access can map each
        `url` to the `path` on this gateway."""
        return http.with_etag(http.reply(list_contexts()), if_none_match, cache=_PUBLIC)


def _add_context(routes: http.Routes) -> None:
    answers: dict[int | str, dict[str, Any]] = {
        200: {"content": {CONTEXT_MEDIA: {"schema": {"type": "object", "description": "A JSON-LD context."}}}},
        **http.PROBLEMS_404,
    }

    @routes.get(
        CONTEXTS_PATH + "/{name}",
        "getContext",
        "Get a JSON-LD context",
        rule=PUBLIC,
        examples={"certificate": certificate.build_certificate_context},
        response_class=Response,
        responses=answers,
    )
    def context(name: ContextName, if_none_match: http.IfNoneMatch = None) -> Response:
        """Returns a context. The content under a name never changes; a later edition has a new name."""
        found = published_contexts().get(name)
        if found is None:
            raise errors.NotFoundError("no context has this name", hint=f"see {CONTEXTS_PATH} for the names")
        return http.with_etag(Response(found.document, media_type=CONTEXT_MEDIA), if_none_match, cache=_PUBLIC)
