"""Parses query parameters, and returns pages of events."""

from __future__ import annotations

import json
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec
from fastapi import Request, Response

from millmark.ledger.store import Store
from millmark.services.access import Principal
from millmark.services.gateway.epcis.answers import SIMPLE, query_document
from millmark.services.gateway.epcis.negotiation import VERSIONS, verify_acceptable
from millmark.services.gateway.http.paging import Key, Pager
from millmark.services.interop.epcis.event_queries import (
    EventQueries,
    ParsedQuery,
    QueryError,
    QueryTooLargeError,
    parse_query,
)

_PER_PAGE: Final = 30
_MAX_PER_PAGE: Final = 200


def number_of(principal: Principal) -> int:
    """The caller's participant number; 0 for the operator of a gateway that is open on the loopback."""
    return principal.participant or 0


def open_event_queries(store: Store, principal: Principal) -> EventQueries:
    """Queries over the events that the caller may see."""
    return EventQueries(store, number_of(principal), principal.viewer)


def find_events(
    request: Request,
    principal: Principal,
    queries: EventQueries,
    parsed: ParsedQuery,
    name: str = SIMPLE,
    asked: str = "",
) -> Response:
    """A page of matching events, as results of the query with this name. `asked` identifies parameters that are not in
    the URL. Raises QueryError."""
    verify_acceptable(request.headers)
    after = read_token(request, principal, parsed, asked)
    bound = parsed.at_most or parsed.refuse_above
    if bound is None:
        page = queries.find(parsed.query, after, parsed.per_page)
        return reply_json(query_document(page.events, name), 200, **link_to_next(request, principal, page.last, asked))
    if bound > _MAX_PER_PAGE:
        raise QueryError(f"the limit is more than {_MAX_PER_PAGE} events", hint="page through the events instead")
    refusing = parsed.refuse_above is not None
    # One more than allowed is read, to find out whether there are too many.
    page = queries.find(parsed.query, after, bound + refusing, whole=True)
    if refusing and len(page.events) > bound:
        raise QueryTooLargeError(f"more than {bound} events match", hint="narrow the query, or page through the events")
    return reply_json(query_document(page.events, name), 200)


def read_query(
    request: Request, only: set[str] | None = None, more: list[tuple[str, str]] | None = None
) -> ParsedQuery:
    """Parses the URL's parameters and those in `more`. If `only` is given, parameters that it does not name are
    refused. Raises QueryError.
    """
    given = [*request.query_params.multi_items(), *(more or [])]
    for name, _ in given:
        if only is not None and name not in only:
            raise QueryError(
                f"the parameter {name[:80]!a} is not supported here", hint=f"supported: {', '.join(sorted(only))}"
            )
    return parse_query(given, most_per_page=_MAX_PER_PAGE, per_page=_PER_PAGE)


def _scope(request: Request, principal: Principal, asked: str) -> str:
    """Identifies the list, its filters and the caller. A page token is valid for this scope only."""
    filters = sorted(one for one in request.query_params.multi_items() if one[0] not in ("nextPageToken", "perPage"))
    return json.dumps([request.scope["path"], filters, principal.participant, *([asked] if asked else [])])


def read_token(request: Request, principal: Principal, parsed: ParsedQuery, asked: str = "") -> tuple[int, int] | None:
    """The position after which the page starts; None for the first page. Raises CursorError."""
    place = read_place(request, principal, parsed, asked)
    return None if place is None else (int(place[0]), int(place[1]))


def read_place(request: Request, principal: Principal, parsed: ParsedQuery, asked: str = "") -> Key | None:
    """As `read_token`, for lists in any order."""
    pager: Pager = request.app.state.pager
    return None if parsed.token is None else pager.open(_scope(request, principal, asked), parsed.token)


def link_to_next(request: Request, principal: Principal, last: Key | None, asked: str = "") -> dict[str, str]:
    """The Link header for the next page (RFC 8288); empty on the last one."""
    if last is None:
        return {}
    pager: Pager = request.app.state.pager
    # The link repeats the other parameters, because the token is valid only together with them.
    kept = [one for one in request.query_params.multi_items() if one[0] != "nextPageToken"]
    token = pager.seal(_scope(request, principal, asked), last)
    target = f"{quote(request.scope['path'])}?{urlencode([*kept, ('nextPageToken', token)])}"
    return {"Link": f'<{target}>; rel="next"'}


def reply_json(value: Any, status: int, **headers: str) -> Response:
    return Response(msgspec.json.encode(value), status, {**VERSIONS, **headers}, media_type="application/json")
