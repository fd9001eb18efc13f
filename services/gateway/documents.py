"""The routes of documents: parameters in, views and sealed files out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from ledger.ids import MAX_IDENTIFIER_LENGTH
from ledger.provenance.sharing import Mode
from services.documents import Documents, Draft, new_place
from services.documents.drafts import MOST_NAME_CHARACTERS
from services.documents.sealed_file import MOST_DOCUMENT_BYTES
from services.documents.views import Document
from services.gateway.document_examples import DOCUMENT
from services.gateway.example_things import IDENTIFIER
from services.gateway.guard import Asking, Clock
from services.gateway.once import RepeatKey, ask_once
from services.gateway.paging import Paging, page_of
from services.gateway.replies import LOOKED_UP, NAMED, PROBLEM, ExpectedTags, KnownTags, expecting, names, reply, tagged
from services.gateway.schemas import model_of

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
    @router.get(
        "/v1/documents",
        operation_id="listDocuments",
        summary="Documents that are there for the caller",
        response_model=page_of(Document),
        responses=NAMED,
        tags=["documents"],
    )
    def page(principal: Asking, paging: Paging, about: AboutName = None) -> Response:
        """By id. Documents that are there only because their lot is linked are found by it: give `about`."""
        after = str(paging.after[0]) if paging.after else ""
        found = documents.page(about, after, paging.limit, principal.viewer)
        return paging.answer(found.documents, None if found.next is None else (found.next,))

    @router.get(
        "/v1/documents/{id}",
        operation_id="getDocument",
        summary="A document and its versions",
        response_model=model_of(Document),
        responses=LOOKED_UP,
        tags=["documents"],
    )
    def get(principal: Asking, document: DocumentId, known: KnownTags = None) -> Response:
        """Names, sizes and roots; the content is in the versions."""
        return tagged(documents.get(document, principal.viewer), known)

    @router.get(
        "/v1/documents/{id}/versions/{version}",
        operation_id="fetchDocument",
        summary="A version, sealed for the caller",
        responses={**_SEALED, **_CHANGED},
        response_class=StreamingResponse,
        tags=["documents"],
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
    @router.post(
        "/v1/documents",
        operation_id="addDocument",
        summary="Add a document",
        response_model=model_of(Document),
        responses=NAMED,
        status_code=201,
        openapi_extra=_CONTENT,
        tags=["documents"],
    )
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
    @router.post(
        "/v1/documents/{id}/versions",
        operation_id="addDocumentVersion",
        summary="Add a version",
        response_model=model_of(Document),
        responses=_CHANGED,
        status_code=201,
        openapi_extra=_CONTENT,
        tags=["documents"],
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
    @router.patch(
        "/v1/documents/{id}",
        operation_id="setDocumentMode",
        summary="Change who may read a document",
        response_model=model_of(Document),
        responses={400: PROBLEM, **_CHANGED},
        tags=["documents"],
    )
    def set_mode(document: DocumentId, change: ModeChange, expected: ExpectedTags = None) -> Response:
        """From now on: what was fetched before cannot be recalled. Grants end with the mode `restricted`."""
        return tagged(documents.set_mode(document, change.mode, expecting(expected)), None)

    @router.delete(
        "/v1/documents/{id}",
        operation_id="eraseDocument",
        summary="Erase a document",
        response_model=model_of(Document),
        responses=LOOKED_UP,
        tags=["documents"],
    )
    def erase(document: DocumentId, expected: ExpectedTags = None) -> Response:
        """Ciphertexts, keys, names and salts of all versions are dropped, for good; roots on the ledger stay, and say
        nothing any more. Copies that were fetched cannot be recalled. May be repeated."""
        return tagged(documents.erase(document, clock(), expecting(expected)), None)


def _add_grants(router: APIRouter, documents: Documents, clock: Clock) -> None:
    @router.put(
        "/v1/documents/{id}/grants/{participant}",
        operation_id="grantDocument",
        summary="Name a participant that may read",
        response_model=model_of(Document),
        responses=_CHANGED,
        tags=["documents"],
    )
    def grant(document: DocumentId, participant: ParticipantNumber, expected: ExpectedTags = None) -> Response:
        """Of a restricted document."""
        return tagged(documents.grant(document, participant, clock(), expecting(expected)), None)

    @router.delete(
        "/v1/documents/{id}/grants/{participant}",
        operation_id="revokeDocument",
        summary="End a grant",
        response_model=model_of(Document),
        responses=_CHANGED,
        tags=["documents"],
    )
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
