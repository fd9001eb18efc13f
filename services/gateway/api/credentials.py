"""Certificates in forms that others read: W3C credentials with their status lists and DID document, EN 10168."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Response

from ledger.canonical import Json
from services.gateway.http.authentication import Asking
from services.gateway.http.responses import LOOKED_UP, MOST_SEQUENCE, PROBLEM, KnownTags, Number, tag
from services.interop.credentials.issuer import STATUS_PATH, Issuer

__all__ = ["CREDENTIAL_MEDIA", "DID_MEDIA", "build_credentials"]

CREDENTIAL_MEDIA: Final = "application/vc"
DID_MEDIA: Final = "application/did"
_FRESH_S: Final = 60
_OBJECT: Final[dict[str, Any]] = {"type": "object"}
ListNumber = Annotated[
    int, Path(ge=0, le=MOST_SEQUENCE, description="As the credential's status entry says.", examples=[0])
]


def _answers(media: str, described: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {media: {"schema": {**_OBJECT, "description": described}}}}, **LOOKED_UP}


def build_credentials(issuer: Issuer) -> APIRouter:
    """The routes over one issuer."""
    router = APIRouter()
    _add_public(router, issuer)
    _add_certificates(router, issuer)
    return router


def _add_public(router: APIRouter, issuer: Issuer) -> None:
    @router.get(
        "/.well-known/did.json",
        operation_id="getDidDocument",
        summary="The company's DID document",
        response_class=Response,
        responses=_answers(DID_MEDIA, "A DID document (did:web)."),
        tags=["credentials"],
    )
    def did_document() -> Response:
        """Keys that may issue credentials in its name."""
        return _public(issuer.document(), DID_MEDIA)

    @router.get(
        STATUS_PATH + "/{number}",
        operation_id="getStatusList",
        summary="Which certificates were taken back",
        response_class=Response,
        responses=_answers(CREDENTIAL_MEDIA, "A BitstringStatusListCredential, signed."),
        tags=["credentials"],
    )
    def status_list(number: ListNumber) -> Response:
        """A bit for each certificate, by its sequence: revoked, refuted, unopened, or fallen with its model, at the
        index's block. Public, and the same for everybody: who fetches it does not say which one is asked for."""
        return _public(issuer.status_list(number), CREDENTIAL_MEDIA)


def _add_certificates(router: APIRouter, issuer: Issuer) -> None:
    @router.get(
        "/v1/certificates/{id}/credential",
        operation_id="getCredential",
        summary="A certificate as a verifiable credential",
        response_class=Response,
        responses=_answers(CREDENTIAL_MEDIA, "A VerifiableCredential (2.0) with a Data Integrity proof."),
        tags=["credentials"],
    )
    def credential(principal: Asking, sequence: Number, known: KnownTags = None) -> Response:
        """Signed by the inspector whose gateway this is; certificates of others are at theirs. Whether it still holds
        is said by its status list."""
        body = _encode(issuer.credential(sequence, principal.viewer))
        return tag(Response(body, media_type=CREDENTIAL_MEDIA), known)

    @router.get(
        "/v1/certificates/{id}/inspection-document",
        operation_id="getInspectionDocument",
        summary="A certificate as EN 10204 3.1",
        response_model=None,
        responses={400: PROBLEM, **_answers("application/json", "An inspection document (EN 10168, JSON 0.5.0).")},
        tags=["credentials"],
    )
    def inspection_document(principal: Asking, sequence: Number, known: KnownTags = None) -> Response:
        """From what the certificate's claims have under `en10168`: manufacturer, receiver, representative, order
        number, logo, and the fields of product and tests. 404 when they have nothing there. What did not pass, or was
        taken back, is not declared."""
        body = issuer.inspection_document(sequence, principal.viewer)
        return tag(Response(body, media_type="application/json"), known)


def _public(document: dict[str, Json], media: str) -> Response:
    """For caches, too."""
    headers = {"Cache-Control": f"public, max-age={_FRESH_S}"}
    return Response(_encode(document), headers=headers, media_type=media)


def _encode(document: dict[str, Json]) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
