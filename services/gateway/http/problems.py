"""Exceptions as responses: RFC 9457 problems for programs, pages for browsers.

The only module that maps exceptions to HTTP statuses. The gateway's own errors come first.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from millmark.ledger import errors
from millmark.ledger.provenance.answers import Printable
from millmark.services import access, audit, directory, documents
from millmark.services.gateway.http.route_table import RouteTable
from millmark.services.handover.content import HandoverError, HandoverRefusedError
from millmark.services.planning.errors import PlanningError
from millmark.services.serving import loop, protocol


class TryLaterError(errors.MillmarkError):
    """The same request may succeed after `retry_after_s` seconds."""

    code = "try-later"
    retry = errors.Retry.UNCHANGED

    def __init__(self, cause: str, *, retry_after_s: int, hint: str = "") -> None:
        self.retry_after_s = retry_after_s
        super().__init__(cause, hint=hint or f"send it again in {retry_after_s} s")


class RateLimitedError(TryLaterError):
    """The caller sent too many requests."""

    code = "rate-limited"


class InFlightError(TryLaterError):
    """The same request is still being processed."""

    code = "request-in-flight"


class BusyError(TryLaterError):
    """Too many expensive requests are being processed."""

    code = "busy"


class StaleIndexError(TryLaterError):
    """The gateway does not follow the chain at present, so it cannot tell who may still act."""

    code = "index-stale"


class KeyReusedError(errors.MillmarkError):
    """An Idempotency-Key was used for a different request."""

    code = "idempotency-key-reused"


class PreconditionError(errors.MillmarkError):
    """The resource changed since the caller read it."""

    code = "precondition-failed"


class NoChainError(errors.MillmarkError):
    """The gateway has no connection to a chain."""

    code = "chain-not-configured"
    retry = errors.Retry.OPERATOR


class NoSignerError(errors.MillmarkError):
    """The gateway has no key that can sign for the caller."""

    code = "signer-not-configured"
    retry = errors.Retry.OPERATOR


class NoNameKeyError(NoSignerError):
    """The gateway lacks a name key of its company, and so cannot name anything new."""

    code = "name-key-not-configured"


class NameTakenError(errors.MillmarkError):
    """The company has something with that identifier already."""

    code = "name-taken"


class CursorError(errors.InputError):
    """A cursor was not issued for this list."""

    code = "cursor-refused"


MEDIA_TYPE = "application/problem+json"
_TYPE = "urn:millmark:problem:"
_STATUS: dict[type, int] = {
    errors.NotFoundError: 404,
    errors.SettingsError: 500,
    errors.InputError: 400,
    errors.ChainUnreachableError: 503,
    errors.ContractRefusedError: 409,
    errors.ChainError: 502,
    errors.StoreError: 503,
    errors.IndexHaltedError: 503,
    access.UnauthenticatedError: 401,
    access.AccessError: 403,
    errors.DuplicateRecordError: 409,
    RateLimitedError: 429,
    InFlightError: 409,
    TryLaterError: 503,
    KeyReusedError: 422,
    PreconditionError: 412,
    documents.DocumentError: 409,
    directory.RecipientKeyError: 409,
    HandoverRefusedError: 422,
    HandoverError: 409,
    audit.AuditError: 503,
    errors.SigningError: 500,
    NoChainError: 503,
    NoSignerError: 503,
    NameTakenError: 409,
    PlanningError: 409,
    errors.OutboxOlderError: 503,
    errors.LedgerSetBackError: 503,
    errors.MillmarkError: 500,
}
"""The most specific class decides. Settings are the operator's input, not the caller's, hence 500."""
_LATER = (TryLaterError, errors.StoreBusyError)
"""Errors with the time after which the same request may succeed."""
_FAILED_RETRY_S = 10
"""Time after which a database, audit log or chain that failed may answer again, if somebody mends it meanwhile."""
_MAX_DETAIL = 1000
"""In characters, so that a refused identifier is not echoed at full length."""


@dataclass(frozen=True, slots=True)
class Problem(Printable):
    """A problem (RFC 9457)."""

    type: str
    """Stable URI of the kind of problem: `urn:millmark:problem:` and a code."""
    title: str
    """The kind of problem in words."""
    status: int
    """The HTTP status."""
    detail: str
    """The cause of this occurrence."""
    hint: str | None
    """What the caller can do about it."""
    request_id: str
    """The value of the X-Request-ID header. Quote it when you ask the operator."""


def build_problem(error: Exception, request_id: str) -> Problem:
    """Converts any exception. Details of an unexpected one are withheld: the problem contains only the request id."""
    if isinstance(error, errors.MillmarkError):
        return _of_ledger(error, request_id)
    if isinstance(error, RequestValidationError):
        return _make("request-malformed", "A parameter is malformed", 422, _invalid(error), None, request_id)
    if isinstance(error, HTTPException):
        return _of_http(error.status_code, request_id)
    return _make(
        "unexpected",
        "The gateway failed",
        500,
        "an unexpected error occurred",
        "report the request id to the operator",
        request_id,
    )


def _of_ledger(error: errors.MillmarkError, request_id: str) -> Problem:
    status = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
    title = (type(error).__doc__ or "").partition("\n")[0].rstrip(".")
    # The first line of the class's docstring is the problem's title.
    # Causes of server errors may contain addresses; those of caller errors contain only what the caller sent.
    detail = loop.public_cause(error) if status >= 500 else error.cause
    return _make(error.code, title, status, detail, error.hint or None, request_id)


def _of_http(status: int, request_id: str) -> Problem:
    known = {
        404: ("path-unknown", "The path does not exist", "no route has this path", "see /docs for the paths"),
        405: (
            "method-refused",
            "The method is not allowed",
            "this path does not support the method",
            "see the Allow header",
        ),
        406: (
            "not-acceptable",
            "No acceptable representation",
            "the response is not available in the requested form or version",
            "ask for application/json",
        ),
        409: ("there-already", "It exists already", "the same item was captured earlier", "nothing needs to be done"),
        415: (
            "media-type-refused",
            "The media type is not supported",
            "the body is not declared as JSON",
            "send Content-Type: application/json",
        ),
        413: ("body-too-long", "The body is too long", "the body exceeds the limit of this path", "send less"),
        414: protocol.URI_TOO_LONG,
        421: (
            "host-refused",
            "The request is for another host",
            "the Host header is not a name of this gateway",
            "use the gateway's public URL",
        ),
    }
    other = ("request-refused", "The request was refused", HTTPStatus(status).phrase.lower(), None)
    code, title, detail, hint = known.get(status, other)
    return _make(code, title, status, detail, hint, request_id)


def _invalid(error: RequestValidationError) -> str:
    return "; ".join(f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors())


def _make(code: str, title: str, status: int, detail: str, hint: str | None, request_id: str) -> Problem:
    return Problem(_TYPE + code, title, status, detail[:_MAX_DETAIL], hint, request_id)


@dataclass(frozen=True, slots=True)
class ErrorHandler:
    """The application's only exception handler. The middleware also uses it for requests that never reach a route."""

    routes: RouteTable
    error_page: Callable[[Request, Exception, int], Response]
    """Builds the page for an exception, given the status that an API route would have."""
    reword: Callable[[str, Problem], Problem]
    """Adapts a problem under a path to the standard that governs the path."""

    async def handle(self, request: Request, error: Exception) -> Response:
        """Handles an exception, and OPTIONS requests to routes that do not declare the method. Responses have no CORS
        headers, so pages of other sites cannot read them."""
        route = getattr(request.scope.get("route"), "path", "")
        allowed = self.routes.allowed_methods(route)
        if request.method == "OPTIONS" and isinstance(error, HTTPException) and error.status_code == 405:
            return Response(status_code=204, headers={"Allow": allowed})
        if self._is_for_a_person(request, route):
            page = self.error_page(request, error, build_problem(error, request.state.request_id).status)
            page.headers.update(_tell_retry(error))
            return page
        return self.respond(error, request.state.request_id, request.scope["path"], allowed)

    def fail(self, request: Request, error: Exception) -> Response:
        """The answer to an error that no handler expects; a page for a request for one."""
        request_id, route = request.state.request_id, getattr(request.scope.get("route"), "path", "")
        if self._is_for_a_person(request, route):
            with suppress(Exception):  # pages may fail for the same reason; the problem below then says what is so
                return self.error_page(request, error, build_problem(error, request_id).status)
        return self.respond(error, request_id, request.scope["path"])

    def _is_for_a_person(self, request: Request, route: str) -> bool:
        """Whether the answer is a page: of a page's route, and to a browser that asks for what no page is."""
        if self.routes.is_page(request.method, route):
            return True
        mistyped = request.method == "GET" and (not route or request.scope["path"].startswith("/portal/"))
        return mistyped and "text/html" in request.headers.get("accept", "")

    def respond(self, error: Exception, request_id: str, path: str, allowed: str = "") -> Response:
        """Converts an exception to a problem. `allowed` is the value of the Allow header of a 405."""
        problem = self.reword(path, build_problem(error, request_id))
        headers = {"Allow": allowed} if problem.status == 405 else {}
        if problem.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        headers |= _tell_retry(error)
        return Response(json.dumps(problem.to_json()), problem.status, headers, MEDIA_TYPE)


def _tell_retry(error: Exception) -> dict[str, str]:
    """The Retry-After header (RFC 9110, 10.2.3); none for what time does not mend, as damage and settings."""
    if isinstance(error, _LATER):
        return {"Retry-After": str(error.retry_after_s)}
    may_end = isinstance(error, errors.StoreError | audit.AuditError | errors.ChainUnreachableError)
    lasts = isinstance(error, errors.StoreDamagedError | audit.AuditTamperedError)
    return {"Retry-After": str(_FAILED_RETRY_S)} if may_end and not lasts else {}
