"""What every request passes, whatever its path: an id, limits, headers, one log line, and the last net for failures."""

from __future__ import annotations

import hashlib
import json
import re
import time
import uuid
from collections.abc import Callable
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.typing import FilteringBoundLogger

from services.access import Principal
from services.audit import Access, AuditError, AuditLog
from services.gateway.epcis.problems import PREFIX, in_epcis_words
from services.gateway.http.errors import TryLaterError
from services.gateway.http.permissions import is_audited, is_page, methods_of, most_body_bytes
from services.gateway.http.problems import MEDIA_TYPE, build_problem

__all__ = ["MOST_URI_BYTES", "REQUEST_ID", "SECURITY_HEADERS", "Edge", "body_digest", "handle_error"]

MOST_URI_BYTES = 8192
"""Of path and query together: the longest identifier, percent-encoded throughout, with room to spare."""
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
Refuse = Callable[[Request, Exception, int], Response]
"""The page for a failure, given the status that it would have elsewhere."""
_NO_BODY = hashlib.sha256().digest()
_PORT = re.compile(r":[0-9]{1,5}$")
_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Edge:
    """ASGI middleware around the whole application."""

    def __init__(
        self, app: ASGIApp, *, logger: FilteringBoundLogger, hosts: frozenset[str], audit: AuditLog | None
    ) -> None:
        self._app, self._audit = app, audit
        self._logger = logger
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(scope, send, self._audit)
        scope.setdefault("state", {})["request_id"] = answer.request_id
        start = time.perf_counter()
        try:
            scope["state"]["head"] = answer.method == "HEAD"
            if answer.method == "HEAD":
                scope["method"] = "GET"  # which the router knows; the body is left out on the way back
            await self._serve(scope, receive, answer)
        finally:
            self._log(scope, answer, time.perf_counter() - start)

    async def _serve(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        try:
            refusal = self._refusal(scope)
            if refusal is not None:
                await build_response(refusal, answer.request_id, path=scope["path"])(scope, receive, answer.send)
            else:
                await self._app(scope, _bounded(scope, receive), answer.send)
        except Exception as raised:
            error = answer.unnoted or raised
            self._logger.error("unexpected failure", request_id=answer.request_id, exc_info=raised)
            if answer.status:
                raise  # the status line is out already: all that is left is to break the connection
            await build_response(error, answer.request_id, path=scope["path"])(scope, receive, answer.send)

    def _refusal(self, scope: Scope) -> HTTPException | None:
        """What is wrong with a request before anybody looks at what it asks for."""
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MOST_URI_BYTES:
            return HTTPException(414)
        headers = Headers(scope=scope)
        named = [_PORT.sub("", host.lower()) for host in headers.getlist("host")]
        if len(named) != 1 or named[0] not in self._hosts:
            return HTTPException(421)
        length = headers.get("content-length", "0")
        most = most_body_bytes(scope["method"], scope["path"])
        return HTTPException(413) if not length.isdecimal() or int(length) > most else None

    def _log(self, scope: Scope, answer: _Answer, seconds: float) -> None:
        """The route, never the path or the query: those hold serial numbers."""
        self._logger.info(
            "request",
            request_id=answer.request_id,
            method=answer.method,
            route=getattr(scope.get("route"), "path", None),
            status=answer.status,
            duration_ms=round(seconds * 1000, 1),
        )


def _bounded(scope: Scope, receive: Receive) -> Receive:
    """Raises HTTPException once a body is longer than allowed, whatever length was announced. Leaves the SHA-256 of
    what was read in the request's state."""
    seen, most = 0, most_body_bytes(scope["method"], scope["path"])
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


class _Answer:
    """Sends an answer on, with the headers that all have, and without a body where HEAD asked."""

    def __init__(self, scope: Scope, send: Send, audit: AuditLog | None) -> None:
        given = Headers(scope=scope).get(REQUEST_ID, "")
        self.request_id = given if _SANE_ID.fullmatch(given) else uuid.uuid4().hex
        self.status = 0
        self.method = scope["method"]
        self._send = send
        self._scope, self._audit = scope, audit
        self.unnoted: AuditError | None = None
        """Why the audit log does not have the answer; what Starlette makes of it on its way does not say."""

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
        """In the audit log, before anything goes out. Raises AuditError when it cannot be: once, so that this is what
        is answered then."""
        audit, self._audit = self._audit, None
        route = getattr(self._scope.get("route"), "path", None)
        if audit is None or route is None or not is_audited(self._scope["method"], route):
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


def build_response(error: Exception, request_id: str, allowed: str = "", *, path: str = "") -> Response:
    """The answer that a failure gets, in the words of the standard whose path it is."""
    problem = build_problem(error, request_id)
    if path.startswith(f"{PREFIX}/"):
        problem = in_epcis_words(problem)
    headers = {"Allow": allowed} if problem.status == 405 else {}
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, TryLaterError):
        headers["Retry-After"] = str(error.retry_after_s)
    return Response(json.dumps(problem.to_json()), problem.status, headers, MEDIA_TYPE)


async def handle_error(request: Request, error: Exception, refuse: Refuse) -> Response:
    """The application's one exception handler. OPTIONS is answered here: no route takes it. Nothing in the answer lets
    pages of other sites read it (no CORS). What a browser asked for, `refuse` answers with a page."""
    route = getattr(request.scope.get("route"), "path", "")
    allowed = methods_of(route)
    if request.method == "OPTIONS" and isinstance(error, HTTPException) and error.status_code == 405:
        return Response(status_code=204, headers={"Allow": allowed})
    if is_page(request.method, route) and not isinstance(error, TryLaterError):
        return refuse(request, error, build_problem(error, request.state.request_id).status)
    return build_response(error, request.state.request_id, allowed, path=request.scope["path"])
