"""Queries under a name: the caller's own, made, listed, shown, asked and deleted. Nobody is subscribed to any."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final

from fastapi import APIRouter, Path, Request, Response
from starlette.concurrency import run_in_threadpool

from ledger.canonical import canonical_json
from ledger.store import Store
from services.access import Principal
from services.gateway.epcis import schemas
from services.gateway.epcis.negotiation import verify_acceptable, verify_media_type
from services.gateway.epcis.problems import PREFIX
from services.gateway.epcis.search import find_events, link_to_next, read_question, read_token, reply_json
from services.gateway.http.authentication import Asking
from services.interop.epcis.event_queries import EventQueries
from services.interop.epcis.named_queries import NAME, NamedQueries, SubscriptionError, parse_definition

__all__ = ["QUERIES", "add_queries"]

QUERIES: Final = f"{PREFIX}/queries"
_PAGING: Final = {"perPage", "nextPageToken"}
_SUBSCRIBING: Final = frozenset(
    ["stream", "second", "minute", "hour", "dayOfMonth", "month", "dayOfWeek", "reportIfEmpty", "initialRecordTime"]
)
"""Parameters by which the standard subscribes."""
_OPERATOR: Final = 0
QueryName = Annotated[str, Path(pattern=NAME, description="As it was made under.", examples=["shipped-parts"])]


def add_queries(router: APIRouter, store: Store, clock_ms: Callable[[], int]) -> None:
    """Adds the routes."""
    _add_list(router, store, clock_ms)
    _add_one(router, store)


def _mine(store: Store, principal: Principal) -> NamedQueries:
    return NamedQueries(store, principal.participant or _OPERATOR)


def _add_list(router: APIRouter, store: Store, clock_ms: Callable[[], int]) -> None:
    @router.post(QUERIES, **schemas.NEW_QUERY)
    async def add_query(request: Request, principal: Asking) -> Response:
        """A question of SimpleEventQuery under a name, for the caller's company alone; 100 at most. Lists are JSON
        arrays. 409 when the name is taken."""
        verify_media_type(request.headers)
        verify_acceptable(request.headers)
        definition = parse_definition(await request.body())
        await run_in_threadpool(_mine(store, principal).add, definition, clock_ms())
        return reply_json(definition.to_json(), 201, Location=f"{QUERIES}/{definition.name}")

    @router.get(QUERIES, **schemas.QUERIES)
    def queries(request: Request, principal: Asking) -> Response:
        """The caller's, in the order in which they were made."""
        verify_acceptable(request.headers)
        question = read_question(request, _PAGING)
        after = read_token(request, principal, question)
        found = _mine(store, principal).find(after[0] if after else 0, question.per_page + 1)
        last = (found[question.per_page - 1][0], 0) if len(found) > question.per_page else None
        shown = [definition.to_json() for _, definition in found[: question.per_page]]
        return reply_json(shown, 200, **link_to_next(request, principal, last))


def _add_one(router: APIRouter, store: Store) -> None:
    @router.get(QUERIES + "/{name}", **schemas.QUERY)
    def query(request: Request, principal: Asking, name: QueryName) -> Response:
        """Its definition as it was made."""
        verify_acceptable(request.headers)
        return reply_json(_mine(store, principal).get(name).to_json(), 200)

    @router.delete(QUERIES + "/{name}", **schemas.DROP_QUERY)
    def drop_query(principal: Asking, name: QueryName) -> Response:
        """Its name is free again."""
        _mine(store, principal).drop(name)
        return Response(status_code=204)

    @router.get(QUERIES + "/{name}/events", **schemas.EVENTS_OF_QUERY)
    def events_of_query(request: Request, principal: Asking, name: QueryName) -> Response:
        """What it finds now, of what there is for the caller. Subscriptions are refused: `/v1/events` and webhooks tell
        what is new."""
        if _SUBSCRIBING & request.query_params.keys() or "upgrade" in request.headers:
            raise SubscriptionError("nobody is subscribed to queries here", hint="ask again, or follow /v1/events")
        read_question(request, _PAGING)
        definition = _mine(store, principal).get(name)
        question = read_question(request, more=definition.parameters)
        library = EventQueries(store, principal.participant or _OPERATOR, principal.viewer)
        asked = canonical_json(dict(definition.query)).decode()
        return find_events(request, principal, library, question, name, asked)
