"""ASGI middleware for every request: request id, limits, headers, audit entry, one log line, and the last-resort error
handler."""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
import time
import uuid
from collections.abc import Callable
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.typing import FilteringBoundLogger

from millmark.services.access import Principal
from millmark.services.audit import Access, AuditError, AuditLog
from millmark.services.gateway.http.errors import RateLimitedError
from millmark.services.gateway.http.problems import ErrorHandler
from millmark.services.gateway.http.rate_limits import Limiter
from millmark.services.gateway.http.route_table import RouteTable
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
        limiter: Limiter,
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
        self, scope: Scope, send: Send, routes: RouteTable, audit: AuditLog | None, absent_every_s: float
    ) -> None:
        self._began_s, self._absent_every_s = time.perf_counter(), absent_every_s
        # Arbitrary text from a caller must not reach the log, so other ids are replaced.
        given = Headers(scope=scope).get(REQUEST_ID, "")
        self.request_id = given if _REQUEST_ID_FORM.fullmatch(given) else uuid.uuid4().hex
        self.status = 0
        self.method = scope["method"]
        self._send = send
        self._scope, self._routes, self._audit = scope, routes, audit
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
