"""ASGI middleware for every request, whatever its path: request id, limits, headers, audit entry, one log line, and
the last-resort error handler."""

from __future__ import annotations

import hashlib
import re
import time
import uuid
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.typing import FilteringBoundLogger

from services.access import Principal
from services.audit import Access, AuditError, AuditLog
from services.gateway.http.error_handler import ErrorHandler
from services.gateway.http.route_table import RouteTable

__all__ = ["MOST_URI_BYTES", "REQUEST_ID", "SECURITY_HEADERS", "GatewayMiddleware", "body_digest"]

MOST_URI_BYTES = 8192
"""Path and query together: room for the longest identifier, percent-encoded throughout."""
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
_NO_BODY = hashlib.sha256().digest()
_PORT = re.compile(r":[0-9]{1,5}$")
_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


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
    ) -> None:
        self._app, self._errors, self._routes = app, errors, errors.routes
        self._logger, self._hosts, self._audit = logger, hosts, audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _ResponseSender(scope, send, self._routes, self._audit)
        scope.setdefault("state", {})["request_id"] = answer.request_id
        start = time.perf_counter()
        try:
            scope["state"]["head"] = answer.method == "HEAD"
            if answer.method == "HEAD":
                scope["method"] = "GET"  # which the router knows; the body is left out on the way back
            await self._serve(scope, receive, answer)
        finally:
            self._log(scope, answer, time.perf_counter() - start)

    async def _serve(self, scope: Scope, receive: Receive, answer: _ResponseSender) -> None:
        try:
            refusal = self._refusal(scope)
            if refusal is not None:
                response = self._errors.respond(refusal, answer.request_id, scope["path"])
                await response(scope, receive, answer.send)
            else:
                most = self._routes.most_body_bytes(scope["method"], scope["path"])
                await self._app(scope, _bounded(scope, receive, most), answer.send)
        except Exception as raised:
            error = answer.unnoted or raised
            self._logger.error("unexpected failure", request_id=answer.request_id, exc_info=raised)
            if answer.status:
                raise  # the status line is out already: all that is left is to break the connection
            await self._errors.respond(error, answer.request_id, scope["path"])(scope, receive, answer.send)

    def _refusal(self, scope: Scope) -> HTTPException | None:
        """What is wrong with a request before anybody looks at what it asks for."""
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MOST_URI_BYTES:
            return HTTPException(414)
        headers = Headers(scope=scope)
        named = [_PORT.sub("", host.lower()) for host in headers.getlist("host")]
        if len(named) != 1 or named[0] not in self._hosts:
            return HTTPException(421)
        length = headers.get("content-length", "0")
        most = self._routes.most_body_bytes(scope["method"], scope["path"])
        return HTTPException(413) if not length.isdecimal() or int(length) > most else None

    def _log(self, scope: Scope, answer: _ResponseSender, seconds: float) -> None:
        """The route, never the path or the query: those hold serial numbers."""
        self._logger.info(
            "request",
            request_id=answer.request_id,
            method=answer.method,
            route=getattr(scope.get("route"), "path", None),
            status=answer.status,
            duration_ms=round(seconds * 1000, 1),
        )


def _bounded(scope: Scope, receive: Receive, most: int) -> Receive:
    """Raises HTTPException once a body is longer than `most` bytes, whatever length was announced. Leaves the SHA-256
    of what was read in the request's state."""
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
    """SHA-256 of the whole body, whether it was read already or not."""
    with suppress(RuntimeError):  # a form was read as a stream, to its end
        await request.body()
    found: bytes = request.state.body_digest.digest()
    return found


class _ResponseSender:
    """Sends a response on, with the headers that all have, and without a body where HEAD asked."""

    def __init__(self, scope: Scope, send: Send, routes: RouteTable, audit: AuditLog | None) -> None:
        given = Headers(scope=scope).get(REQUEST_ID, "")
        self.request_id = given if _SANE_ID.fullmatch(given) else uuid.uuid4().hex
        self.status = 0
        self.method = scope["method"]
        self._send = send
        self._scope, self._routes, self._audit = scope, routes, audit
        self.unnoted: AuditError | None = None
        """Why the audit log does not have the answer. Kept here because Starlette wraps the exception on its way up."""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._note(message["status"])
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers[REQUEST_ID] = self.request_id
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
        elif self.method == "HEAD":
            message = {**message, "body": b""}
        await self._send(message)

    def _note(self, status: int) -> None:
        """Writes the audit entry before anything goes out. Raises AuditError when it cannot be written."""
        audit, self._audit = self._audit, None  # once: the 503 that says so must get out without an entry
        route = getattr(self._scope.get("route"), "path", None)
        if audit is None or route is None or not self._routes.is_audited(self._scope["method"], route):
            return
        state = self._scope["state"]
        principal: Principal | None = state.get("principal")
        body = state["body_digest"]
        access = Access(
            participant=None if principal is None else principal.participant,
            credential="" if principal is None else principal.credential,
            action=f"{self.method} {route}",
            target=self._scope["path"],
            status=status,
            request_id=self.request_id,
            body_digest=None if body.digest() == _NO_BODY else body.digest(),
        )
        try:
            audit.append(access)
        except AuditError as error:
            self.unnoted = error
            raise
