"""The routes of documents: parameters in, views and sealed files out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from ledger.ids import MAX_IDENTIFIER_LENGTH
from ledger.provenance.document_access import Mode
from services.documents import Documents, Draft, new_place
from services.documents.drafts import MOST_NAME_CHARACTERS
from services.documents.sealed_file import MOST_DOCUMENT_BYTES
from services.documents.views import Document
from services.gateway.docs.document_examples import DOCUMENT
from services.gateway.docs.example_values import IDENTIFIER
from services.gateway.http.authentication import Asking, Clock
from services.gateway.http.idempotency import RepeatKey, ask_once
from services.gateway.http.paging import Paging
from services.gateway.http.responses import (
    LOOKED_UP,
    NAMED,
    PROBLEM,
    ExpectedTags,
    KnownTags,
    expecting,
    names,
    reply,
    tagged,
)
from services.gateway.http.routes import Routes

__all__ = ["SEALED_MEDIA_TYPE", "ParticipantNumber", "add_documents"]

SEALED_MEDIA_TYPE = "application/vnd.millmark.sealed-document"

DocumentId = Annotated[
    str, Path(alias="id", pattern="^[0-9a-f]{32}$", description="Id of a document.", examples=[DOCUMENT])
]
VersionNumber = Annotated[int, Path(ge=1, le=2**31, description="Number of a version, from 1.", examples=[1])]
ParticipantNumber = Annotated[int, Path(ge=1, le=2**32 - 1, description="Number of a participant.", examples=[5])]
Name = Annotated[
    str,
    Query(
        min_length=1, max_length=MOST_NAME_CHARACTERS, description="What the file is called.", examples=["drawing.pdf"]
    ),
]
AboutName = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=MAX_IDENTIFIER_LENGTH,
        description="Identifier or subject of a lot or an order.",
        examples=[IDENTIFIER],
    ),
]
ModeWord = Annotated[Mode, Query(description="Who may read it.", examples=["restricted"])]

_CHANGED = {409: PROBLEM, **LOOKED_UP}
_CONTENT: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": f"The document as it is, at most {MOST_DOCUMENT_BYTES:,} bytes; its Content-Type is kept.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_SEALED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The version, encrypted, its key wrapped for the caller: `millmark documents open` reads it.",
        "content": {SEALED_MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}},
    }
}


class ModeChange(BaseModel):
    """Who may read a document from now on."""

    model_config = ConfigDict(extra="forbid")

    mode: Mode


def add_documents(router: APIRouter, documents: Documents, clock: Clock) -> None:
    """Adds the routes."""
    _add_reading(router, documents)
    _add_uploads(router, documents, clock)
    _add_versions(router, documents, clock)
    _add_changes(router, documents, clock)
    _add_grants(router, documents, clock)


def _add_reading(router: APIRouter, documents: Documents) -> None:
    routes = Routes(router, "documents", LOOKED_UP)

    @routes.page("/v1/documents", "listDocuments", "Documents that are there for the caller", Document, NAMED)
    def page(principal: Asking, paging: Paging, about: AboutName = None) -> Response:
        """By id. Documents that are there only because their lot is linked are found by it: give `about`."""
        after = str(paging.after[0]) if paging.after else ""
        found = documents.page(about, after, paging.limit, principal.viewer)
        return paging.answer(found.documents, None if found.next is None else (found.next,))

    @routes.one("/v1/documents/{id}", "getDocument", "A document and its versions", Document)
    def get(principal: Asking, document: DocumentId, known: KnownTags = None) -> Response:
        """Names, sizes and roots; the content is in the versions."""
        return tagged(documents.get(document, principal.viewer), known)

    @routes.get(
        "/v1/documents/{id}/versions/{version}",
        "fetchDocument",
        "A version, sealed for the caller",
        responses={**_SEALED, **_CHANGED},
        response_class=StreamingResponse,
    )
    def fetch(principal: Asking, document: DocumentId, version: VersionNumber, known: KnownTags = None) -> Response:
        """Encrypted, with its key wrapped for the key that the caller's participant published. The gateway never sends
        a document in clear."""
        sealed = documents.fetch(document, version, principal.participant, principal.viewer)
        headers = {"ETag": f'W/"{sealed.tag}"', "Cache-Control": "private, no-cache"}
        if known is not None and names(known, f'"{sealed.tag}"'):
            return Response(status_code=304, headers=headers)
        headers["Content-Disposition"] = f'attachment; filename="{document}.{version}.sealed"'
        headers["Content-Length"] = str(sealed.size)
        return StreamingResponse(sealed.stream(), headers=headers, media_type=SEALED_MEDIA_TYPE)


def _add_uploads(router: APIRouter, documents: Documents, clock: Clock) -> None:
    routes = Routes(router, "documents", NAMED)

    @routes.post("/v1/documents", "addDocument", "Add a document", Document, status_code=201, openapi_extra=_CONTENT)
    async def add(
        request: Request,
        principal: Asking,
        key: RepeatKey,
        name: Name,
        mode: ModeWord = Mode.PRIVATE,
        about: AboutName = None,
    ) -> Response:
        """Encrypted before it is stored. `linked` takes a lot in `about`."""
        with Draft(new_place(), name, _media_type(request)) as draft:
            await _take_in(request, draft)
            once = await ask_once(request, principal, key)
            return await run_in_threadpool(
                once.answer, lambda token: reply(documents.add(draft, mode, about, clock(), token), 201)
            )


def _add_versions(router: APIRouter, documents: Documents, clock: Clock) -> None:
    routes = Routes(router, "documents", _CHANGED)

    @routes.post(
        "/v1/documents/{id}/versions",
        "addDocumentVersion",
        "Add a version",
        Document,
        status_code=201,
        openapi_extra=_CONTENT,
    )
    async def add_version(
        request: Request,
        principal: Asking,
        key: RepeatKey,
        document: DocumentId,
        name: Name,
        expected: ExpectedTags = None,
    ) -> Response:
        """Under a key of its own; earlier versions stay."""
        place = await run_in_threadpool(documents.next_place, document)
        with Draft(place, name, _media_type(request)) as draft:
            await _take_in(request, draft)
            once = await ask_once(request, principal, key)
            return await run_in_threadpool(
                once.answer,
                lambda token: reply(documents.add_version(draft, clock(), token, expecting(expected)), 201),
            )


def _add_changes(router: APIRouter, documents: Documents, clock: Clock) -> None:
    routes = Routes(router, "documents", {400: PROBLEM, **_CHANGED})

    @routes.patch("/v1/documents/{id}", "setDocumentMode", "Change who may read a document", Document)
    def set_mode(document: DocumentId, change: ModeChange, expected: ExpectedTags = None) -> Response:
        """From now on: what was fetched before cannot be recalled. Grants end with the mode `restricted`."""
        return tagged(documents.set_mode(document, change.mode, expecting(expected)), None)

    @routes.delete("/v1/documents/{id}", "eraseDocument", "Erase a document", Document, responses=LOOKED_UP)
    def erase(document: DocumentId, expected: ExpectedTags = None) -> Response:
        """Ciphertexts, keys, names and salts of all versions are dropped, for good; roots on the ledger stay, and say
        nothing any more. Copies that were fetched cannot be recalled. May be repeated."""
        return tagged(documents.erase(document, clock(), expecting(expected)), None)


def _add_grants(router: APIRouter, documents: Documents, clock: Clock) -> None:
    routes = Routes(router, "documents", _CHANGED)

    @routes.put(
        "/v1/documents/{id}/grants/{participant}", "grantDocument", "Name a participant that may read", Document
    )
    def grant(document: DocumentId, participant: ParticipantNumber, expected: ExpectedTags = None) -> Response:
        """Of a restricted document."""
        return tagged(documents.grant(document, participant, clock(), expecting(expected)), None)

    @routes.delete("/v1/documents/{id}/grants/{participant}", "revokeDocument", "End a grant", Document)
    def revoke(document: DocumentId, participant: ParticipantNumber, expected: ExpectedTags = None) -> Response:
        """The participant reads nothing of it from now on; copies that it fetched cannot be recalled."""
        return tagged(documents.revoke(document, participant, expecting(expected)), None)


async def _take_in(request: Request, draft: Draft) -> None:
    """Stretch by stretch, so that what is too long is refused before it is all here."""
    stretches: AsyncIterator[bytes] = request.stream()
    async for stretch in stretches:
        await run_in_threadpool(draft.write, stretch)


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "application/octet-stream")
