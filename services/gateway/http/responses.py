"""Views as answers, with tags where callers may have the answer at hand; and what every route's document says."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Annotated, Any, TypeAlias

from fastapi import Header, Path, Response

from ledger.provenance.jsonform import Printable
from services.gateway.api.schemas import model_of
from services.gateway.http.errors import PreconditionError
from services.gateway.http.problems import Problem

__all__ = [
    "CHECKED",
    "ETAG_EXAMPLE",
    "LOOKED_UP",
    "MOST_SEQUENCE",
    "NAMED",
    "PROBLEM",
    "ExpectedTags",
    "KnownTags",
    "Number",
    "Problems",
    "Subject",
    "expecting",
    "names",
    "reply",
    "tag",
    "tagged",
]

ETAG_EXAMPLE = '"9f86d081884c7d659a2feaa0c55ad015"'
MOST_SEQUENCE = 2**40 - 1
"""`uint40` in the contracts."""

PROBLEM: dict[str, Any] = {"model": model_of(Problem)}
Problems: TypeAlias = "dict[int | str, dict[str, Any]]"
"""Answers that a route may give instead of its own, by status."""
CHECKED: Problems = {422: PROBLEM, "default": PROBLEM}
LOOKED_UP: Problems = {404: PROBLEM, **CHECKED}
NAMED: Problems = {400: PROBLEM, **LOOKED_UP}

KnownTags = Annotated[
    str | None,
    Header(alias="If-None-Match", description="ETag of an answer that is at hand.", examples=[ETAG_EXAMPLE]),
]
ExpectedTags = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description="ETag of the thing as the caller has it: 412 when it was changed since.",
        examples=[ETAG_EXAMPLE],
    ),
]
Subject = Annotated[
    str,
    Path(
        pattern="^0x[0-9a-f]{64}$",
        description="Subject, as on chain.",
        examples=["0x" + "1a" * 32],
    ),
]
Number = Annotated[
    int, Path(alias="id", ge=1, le=MOST_SEQUENCE, description="Sequence of the record that made it.", examples=[412])
]


def reply(view: Printable, status: int = 200, **headers: str) -> Response:
    return Response(view.encode(), status, headers, media_type="application/json")


def tagged(view: Printable, known: str | None) -> Response:
    """With a tag over the whole answer: names from the private book are part of it, so the index's digest is too
    little."""
    return tag(reply(view), known)


def tag(answer: Response, known: str | None, *, cache: str = "private, no-cache") -> Response:
    """The answer with a tag over its body, or 304. Caches may keep it and have to ask each time, or as `cache` says."""
    mark = _mark(answer)
    headers = {"ETag": mark, "Cache-Control": cache}
    if known is not None and names(known, mark):
        return Response(status_code=304, headers=headers)
    answer.headers.update(headers)
    return answer


def expecting(expected: str | None) -> Callable[[Printable], None] | None:
    """Raises PreconditionError for a view that is none of those expected (RFC 9110, section 13.1.1: weak tags name
    nothing); None where nothing is expected."""
    if expected is None:
        return None
    wanted = [one.strip() for one in expected.split(",")]

    def verify(view: Printable) -> None:
        if wanted != ["*"] and _mark(reply(view)) not in wanted:
            raise PreconditionError("it was changed since, or was never so", hint="get it again, and decide anew")

    return verify


def _mark(answer: Response) -> str:
    return f'"{hashlib.sha256(bytes(answer.body)).hexdigest()[:32]}"'


def names(known: str, mark: str) -> bool:
    """RFC 9110, section 13.1.2: weak comparison, or any."""
    return known.strip() == "*" or mark in [one.strip().removeprefix("W/") for one in known.split(",")]
