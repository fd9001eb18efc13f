"""Captures batches of events over HTTP, and answers once they are durable (services/node/EVENTS.md)."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from structlog.typing import FilteringBoundLogger

from millmark.ledger import canonical, errors, event_json
from millmark.services.node import events as validation
from millmark.services.node import streamlog, submission
from millmark.services.node.intake import Intake, Metrics, Refusal, build_conflict, choose_id

MAX_BATCH_BYTES = 8 << 20
MAX_EVENTS = 10_000
_INLINE_BYTES = 64 << 10
"""Larger batches are parsed in a worker thread, so that they do not block the event loop for small ones. So are all
batches of a node that asks the chain about lots."""
_SOURCE = "http"
_LINES = ("application/x-ndjson", "application/jsonl")
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_REQUEST_ID = "X-Request-ID"
_STATUS: dict[type, int] = {
    validation.LogError: 503,
    validation.LogFullError: 507,  # RFC 4918 section 11.5
    validation.LogBusyError: 429,  # RFC 6585 section 4
}
"""HTTP status by class of LogError; the most specific class applies."""


class _RequestError(Exception):
    """The request is refused as a whole."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        self.status, self.code, self.detail = status, code, detail
        super().__init__(detail)


@dataclass(frozen=True, slots=True)
class _Batch:
    """A parsed body: valid events and their positions in the batch, by stream, and the refused events."""

    events: dict[str, tuple[list[validation.Event], list[int]]]
    refused: list[Refusal]


def create_capture(
    intake: Intake,
    metrics: Metrics,
    refresh: Callable[[], submission.Health],
    token: str | None,
    logger: FilteringBoundLogger,
) -> Starlette:
    """Builds the HTTP application. `refresh` returns the node's health and updates the gauges. `token` is the bearer
    token that senders must present; None lets anyone who can reach the port send events."""
    capture = _Capture(intake, token, logger)

    async def events(request: Request) -> Response:
        return await capture.answer(request)

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok"}, headers=_HEADERS)

    async def ready(_: Request) -> Response:
        found = await run_in_threadpool(refresh)
        return JSONResponse(found.to_json(), 200 if found.ready else 503, headers=_HEADERS)

    async def show_metrics(request: Request) -> Response:
        if not capture.is_allowed(request):
            return _problem(
                _RequestError(401, "token-missing", "send the node's token as a bearer token"), _request_id(request)
            )
        await run_in_threadpool(refresh)
        return Response(generate_latest(metrics.registry), headers=_HEADERS, media_type=CONTENT_TYPE_LATEST)

    return Starlette(
        routes=[
            Route("/v1/events", events, methods=["POST"]),
            Route("/health", health),
            Route("/ready", ready),
            Route("/metrics", show_metrics),
        ]
    )


class _Capture:
    """Handles `POST /v1/events`."""

    def __init__(self, intake: Intake, token: str | None, logger: FilteringBoundLogger) -> None:
        self._intake = intake
        self._expected = None if token is None else f"Bearer {token}".encode()
        self._logger = logger

    def is_allowed(self, request: Request) -> bool:
        # Compared in constant time, so that response times do not reveal how much of a guess is right.
        given = request.headers.get("Authorization", "").encode("latin-1", "replace")
        return self._expected is None or hmac.compare_digest(given, self._expected)

    async def answer(self, request: Request) -> Response:
        request_id = _request_id(request)
        try:
            if not self.is_allowed(request):
                raise _RequestError(401, "token-missing", "send the node's token as a bearer token")
            lines = _is_lines(request)
            body = await _read_body(request)
            if len(body) > _INLINE_BYTES or self._intake.asks:
                batch = await run_in_threadpool(self._parse, body, lines, request_id)
            else:
                batch = self._parse(body, lines, request_id)
            return await self._commit(batch, request_id, _REQUEST_ID in request.headers)
        except _RequestError as error:
            self._logger.warning("batch refused", request_id=request_id, code=error.code, status=error.status)
            return _problem(error, request_id)
        except validation.LogError as error:
            self._logger.error("batch not taken", request_id=request_id, code=error.code, cause=error.cause)
            status = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
            return _problem(_RequestError(status, error.code, str(error)), request_id)

    def _parse(self, body: bytes, lines: bool, request_id: str) -> _Batch:
        """Parses and validates the events of a body. Raises _RequestError if the body as a whole is unusable."""
        batch = _Batch({}, [])
        for position, one in enumerate(_split(body, lines)):
            try:
                parsed = validation.parse_event(one) if isinstance(one, bytes) else one
                stream, event = self._intake.check(parsed)
            except validation.EventRefusedError as error:
                self._intake.refuse(
                    validation.Origin(_SOURCE, request_id), error, one if isinstance(one, bytes) else _show(one)
                )
                batch.refused.append(Refusal(position, error.reason, str(error)))
                continue
            if stream not in batch.events:
                batch.events[stream] = [], []
            events, positions = batch.events[stream]
            events.append(event)
            positions.append(position)
        return batch

    async def _commit(self, batch: _Batch, request_id: str, named: bool) -> Response:
        """Commits the events to all streams concurrently. `named`: the sender chose the request id, so it is logged."""
        waiting = [self._intake.submit(stream, events) for stream, (events, _) in batch.events.items()]
        settled = await asyncio.gather(*map(asyncio.wrap_future, waiting), return_exceptions=True)
        accepted = duplicates = 0
        leaves: dict[str, list[int]] = {}
        stored: list[dict[str, object]] = []
        for (stream, (events, positions)), outcome in zip(batch.events.items(), settled, strict=True):
            if isinstance(outcome, BaseException):
                # The sender repeats the whole batch; events that other streams have made durable are duplicates then.
                raise outcome
            accepted += outcome.accepted
            duplicates += outcome.duplicates
            if outcome.accepted:
                leaves[stream] = outcome.leaves()
                stored += _show_leaves(stream, outcome, events, positions)
            for at in outcome.conflicts:
                error = build_conflict()
                self._intake.refuse(validation.Origin(_SOURCE, request_id, stream), error, events[at].content)
                batch.refused.append(Refusal(positions[at], error.reason, str(error)))
        if named:
            self._logger.info("batch taken", request_id=request_id, leaves=leaves, duplicates=duplicates)
        counts = {"accepted": accepted, "duplicates": duplicates, "leaves": stored}
        return self._report(counts, batch.refused, request_id)

    def _report(self, counts: dict[str, object], refused: list[Refusal], request_id: str) -> Response:
        report = {
            **counts,
            "refused": [asdict(one) for one in sorted(refused, key=lambda one: one.position)],
            "request_id": request_id,
        }
        if refused:
            reasons = sorted({one.reason for one in refused})
            self._logger.warning("events refused", request_id=request_id, refused=len(refused), reasons=reasons)
        status = 200 if counts["accepted"] or counts["duplicates"] or not refused else 422
        # The same bytes as from JSONResponse, in a sixth of its time: a report has an object for each event.
        written = msgspec.json.encode(report)
        return Response(written, status, {**_HEADERS, _REQUEST_ID: request_id}, "application/json")


def _show_leaves(
    stream: str, outcome: streamlog.Outcome, events: Sequence[validation.Event], positions: Sequence[int]
) -> Iterator[dict[str, object]]:
    """Where each accepted event is in the evidence, as who finishes an operation with it has to state."""
    leaves = validation.leaves_of_events((salt, events[at].content) for at, salt in outcome.salts)
    for index, ((at, _), leaf) in enumerate(zip(outcome.salts, leaves, strict=True), outcome.first):
        yield {"position": positions[at], "stream": stream, "leaf_index": index, "leaf_hash": "0x" + leaf.hex()}


def _request_id(request: Request) -> str:
    return choose_id(request.headers.get(_REQUEST_ID, ""))


def _is_lines(request: Request) -> bool:
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind not in ("application/json", *_LINES):
        raise _RequestError(415, "media-type-unknown", "send application/json or application/x-ndjson")
    return kind in _LINES


async def _read_body(request: Request) -> bytes:
    """Reads the body, and raises _RequestError once it exceeds `MAX_BATCH_BYTES`, or if it does not come whole."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BATCH_BYTES:
                raise _RequestError(413, "batch-too-large", f"a batch may have at most {MAX_BATCH_BYTES} bytes")
    except ClientDisconnect:
        raise _RequestError(400, "batch-incomplete", "the connection ended before the batch did") from None
    return bytes(body)


def _split(body: bytes, lines: bool) -> Sequence[event_json.Parsed | bytes]:
    """Splits a body into unparsed lines or parsed JSON values. Raises _RequestError for invalid JSON or a wrong
    count."""
    found: Sequence[event_json.Parsed | bytes]
    if lines:
        found = [line for line in body.split(b"\n") if line.strip()]
    else:
        try:
            found = validation.parse_events(body, max_bytes=MAX_BATCH_BYTES, max_depth=validation.MAX_DEPTH + 1)
        except validation.EventRefusedError as error:
            raise _RequestError(400, "not-json", str(error)) from None
    if not 0 < len(found) <= MAX_EVENTS:
        raise _RequestError(413 if found else 422, "batch-size", f"a batch must have 1 to {MAX_EVENTS} events")
    return found


def _show(parsed: event_json.Parsed) -> bytes:
    try:
        return canonical.canonical_json(parsed.value)
    except errors.CanonicalError:
        return b""


def _problem(error: _RequestError, request_id: str) -> Response:
    """A problem response (RFC 9457)."""
    problem = {
        "type": "about:blank",
        "status": error.status,
        "code": error.code,
        "detail": error.detail,
        "request_id": request_id,
    }
    headers = {**_HEADERS, _REQUEST_ID: request_id}
    if error.status in (429, 503, 507):
        headers["Retry-After"] = "1"
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(json.dumps(problem), error.status, headers, "application/problem+json")
