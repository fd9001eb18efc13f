"""From query parameters to pages of events."""

from __future__ import annotations

import json
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec
from fastapi import Request, Response

from ledger.store import Store
from services.access import Principal
from services.gateway.epcis.answers import SIMPLE, query_document
from services.gateway.epcis.negotiation import VERSIONS, verify_acceptable
from services.gateway.http.paging import Pager
from services.interop.epcis.event_queries import EventQueries
from services.interop.epcis.query_parameters import ParsedQuery, QueryError, QueryTooLargeError, parse_query

__all__ = [
    "find_events",
    "link_to_next",
    "number_of",
    "open_event_queries",
    "read_question",
    "read_token",
    "reply_json",
]

_PER_PAGE: Final = 30
_MOST_PER_PAGE: Final = 200


def number_of(principal: Principal) -> int:
    """The participant; 0 for the operator of a gateway that is open on the loopback."""
    return principal.participant or 0


def open_event_queries(store: Store, principal: Principal) -> EventQueries:
    """The events that the caller may see."""
    return EventQueries(store, number_of(principal), principal.viewer)


def find_events(
    request: Request,
    principal: Principal,
    library: EventQueries,
    question: ParsedQuery,
    name: str = SIMPLE,
    asked: str = "",
) -> Response:
    """A page of what a question finds, as the results of the query of that name; `asked` is what is asked beside what
    stands in the address. Raises QueryError."""
    verify_acceptable(request.headers)
    after = read_token(request, principal, question, asked)
    bound = question.at_most or question.refuse_above
    if bound is None:
        page = library.find(question.query, after, question.per_page)
        return reply_json(query_document(page.events, name), 200, **link_to_next(request, principal, page.last, asked))
    if bound > _MOST_PER_PAGE:
        raise QueryError(f"at most {_MOST_PER_PAGE} events are counted", hint="page through them instead")
    refusing = question.refuse_above is not None
    page = library.find(question.query, after, bound + refusing, whole=True)
    if refusing and len(page.events) > bound:
        raise QueryTooLargeError(f"there are more than {bound} such events", hint="ask for less, or page through them")
    return reply_json(query_document(page.events, name), 200)


def read_question(
    request: Request, only: set[str] | None = None, more: list[tuple[str, str]] | None = None
) -> ParsedQuery:
    """What the address asks for, and `more`. With `only`, nothing else is taken. Raises QueryError."""
    given = [*request.query_params.multi_items(), *(more or [])]
    for name, _ in given:
        if only is not None and name not in only:
            raise QueryError(f"the parameter {name[:80]!a} is not taken", hint=f"these are: {', '.join(sorted(only))}")
    return parse_query(given, most_per_page=_MOST_PER_PAGE, per_page=_PER_PAGE)


def _scope(request: Request, principal: Principal, asked: str) -> str:
    """The list, its filters and the caller: a token is good for no other."""
    filters = sorted(one for one in request.query_params.multi_items() if one[0] not in ("nextPageToken", "perPage"))
    return json.dumps([request.scope["path"], filters, principal.participant, *([asked] if asked else [])])


def read_token(
    request: Request, principal: Principal, question: ParsedQuery, asked: str = ""
) -> tuple[int, int] | None:
    """Where the page begins. Raises CursorError."""
    if question.token is None:
        return None
    pager: Pager = request.app.state.pager
    first, second = pager.open(_scope(request, principal, asked), question.token)
    return int(first), int(second)


def link_to_next(
    request: Request, principal: Principal, last: tuple[int, int] | None, asked: str = ""
) -> dict[str, str]:
    """Where the next page is (RFC 8288); nothing on the last one."""
    if last is None:
        return {}
    pager: Pager = request.app.state.pager
    kept = [one for one in request.query_params.multi_items() if one[0] != "nextPageToken"]
    token = pager.seal(_scope(request, principal, asked), last)
    target = f"{quote(request.scope['path'])}?{urlencode([*kept, ('nextPageToken', token)])}"
    return {"Link": f'<{target}>; rel="next"'}


def reply_json(value: Any, status: int, **headers: str) -> Response:
    return Response(msgspec.json.encode(value), status, {**VERSIONS, **headers}, media_type="application/json")
