"""The route by which other companies hand over to this one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Path, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from millmark.ledger.errors import NotFoundError
from millmark.ledger.provenance.answers import Printable
from millmark.services.access.rules import Rule, Without
from millmark.services.gateway.http.errors import BusyError
from millmark.services.gateway.http.responses import PROBLEM, PROBLEMS_404, Problems, reply
from millmark.services.gateway.http.route_table import RouteTable
from millmark.services.gateway.http.routes import Routes
from millmark.services.handover.content import (
    MAX_HANDOVER_BYTES,
    MAX_HEAD_BYTES,
    MEDIA_TYPE,
    Envelope,
    HandoverEarlyError,
    HandoverRefusedError,
    parse_envelope,
    parse_head,
)
from millmark.services.handover.receiving import Kept, Receiver
from millmark.services.serving.requests import BoundedWork

R = TypeVar("R")
_RULE = Rule(Without.CREDENTIAL, body_bytes=MAX_HANDOVER_BYTES)
_HEAD_S, _BODY_S = 10.0, 120.0
"""Longest time in which the first line, and then the rest, must arrive."""
_EXAMPLE = "5e" * 32
_REFUSED: Problems = {409: PROBLEM, 422: PROBLEM, **PROBLEMS_404}
_CONTENT: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": f"A hand-over, at most {MAX_HANDOVER_BYTES:,} bytes, as HANDOVER.md specifies it.",
        "content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}},
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
    routes, work = Routes(table, "handovers", _REFUSED), BoundedWork(at_once=1, waiting=8)

    def keep(envelope: Envelope) -> Kept:
        with work.take() as mine:
            if not mine or receiver is None:
                raise BusyError("too many hand-overs are being verified", retry_after_s=5)
            try:
                return receiver.receive(envelope)
            except HandoverEarlyError:
                follow_now()  # so that the sender's next attempt, a second later, is not too early as well
                raise

    @routes.put(
        "/v1/handovers/{digest}",
        "handOver",
        "Hand over to this gateway's company",
        HandoverReceipt,
        rule=_RULE,
        examples={"kept": _receipt},
        openapi_extra=_CONTENT,
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
            head = parse_head(line)
            if head.digest.hex() != digest:
                raise _nothing()
            await run_in_threadpool(receiver.verify_head, head)
        except HandoverRefusedError:
            raise _nothing() from None
        rest = await _in_time(_read(body, beginning, head.size * 2), _BODY_S)
        kept = await run_in_threadpool(keep, parse_envelope(line + b"\n" + rest))
        receipts = tuple(OfferReceipt(one.call, one.offer, one.received_at, one.signature) for one in kept.receipts)
        return reply(HandoverReceipt(kept.sequence, kept.names, kept.documents, kept.again, receipts))


def _nothing() -> NotFoundError:
    return NotFoundError("there is nothing here for this request", hint="see HANDOVER.md")


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
        if len(line) > MAX_HEAD_BYTES:
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
            raise HandoverRefusedError("something follows its end", hint="send it as it was made")
        pieces.append(piece)
    return b"".join(pieces)
