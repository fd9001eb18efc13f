"""Failures as RFC 9457 problems; the only place that knows which HTTP status a failure has."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from ledger.errors import (
    ChainError,
    ChainUnreachableError,
    ContractRefusedError,
    DuplicateRecordError,
    IndexHaltedError,
    InputError,
    MillmarkError,
    NotFoundError,
    SettingsError,
    SigningError,
    StoreError,
)
from ledger.provenance.jsonform import Printable
from services.access import AccessError, UnauthenticatedError
from services.audit import AuditError
from services.documents import DocumentError
from services.gateway.http.errors import (
    InFlightError,
    KeyReusedError,
    NoChainError,
    NoSignerError,
    PreconditionError,
    RateLimitedError,
    TryLaterError,
)
from services.serving.failures import withhold_addresses

__all__ = ["MEDIA_TYPE", "Problem", "build_problem", "public_cause"]

MEDIA_TYPE = "application/problem+json"
_TYPE = "urn:millmark:problem:"
_STATUS: dict[type, int] = {
    NotFoundError: 404,
    SettingsError: 500,
    InputError: 400,
    ChainUnreachableError: 503,
    ContractRefusedError: 409,
    ChainError: 502,
    StoreError: 503,
    IndexHaltedError: 503,
    UnauthenticatedError: 401,
    AccessError: 403,
    DuplicateRecordError: 409,
    RateLimitedError: 429,
    InFlightError: 409,
    TryLaterError: 503,
    KeyReusedError: 422,
    PreconditionError: 412,
    DocumentError: 409,
    AuditError: 503,
    SigningError: 500,
    NoChainError: 503,
    NoSignerError: 503,
    MillmarkError: 500,
}
"""The nearest class of an error decides. Settings are the operator's input, not the caller's."""
_MOST_DETAIL = 1000
"""Characters: an identifier that is refused is not sent back at full length."""


@dataclass(frozen=True, slots=True)
class Problem(Printable):
    """What did not work (RFC 9457)."""

    type: str
    """Stable URI of the kind of problem: `urn:millmark:problem:` and a code."""
    title: str
    """What that kind of problem is."""
    status: int
    """The HTTP status again."""
    detail: str
    """The cause, this time."""
    hint: str | None
    """What can be done about it."""
    request_id: str
    """As in the X-Request-ID header: name it when you ask the operator."""


def build_problem(error: Exception, request_id: str) -> Problem:
    """The problem that any failure is. Of what is not foreseen it says nothing but the request's id."""
    if isinstance(error, MillmarkError):
        return _of_ledger(error, request_id)
    if isinstance(error, RequestValidationError):
        return _make("request-malformed", "A parameter is malformed", 422, _invalid(error), None, request_id)
    if isinstance(error, HTTPException):
        return _of_http(error.status_code, request_id)
    return _make(
        "unexpected", "The gateway failed", 500, "this failure is not foreseen", "tell the operator", request_id
    )


def public_cause(error: MillmarkError) -> str:
    """The cause without the addresses of node and database, which are nobody else's business."""
    return withhold_addresses(error.cause)


def _of_ledger(error: MillmarkError, request_id: str) -> Problem:
    status = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
    title = (type(error).__doc__ or "").partition("\n")[0].rstrip(".")
    detail = public_cause(error) if status >= 500 else error.cause
    return _make(error.code, title, status, detail, error.hint or None, request_id)


def _of_http(status: int, request_id: str) -> Problem:
    known = {
        404: ("path-unknown", "There is no such path", "nothing is under this path", "see /docs for the paths"),
        405: ("method-refused", "The method does nothing here", "this path does not take it", "see the Allow header"),
        406: ("not-acceptable", "No such answer", "the answer has no such form or version", "ask for application/json"),
        409: ("there-already", "It is there already", "this was taken in before", "nothing needs to be done"),
        415: (
            "media-type-refused",
            "The body is of another kind",
            "it is not announced as JSON",
            "send application/json",
        ),
        413: ("body-too-long", "The body is too long", "it has more bytes than this path takes", "send less"),
        414: ("uri-too-long", "Path and query are too long", "together they are too long", "ask for one thing"),
        421: (
            "host-refused",
            "The request is for another host",
            "its Host header is not ours",
            "use the public address",
        ),
    }
    other = ("request-refused", "The request is refused", HTTPStatus(status).phrase.lower(), None)
    code, title, detail, hint = known.get(status, other)
    return _make(code, title, status, detail, hint, request_id)


def _invalid(error: RequestValidationError) -> str:
    return "; ".join(f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors())


def _make(code: str, title: str, status: int, detail: str, hint: str | None, request_id: str) -> Problem:
    return Problem(_TYPE + code, title, status, detail[:_MOST_DETAIL], hint, request_id)
