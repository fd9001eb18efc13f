"""Responses from views, with ETags and preconditions; parameters and problems shared by many routes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Annotated, Any, TypeAlias

from fastapi import Header, Path, Response
from pydantic import BaseModel

from millmark.ledger.provenance.answers import Printable
from millmark.services.gateway.http.errors import PreconditionError
from millmark.services.gateway.http.problems import Problem
from millmark.services.gateway.http.schemas import model_of
from millmark.services.serving.requests import WholeNumber

ETAG_EXAMPLE = '"9f86d081884c7d659a2feaa0c55ad015"'
MAX_SEQUENCE = 2**40 - 1
"""The largest `uint40`, the type of sequences in the contracts."""


def refer_to(model: type[BaseModel]) -> dict[str, str]:
    """Refers to a model by name: for the class, FastAPI would compile a validator per response and route, a third of
    the gateway's start-up time. The schema is added when the OpenAPI document is completed."""
    return {"$ref": f"#/components/schemas/{model.__name__}"}


PROBLEM_MODEL = model_of(Problem)
PROBLEM: dict[str, Any] = {"content": {"application/json": {"schema": refer_to(PROBLEM_MODEL)}}}
Problems: TypeAlias = "dict[int | str, dict[str, Any]]"
"""Problems of a route in the OpenAPI document, by status."""
PROBLEMS_422: Problems = {422: PROBLEM, "default": PROBLEM}
PROBLEMS_404: Problems = {404: PROBLEM, **PROBLEMS_422}
PROBLEMS_400: Problems = {400: PROBLEM, **PROBLEMS_422}
PROBLEMS_400_404: Problems = {400: PROBLEM, **PROBLEMS_404}

IfNoneMatch = Annotated[
    str | None,
    Header(alias="If-None-Match", description="ETag of a response that you already have.", examples=[ETAG_EXAMPLE]),
]
IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description="ETag of the resource as you know it. 412 if it has changed since.",
        examples=[ETAG_EXAMPLE],
    ),
]
Subject = Annotated[
    str,
    Path(
        pattern="^0x[0-9a-f]{64}$",
        description="Subject: the hash under which the ledger knows the thing.",
        examples=["0x" + "1a" * 32],
    ),
]
Number = Annotated[
    WholeNumber,
    Path(alias="id", ge=1, le=MAX_SEQUENCE, description="Sequence of the record that created it.", examples=[412]),
]


def reply(view: Printable, status: int = 200, **headers: str) -> Response:
    return Response(view.encode(), status, headers, media_type="application/json")


def reply_with_etag(view: Printable, if_none_match: str | None) -> Response:
    """Responds with the view, or with 304 if the caller has it already. The ETag covers the whole response, because
    names from the private book are part of it: the index's digest would not change with them."""
    return with_etag(reply(view), if_none_match)


def with_etag(
    response: Response, if_none_match: str | None, *, cache: str = "private, no-cache", weak: bytes | None = None
) -> Response:
    """The response with an ETag of its body, or 304 if the caller has that body already. By default caches may store
    it, but have to revalidate it each time. With `weak`, a digest of what matters in the body, the ETag is a weak one
    (RFC 9110, section 8.8.1) of that."""
    etag = _etag(response) if weak is None else f'W/"{weak.hex()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": cache}
    # RFC 9110, section 15.4.5: a 304 repeats the headers that a 200 would have.
    if if_none_match is not None and etag_matches(if_none_match, etag):
        return Response(status_code=304, headers=headers)
    response.headers.update(headers)
    return response


def build_precondition(if_match: str | None) -> Callable[[Printable], None] | None:
    """A check that raises PreconditionError for a view whose ETag is not among the expected ones. Uses strong
    comparison (RFC 9110, section 13.1.1), so weak ETags match nothing. None if nothing is expected."""
    if if_match is None:
        return None
    expected = [one.strip() for one in if_match.split(",")]

    def verify(view: Printable) -> None:
        # The view is encoded again, since an ETag is the hash of what a GET would return now.
        if expected != ["*"] and _etag(reply(view)) not in expected:
            raise PreconditionError("the ETag in If-Match is not current", hint="read it again, then decide")

    return verify


def etag_matches(if_none_match: str, etag: str) -> bool:
    """Tells whether If-None-Match lists the ETag, by weak comparison, or is `*` (RFC 9110, section 13.1.2)."""
    known = [one.strip().removeprefix("W/") for one in if_none_match.split(",")]
    return if_none_match.strip() == "*" or etag.removeprefix("W/") in known


def _etag(response: Response) -> str:
    return f'"{hashlib.sha256(bytes(response.body)).hexdigest()[:32]}"'
