"""ASGI middleware for every request: request id, limits, headers, audit entry, one log line, and the last-resort error
handler.

Below it: writes that are sent again.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import os
import re
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request, Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.typing import FilteringBoundLogger

from millmark.ledger.store import Store
from millmark.ledger.store.process_identity import describe_process, is_gone
from millmark.services.access import Principal
from millmark.services.audit import Access, AuditError, AuditLog
from millmark.services.gateway.http import authentication, route_table
from millmark.services.gateway.http.problems import ErrorHandler, InFlightError, KeyReusedError, RateLimitedError
from millmark.services.idempotency.repository import AnswerRepository, AnswerRow
from millmark.services.serving.connections import name_address
from millmark.services.serving.hosts import is_own_host

MAX_URI_BYTES = 8192
"""Path and query together. The longest identifier fits, even if every character is percent-encoded."""
REQUEST_ID = "X-Request-ID"
SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_ROUNDING_S = 0.002
_NO_BODY = hashlib.sha256().digest()
_REQUEST_ID_FORM = re.compile(r"[A-Za-z0-9._-]{1,64}")


class GatewayMiddleware:
    """Wraps the whole application."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        errors: ErrorHandler,
        logger: FilteringBoundLogger,
        hosts: frozenset[str],
        audit: AuditLog | None,
        observe: Callable[[str | None, str, int, float], None],
        limiter: authentication.Limiter,
        absent_every_s: float,
    ) -> None:
        """`observe` is called with route, method, status and seconds of every request. `absent_every_s`: as in
        GatewayParts."""
        self._observe = observe
        self._app, self._errors, self._routes, self._absent_every_s = app, errors, errors.routes, absent_every_s
        self._logger, self._hosts, self._audit, self._limiter = logger, hosts, audit, limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sender = _ResponseSender(scope, send, self._routes, self._audit, self._absent_every_s)
        scope.setdefault("state", {})["request_id"] = sender.request_id
        start = time.perf_counter()
        try:
            scope["state"]["head"] = sender.method == "HEAD"
            if sender.method == "HEAD":
                scope["method"] = "GET"  # the router knows no HEAD; the sender removes the body
            await self._serve(scope, receive, sender)
        finally:
            self._log(scope, sender, time.perf_counter() - start)

    async def _serve(self, scope: Scope, receive: Receive, sender: _ResponseSender) -> None:
        try:
            refusal = self._refusal(scope)
            if refusal is not None:
                response = self._errors.respond(refusal, sender.request_id, scope["path"])
                await response(scope, receive, sender.send)
            else:
                most = self._routes.most_body_bytes(scope["method"], scope["path"])
                await self._app(scope, _bounded(scope, receive, most), sender.send)
        except ClientDisconnect:  # before the end of the body: nothing failed here, and nobody reads the answer
            if not sender.status:
                response = self._errors.respond(HTTPException(400), sender.request_id, scope["path"])
                await response(scope, receive, sender.send)
        except Exception as raised:
            # The audit's own failure is what the operator has to see, not the wrapper around it.
            error = sender.audit_failure or raised
            self._logger.error("unexpected failure", request_id=sender.request_id, exc_info=raised)
            if sender.status:
                raise  # the status line is already sent: all that is left is to close the connection
            await self._errors.fail(Request(scope), error)(scope, receive, sender.send)

    def _refusal(self, scope: Scope) -> Exception | None:
        """Checks that do not depend on the route. Returns the error, or None."""
        if self._routes.is_free(scope["method"], scope["path"]):
            return self._malformed(scope)
        address = name_address((scope.get("client") or (None,))[0])
        try:
            if not {b"authorization", b"cookie"} & {name for name, _ in scope["headers"]}:
                self._limiter.verify_any(address)  # the guard takes the tokens, once the route is known
            refusal = self._malformed(scope)
            if refusal is not None:
                self._limiter.take(address, 1)
        except RateLimitedError as error:
            return error
        return refusal

    def _malformed(self, scope: Scope) -> HTTPException | None:
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MAX_URI_BYTES:
            return HTTPException(414)
        headers = Headers(scope=scope)
        if not is_own_host(headers.getlist("host"), self._hosts):
            return HTTPException(421)
        length = headers.get("content-length", "0")
        most = self._routes.most_body_bytes(scope["method"], scope["path"])
        # Refused early if the length is declared; `_bounded` counts what really arrives.
        return HTTPException(413) if not length.isdecimal() or int(length) > most else None

    def _log(self, scope: Scope, sender: _ResponseSender, seconds: float) -> None:
        """Logs the route but neither path nor query, which contain serial numbers."""
        route = getattr(scope.get("route"), "path", None)
        self._observe(route, sender.method, sender.status, seconds)
        self._logger.info(
            "request",
            request_id=sender.request_id,
            method=sender.method,
            route=route,
            status=sender.status,
            duration_ms=round(seconds * 1000, 1),
        )


def _bounded(scope: Scope, receive: Receive, most: int) -> Receive:
    """Raises HTTPException once a body exceeds `most` bytes, whatever Content-Length claims. Stores the SHA-256 of what
    was read in the request's state."""
    seen = 0
    digest = scope["state"]["body_digest"] = hashlib.sha256()

    async def receive_bounded() -> Message:
        nonlocal seen
        message = await receive()
        body = message.get("body", b"")
        seen += len(body)
        if seen > most:
            raise HTTPException(413)
        digest.update(body)
        return message

    return receive_bounded


async def body_digest(request: Request) -> bytes:
    """SHA-256 of the whole body, reading it first if necessary."""
    with suppress(RuntimeError):  # the body was read as a stream, to its end
        await request.body()
    found: bytes = request.state.body_digest.digest()
    return found


class _ResponseSender:
    """Sends a response with the headers common to all, and without a body if the method is HEAD."""

    def __init__(
        self, scope: Scope, send: Send, routes: route_table.RouteTable, audit: AuditLog | None, absent_every_s: float
    ) -> None:
        self._began_s, self._absent_every_s = time.perf_counter(), absent_every_s
        # Arbitrary text from a caller must not reach the log, so other ids are replaced.
        given = Headers(scope=scope).get(REQUEST_ID, "")
        self.request_id = given if _REQUEST_ID_FORM.fullmatch(given) else uuid.uuid4().hex
        self.status = 0
        self.method = scope["method"]
        self._send, self._scope, self._routes, self._audit = send, scope, routes, audit
        self.audit_failure: AuditError | None = None
        """Why the response could not be audited. Kept here because Starlette wraps the exception as it propagates."""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if self._could_tell(message["status"]):
                await _wait_for_next(self._began_s, self._absent_every_s)
            # Before the first byte is sent: a response whose audit entry cannot be written is never seen by the caller.
            self._append_audit_entry(message["status"])
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers[REQUEST_ID] = self.request_id
            # Defaults only: pages set their own policy, cacheable responses their own Cache-Control.
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
        elif self.method == "HEAD":
            message = {**message, "body": b""}
        await self._send(message)

    def _could_tell(self, status: int) -> bool:
        """Whether the time taken could tell the caller that something exists which it must not see."""
        principal: Principal | None = self._scope["state"].get("principal")
        if principal is None or principal.viewer is None:
            return False
        row = self._routes.get(self._scope["method"], getattr(self._scope.get("route"), "path", ""))
        by_name = row is not None and row.rule.by_name
        return status == 404 or by_name or b"identifier=" in self._scope["query_string"]

    def _append_audit_entry(self, status: int) -> None:
        """Writes the audit entry before the response starts. Raises AuditError if it cannot be written."""
        audit, self._audit = self._audit, None  # only once: the 503 that reports the failure is sent without an entry
        route = getattr(self._scope.get("route"), "path", None)
        if audit is None or route is None or not self._routes.is_audited(self._scope["method"], route):
            return
        state = self._scope["state"]
        principal: Principal | None = state.get("principal")
        body = state["body_digest"]
        access = Access(
            participant=None if principal is None else principal.participant,
            credential="" if principal is None else principal.acting,
            action=f"{self.method} {route}",
            target=self._scope["path"],
            status=status,
            request_id=self.request_id,
            body_digest=None if body.digest() == _NO_BODY else body.digest(),
            # The operator of an open gateway has no credential either, but is one.
            anonymous=principal is None or (principal.participant is None and not principal.owner),
        )
        try:
            audit.append(access)
        except AuditError as error:
            self.audit_failure = error
            raise


async def _wait_for_next(began_s: float, every_s: float) -> None:
    """Waits until a multiple of `every_s` after `began_s`."""
    if not every_s:
        return
    end_s = began_s + every_s * math.ceil((time.perf_counter() - began_s) / every_s)
    # Timers of the event loop round to milliseconds from when they are set, so their end still tells when that was.
    await asyncio.sleep(end_s - time.perf_counter() - _ROUNDING_S)
    while time.perf_counter() < end_s:
        await asyncio.sleep(0)


# `Idempotency-Key`: a write that is sent several times is performed once.
#
#     def place(idempotent: Idempotent, body: NewOrder) -> Response:
#         return idempotent.respond(lambda token: ...)
#
# The response is stored for seven days under the caller, the route and the caller's key, and is returned for every
# repetition of the same request. Only success is stored: a refused request has changed nothing, and may be corrected
# under the same key. The steps, each durable before the next:
#
#     1 store that the request is in progress
#     2 do the work
#     3 store the response
#
# After a crash between 1 and 2 nothing is done; after one between 2 and 3 the work is done, but its response is lost.
# Either way the next attempt does the work again, with the same `token`. So work must be idempotent under a token.

KEEP_S = 7 * 86_400
"""Minimum time for which responses are stored."""
REPLAYED = "Idempotent-Replayed"
"""Header of a response that is a stored one."""
_MAX_WORK_S = 120
"""A request in progress for longer (wall-clock time) is treated as dead: its host went down with its process."""
_KEPT_HEADERS = ("content-type", "location", "etag")

IdempotencyKey = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        pattern="^[A-Za-z0-9._~-]{8,128}$",
        description="Identifies the request. Sent again with the same key within seven days, it is not performed again "
        "but gets the same response. 409 while it is in progress; 422 if the key was used for another request.",
        examples=["4f2c7c1e-9d0b-4b6e-a6b1-0d5b4f1f3c2a"],
    ),
]


class IdempotencyStore:
    """Stores the responses to writes. Thread-safe."""

    def __init__(self, store: Store, clock: authentication.Clock) -> None:
        self._store, self._clock = store, clock
        self._holder = describe_process(os.getpid())
        self._running: set[tuple[int, str, str]] = set()
        self._lock = threading.Lock()

    def respond(self, asked: KeyedRequest, work: Callable[[str], Response]) -> Response:
        """Returns the stored response, or the one that `work` returns. Raises InFlightError, KeyReusedError, and
        whatever `work` raises; in that case nothing is stored."""
        name = (asked.caller, asked.route, asked.key)
        # Within this process a set is enough, and exact. The database row stops other processes.
        with self._lock:
            if name in self._running:
                raise _in_flight()
            self._running.add(name)
        try:
            begun = self._begin(asked)
            return _replay(begun) if begun.status else self._work(begun, asked.token, work)
        finally:
            self._running.discard(name)

    def find(self, caller: int, route: str, key: str) -> Response | None:
        """The stored response to a request with this key, whatever else it asked; None if there is none yet."""
        with self._store.reading() as connection:
            row = AnswerRepository(connection).find(caller, route, key)
        return None if row is None or not row.status else _replay(row)

    def _begin(self, asked: KeyedRequest) -> AnswerRow:
        now_s = self._clock()
        with self._store.transaction() as connection:
            answers = AnswerRepository(connection)
            # Expired rows are deleted here, so that no background job is needed.
            answers.forget(now_s - KEEP_S)
            found = answers.find(asked.caller, asked.route, asked.key)
            # Replaying the stored response would tell the caller that this request was performed, which it was not.
            if found is not None and found.request != asked.request:
                raise KeyReusedError("the Idempotency-Key was used for another request", hint="use a new key")
            if found is not None and (found.status or self._is_under_way(found, now_s)):
                if not found.status:
                    raise _in_flight()
                return found
            row = AnswerRow(
                asked.caller, asked.route, asked.key, asked.request, self._holder, now_s, 0, "{}", b""
            )  # fmt: skip
            answers.begin(row)
            return row

    def _is_under_way(self, row: AnswerRow, now_s: int) -> bool:
        """Whether another process works on it. A row of this process is left over: `_running` would have its name."""
        return row.holder != self._holder and not is_gone(row.holder) and now_s - row.begun_at < _MAX_WORK_S

    def _work(self, begun: AnswerRow, token: str, work: Callable[[str], Response]) -> Response:
        try:
            response = work(token)
        except BaseException:
            with (
                suppress(Exception),
                self._store.transaction() as connection,
            ):  # the first exception is the one to raise
                AnswerRepository(connection).drop(begun)
            raise
        # A crash from here on loses only the response: the work is done, and is repeated under the same token.
        # Only headers that describe the result; those of one response, such as the request id, are set anew.
        headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
        with self._store.transaction() as connection:
            AnswerRepository(connection).finish(begun, response.status_code, json.dumps(headers), bytes(response.body))
        return response


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request together with its key."""

    caller: int
    route: str
    key: str
    request: bytes

    @property
    def token(self) -> str:
        """64 hex digits: the same for every attempt, and different for any other request."""
        return self._digest("").hex()

    @property
    def seed(self) -> bytes:
        """32 bytes, like the token; but nothing that is stored for good tells them."""
        return self._digest("millmark.request-seed.v1\n")

    def _digest(self, tag: str) -> bytes:
        parts = "\n".join((str(self.caller), self.route, self.key, self.request.hex()))
        return hashlib.sha256((tag + parts).encode()).digest()


@dataclass(frozen=True, slots=True)
class _IdempotentRequest:
    """A request with its key, and the store of its response."""

    store: IdempotencyStore
    asked: KeyedRequest

    @property
    def seed(self) -> bytes:
        """What the attempts of this request have in common, and no other request has. Secret; never stored."""
        return self.asked.seed

    def respond(self, work: Callable[[str], Response]) -> Response:
        """Like IdempotencyStore.respond. It blocks, so it is only for routes that are not coroutines. The response must
        not be streamed."""
        return self.store.respond(self.asked, work)


async def read_idempotent_request(
    request: Request, principal: authentication.CurrentPrincipal, key: IdempotencyKey
) -> _IdempotentRequest:
    """Binds the key to the exact request, including the order of members and parameters. A route that streams its body
    calls this after the end of the body."""
    target = f"{request.url.path}?{request.url.query}\n".encode()
    asked = hashlib.sha256(target + await body_digest(request)).digest()
    route = f"{request.method} {request.scope['route'].path}"
    store: IdempotencyStore = request.app.state.idempotency
    return _IdempotentRequest(store, KeyedRequest(principal.participant or 0, route, key, asked))


Idempotent = Annotated[_IdempotentRequest, Depends(read_idempotent_request)]
"""Parameter type for routes that change something."""


def _in_flight() -> InFlightError:
    return InFlightError("the request with this Idempotency-Key is still being processed", retry_after_s=1)


def _replay(row: AnswerRow) -> Response:
    headers: dict[str, str] = json.loads(row.headers)
    return Response(row.body, row.status, {**headers, REPLAYED: "true"})
