"""Routes of documents: metadata, encrypted files, and who may read them, with which keys; and hand-overs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Annotated, Any, TypeVar

from fastapi import Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse

from millmark.ledger import errors, ids
from millmark.ledger.provenance.answers import Party, Printable
from millmark.services.access import Scope
from millmark.services.access.rules import Rule, Without
from millmark.services.documents import Documents, Draft, Recipients, new_version_id, service
from millmark.services.documents.encryption import MAX_DOCUMENT_BYTES
from millmark.services.documents.views import About, Document, DocumentVersion, Grant, Mode, RecipientKey
from millmark.services.gateway.http import example_values as examples
from millmark.services.gateway.http import problems
from millmark.services.gateway.http import routes as http
from millmark.services.gateway.http.authentication import Clock, CurrentPrincipal
from millmark.services.gateway.http.middleware import IdempotencyKey, read_idempotent_request
from millmark.services.gateway.http.route_table import Examples, RouteTable
from millmark.services.handover import content
from millmark.services.handover.receiving import Kept, Receiver
from millmark.services.serving.requests import BoundedWork, WholeNumber

SEALED_MEDIA_TYPE = "application/vnd.millmark.sealed-document"
_EXAMPLE_ID = "5d0f2c6e9b7a4c1d8e3f60718293a4b5"
_READ, _CHANGE = Rule(Scope.DOCUMENTS), Rule(Scope.DOCUMENT_CHANGES, owner=True)
_UPLOAD = Rule(Scope.DOCUMENT_CHANGES, owner=True, body_bytes=MAX_DOCUMENT_BYTES, cost=10)

DocumentId = Annotated[
    str, Path(alias="id", pattern="^[0-9a-f]{32}$", description="Id of a document.", examples=[_EXAMPLE_ID])
]
VersionNumber = Annotated[WholeNumber, Path(ge=1, le=2**31, description="Number of a version, from 1.", examples=[1])]
ParticipantNumber = Annotated[
    WholeNumber, Path(ge=1, le=2**32 - 1, description="Number of a participant.", examples=[5])
]
Name = Annotated[
    str,
    Query(min_length=1, max_length=service.MAX_NAME_CHARACTERS, description="File name.", examples=["drawing.pdf"]),
]
AboutName = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=ids.MAX_IDENTIFIER_LENGTH,
        description="Identifier or subject of a lot or an order.",
        examples=[examples.IDENTIFIER],
    ),
]
ModeWord = Annotated[Mode, Query(description="Who may read it.", examples=["restricted"])]

_CHANGED = {409: http.PROBLEM, **http.PROBLEMS_404}
_CONTENT: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": f"The file's content, at most {MAX_DOCUMENT_BYTES:,} bytes. Its Content-Type is stored.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_SEALED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The encrypted version; its key is wrapped for the caller. `millmark documents open` reads it.",
        "content": {SEALED_MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}},
    }
}


def _drawing() -> Document:
    return Document(
        document=_EXAMPLE_ID,
        mode=Mode.RESTRICTED,
        about=About(ids.SubjectKind.LOT, examples.LOT, examples.IDENTIFIER),
        versions=(DocumentVersion(1, "drawing.pdf", "application/pdf", 48_213, b"\x5e" * 32, examples.NOW),),
        grants=(Grant(Party(5, "Cedar Assembly"), examples.NOW),),
        added_at=examples.NOW,
        erased_at=None,
    )


def _erased() -> Document:
    erased = DocumentVersion(1, None, None, None, b"\x5e" * 32, examples.NOW)
    return replace(_drawing(), versions=(erased,), grants=(), erased_at=examples.NOW + timedelta(days=30))


_DRAWING: Examples = {"drawing": _drawing}


class ModeChange(BaseModel):
    """A change of who may read a document."""

    model_config = ConfigDict(extra="forbid")

    mode: Mode


def add_documents(
    table: RouteTable, documents: Documents, clock: Clock, ask_to_erase: Callable[[Iterable[bytes]], int]
) -> None:
    """`ask_to_erase` has other companies erase what they were handed of the documents with these claims roots."""
    _add_reading(table, documents)
    _add_fetching(table, documents)
    _add_uploads(table, documents, clock)
    _add_versions(table, documents, clock)
    _add_changes(table, documents)
    _add_erasing(table, documents, clock, ask_to_erase)
    _add_grants(table, documents, clock)


def _add_reading(table: RouteTable, documents: Documents) -> None:
    routes = http.Routes(table, "documents", http.PROBLEMS_404)

    @routes.page(
        "/v1/documents",
        "listDocuments",
        "List documents",
        Document,
        rule=_READ,
        examples={"one": lambda: {"items": [_drawing().to_json()], "next": None}},
        responses=http.PROBLEMS_400_404,
    )
    def page(principal: CurrentPrincipal, paging: http.Paging, about: AboutName = None) -> Response:
        """Returns the documents visible to the caller, ordered by id. Documents that are visible only because their lot
        is linked to one of the caller's are listed only with `about`."""
        after = str(paging.after[0]) if paging.after else ""
        found = documents.page(about, after, paging.limit, principal.viewer)
        return paging.answer(found.documents, None if found.next is None else (found.next,))

    @routes.one(
        "/v1/documents/{id}",
        "getDocument",
        "Get a document and its versions",
        Document,
        rule=_READ,
        examples=_DRAWING,
    )
    def get(principal: CurrentPrincipal, document: DocumentId, if_none_match: http.IfNoneMatch = None) -> Response:
        """Returns names, sizes and roots. The content of each version is fetched separately."""
        return http.reply_with_etag(documents.get(document, principal.viewer), if_none_match)


def _add_fetching(table: RouteTable, documents: Documents) -> None:
    routes = http.Routes(table, "documents", http.PROBLEMS_404)

    @routes.get(
        "/v1/documents/{id}/versions/{version}",
        "fetchDocument",
        "Fetch a version, encrypted for the caller",
        rule=Rule(Scope.DOCUMENTS, cost=5),
        responses={**_SEALED, **_CHANGED},
        response_class=StreamingResponse,
    )
    def fetch(
        principal: CurrentPrincipal,
        document: DocumentId,
        version: VersionNumber,
        if_none_match: http.IfNoneMatch = None,
    ) -> Response:
        """The version is encrypted, with its key wrapped for the recipient key that the caller's participant published.
        The gateway never sends a document unencrypted."""
        sealed = documents.fetch(document, version, principal.participant, principal.viewer)
        # A weak ETag: the wrapped key differs in every response, but opens to the same content.
        headers = {"ETag": f'W/"{sealed.tag}"', "Cache-Control": "private, no-cache"}
        if if_none_match is not None and http.etag_matches(if_none_match, f'"{sealed.tag}"'):
            return Response(status_code=304, headers=headers)
        headers["Content-Disposition"] = f'attachment; filename="{document}.{version}.sealed"'
        headers["Content-Length"] = str(sealed.size)
        return StreamingResponse(sealed.stream(), headers=headers, media_type=SEALED_MEDIA_TYPE)


def _add_uploads(table: RouteTable, documents: Documents, clock: Clock) -> None:
    routes = http.Routes(table, "documents", http.PROBLEMS_400_404)

    @routes.post(
        "/v1/documents",
        "addDocument",
        "Add a document",
        Document,
        rule=_UPLOAD,
        examples=_DRAWING,
        status_code=201,
        openapi_extra=_CONTENT,
    )
    async def add(
        request: Request,
        principal: CurrentPrincipal,
        key: IdempotencyKey,
        name: Name,
        mode: ModeWord = Mode.PRIVATE,
        about: AboutName = None,
    ) -> Response:
        """The file is encrypted before it is stored. The mode `linked` requires a lot in `about`."""
        with Draft(new_version_id(), name, _media_type(request)) as draft:
            # The body is read first, because the request's digest, which the key is bound to, covers it.
            await _receive(request, draft)
            idempotent = await read_idempotent_request(request, principal, key)
            return await run_in_threadpool(
                idempotent.respond, lambda token: http.reply(documents.add(draft, mode, about, clock(), token), 201)
            )


def _add_versions(table: RouteTable, documents: Documents, clock: Clock) -> None:
    routes = http.Routes(table, "documents", _CHANGED)

    @routes.post(
        "/v1/documents/{id}/versions",
        "addDocumentVersion",
        "Add a version",
        Document,
        rule=_UPLOAD,
        examples=_DRAWING,
        status_code=201,
        openapi_extra=_CONTENT,
    )
    async def add_version(
        request: Request,
        principal: CurrentPrincipal,
        key: IdempotencyKey,
        document: DocumentId,
        name: Name,
        if_match: http.IfMatch = None,
    ) -> Response:
        """The version is encrypted under a new key. Earlier versions are kept."""
        # Needed before encryption starts: document and number are authenticated with the ciphertext.
        version_id = await run_in_threadpool(documents.next_version_id, document)
        # Should another upload take the same number meanwhile, `add_version` refuses this one.
        with Draft(version_id, name, _media_type(request)) as draft:
            await _receive(request, draft)
            idempotent = await read_idempotent_request(request, principal, key)
            return await run_in_threadpool(
                idempotent.respond,
                lambda token: http.reply(
                    documents.add_version(draft, clock(), token, http.build_precondition(if_match)), 201
                ),
            )


def _add_changes(table: RouteTable, documents: Documents) -> None:
    routes = http.Routes(table, "documents", {400: http.PROBLEM, **_CHANGED})

    @routes.patch(
        "/v1/documents/{id}",
        "setDocumentMode",
        "Change who may read a document",
        Document,
        rule=_CHANGE,
        examples=_DRAWING,
    )
    def set_mode(document: DocumentId, change: ModeChange, if_match: http.IfMatch = None) -> Response:
        """The mode applies to later requests: what was fetched before cannot be recalled. Grants are removed when the
        mode is no longer `restricted`."""
        return http.reply_with_etag(documents.set_mode(document, change.mode, http.build_precondition(if_match)), None)


def _add_erasing(
    table: RouteTable, documents: Documents, clock: Clock, ask_to_erase: Callable[[Iterable[bytes]], int]
) -> None:
    routes = http.Routes(table, "documents", {400: http.PROBLEM, **_CHANGED})

    @routes.delete(
        "/v1/documents/{id}",
        "eraseDocument",
        "Erase a document",
        Document,
        rule=Rule(Scope.DOCUMENT_CHANGES, owner=True, cost=50),
        examples={"erased": _erased},
        responses=http.PROBLEMS_404,
    )
    def erase(document: DocumentId, if_match: http.IfMatch = None) -> Response:
        """Permanently deletes the ciphertexts, keys, names and salts of all versions. The roots remain on the ledger,
        but reveal nothing any more. Gateways to which a record's claims on it were handed over erase these too. Copies
        that were fetched cannot be recalled. Idempotent."""
        erased = documents.erase(document, clock(), http.build_precondition(if_match))
        ask_to_erase(version.root for version in erased.versions)
        return http.reply_with_etag(erased, None)


def _add_grants(table: RouteTable, documents: Documents, clock: Clock) -> None:
    routes = http.Routes(table, "documents", _CHANGED)

    @routes.put(
        "/v1/documents/{id}/grants/{participant}",
        "grantDocument",
        "Grant a participant access",
        Document,
        rule=_CHANGE,
        examples=_DRAWING,
    )
    def grant(document: DocumentId, participant: ParticipantNumber, if_match: http.IfMatch = None) -> Response:
        """Lets a participant read the document, which has to be in mode `restricted`."""
        return http.reply_with_etag(
            documents.grant(document, participant, clock(), http.build_precondition(if_match)), None
        )

    @routes.delete(
        "/v1/documents/{id}/grants/{participant}",
        "revokeDocument",
        "Revoke a participant's access",
        Document,
        rule=_CHANGE,
        examples=_DRAWING,
    )
    def revoke(document: DocumentId, participant: ParticipantNumber, if_match: http.IfMatch = None) -> Response:
        """The participant can no longer fetch the document. Copies that it has fetched cannot be recalled."""
        return http.reply_with_etag(documents.revoke(document, participant, http.build_precondition(if_match)), None)


async def _receive(request: Request, draft: Draft) -> None:
    """Writes the body to the draft piece by piece, so that one that is too long is refused before it is complete."""
    pieces: AsyncIterator[bytes] = request.stream()
    async for piece in pieces:
        await run_in_threadpool(draft.write, piece)


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "application/octet-stream")


class PublishedKey(BaseModel):
    """An X25519 key with a statement that a key of the participant signed (EIP-712, see DOCUMENTS.md)."""

    model_config = ConfigDict(extra="forbid")

    public_key: str = Field(pattern="^0x[0-9a-f]{64}$")
    issued_at: int = Field(ge=0, lt=2**53, description="Seconds since 1970.")
    signature: str = Field(pattern="^0x[0-9a-f]{130}$", description="r, s and v = 27 or 28.")


def add_recipient_keys(table: RouteTable, recipients: Recipients, clock: Clock) -> None:
    routes = http.Routes(table, "documents", {409: http.PROBLEM, **http.PROBLEMS_404})

    @routes.put(
        "/v1/recipient-key",
        "publishRecipientKey",
        "Publish your recipient key",
        RecipientKey,
        rule=Rule(Scope.DOCUMENTS),
        examples={"key": _key},
    )
    def publish(principal: CurrentPrincipal, key: PublishedKey) -> Response:
        """Replaces the key that the caller's participant published before."""
        if principal.participant is None:
            raise errors.InputError("recipient keys belong to participants", hint="sign in as a participant")
        published = recipients.publish(
            principal.participant,
            bytes.fromhex(key.public_key[2:]),
            key.issued_at,
            bytes.fromhex(key.signature[2:]),
            clock(),
        )
        return http.reply(published)

    @routes.one(
        "/v1/recipient-keys/{participant}",
        "getRecipientKey",
        "Get a participant's recipient key",
        RecipientKey,
        rule=Rule(Scope.DOCUMENTS),
        examples={"key": _key},
    )
    def get(participant: ParticipantNumber, if_none_match: http.IfNoneMatch = None) -> Response:
        """Returns the key with the signature that binds it to the participant."""
        return http.reply_with_etag(recipients.get(participant), if_none_match)


def _key() -> RecipientKey:
    return RecipientKey(5, b"\x3c" * 32, int(examples.NOW.timestamp()), b"\x6d" * 64 + b"\x1b", b"\x5c" * 20)


R = TypeVar("R")
_HEAD_S, _BODY_S = 10.0, 120.0
"""Longest time in which the first line, and then the rest, must arrive."""
_EXAMPLE = "5e" * 32
_REFUSED: http.Problems = {409: http.PROBLEM, 422: http.PROBLEM, **http.PROBLEMS_404}
_HANDED_CONTENT: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": f"A hand-over, at most {content.MAX_HANDOVER_BYTES:,} bytes, as HANDOVER.md specifies it.",
        "content": {content.MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}},
    }
}
HandoverDigest = Annotated[
    str,
    Path(alias="digest", pattern="^[0-9a-f]{64}$", description="SHA-256 of its ciphertext.", examples=[_EXAMPLE]),
]


@dataclass(frozen=True, slots=True)
class OfferReceipt(Printable):
    """The company's signed word that it has an offer (CALLS.md, "Receipts")."""

    call: bytes
    """Digest of the call."""
    offer: bytes
    """Leaf hash of the offer."""
    received_at: int
    """Seconds since 1970."""
    signature: bytes
    """65 bytes: r, s and v = 27 or 28."""


@dataclass(frozen=True, slots=True)
class HandoverReceipt(Printable):
    """What was kept."""

    record: int
    """Sequence of the ledger's record because of which it was handed over."""
    names: int
    documents: int
    again: bool
    """Whether it was kept before, so that nothing changed now."""
    receipts: tuple[OfferReceipt, ...] = ()
    """For the offers in it that count, if this gateway's company coordinates their call."""


def _receipt() -> HandoverReceipt:
    offer = OfferReceipt(b"\x3c" * 32, b"\x4d" * 32, 1_795_000_000, b"\x5e" * 64 + b"\x1b")
    return HandoverReceipt(31, 3, 2, again=False, receipts=(offer,))


def add_handovers(
    table: RouteTable, receiver: Receiver | None, verify_fresh: Callable[[], None], follow_now: Callable[[], None]
) -> None:
    """`follow_now` has the index look for new blocks without waiting for its time."""
    routes, work = http.Routes(table, "handovers", _REFUSED), BoundedWork(at_once=1, waiting=8)

    def keep(envelope: content.Envelope) -> Kept:
        with work.take() as mine:
            if not mine or receiver is None:
                raise problems.BusyError("too many hand-overs are being verified", retry_after_s=5)
            try:
                return receiver.receive(envelope)
            except content.HandoverEarlyError:
                follow_now()  # so that the sender's next attempt, a second later, is not too early as well
                raise

    @routes.put(
        "/v1/handovers/{digest}",
        "handOver",
        "Hand over to this gateway's company",
        HandoverReceipt,
        rule=Rule(Without.CREDENTIAL, body_bytes=content.MAX_HANDOVER_BYTES),
        examples={"kept": _receipt},
        openapi_extra=_HANDED_CONTENT,
    )
    async def put(request: Request, digest: HandoverDigest) -> Response:
        """The signature in the first line is the credential: it is verified before the rest is read, and whoever has
        no active key gets the answer of a place where nothing is. 409: this gateway's index is not that far yet; send
        it again. 422: it will never be taken. The same hand-over may be sent again."""
        if receiver is None:
            raise _nothing()
        await run_in_threadpool(verify_fresh)  # it reads the database
        body = request.stream()
        line, beginning = await _in_time(_read_line(body), _HEAD_S)
        try:
            head = content.parse_head(line)
            if head.digest.hex() != digest:
                raise _nothing()
            await run_in_threadpool(receiver.verify_head, head)
        except content.HandoverRefusedError:
            raise _nothing() from None
        rest = await _in_time(_read(body, beginning, head.size * 2), _BODY_S)
        kept = await run_in_threadpool(keep, content.parse_envelope(line + b"\n" + rest))
        receipts = tuple(OfferReceipt(one.call, one.offer, one.received_at, one.signature) for one in kept.receipts)
        return http.reply(HandoverReceipt(kept.sequence, kept.names, kept.documents, kept.again, receipts))


def _nothing() -> errors.NotFoundError:
    return errors.NotFoundError("there is nothing here for this request", hint="see HANDOVER.md")


async def _in_time(reading: Awaitable[R], most_s: float) -> R:
    try:
        async with asyncio.timeout(most_s):
            return await reading
    except (TimeoutError, ClientDisconnect):
        raise _nothing() from None


async def _read_line(body: AsyncIterator[bytes]) -> tuple[bytes, bytes]:
    """The first line, without its end, and what arrived behind it."""
    found = b""
    async for piece in body:
        found += piece
        line, end, rest = found.partition(b"\n")
        if len(line) > content.MAX_HEAD_BYTES:
            break
        if end:
            return line, rest
    raise _nothing()


async def _read(body: AsyncIterator[bytes], beginning: bytes, most: int) -> bytes:
    """The rest of the body."""
    pieces, size = [beginning], len(beginning)
    async for piece in body:
        size += len(piece)
        if size > most + 8:
            raise content.HandoverRefusedError("something follows its end", hint="send it as it was made")
        pieces.append(piece)
    return b"".join(pieces)
