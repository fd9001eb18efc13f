"""Routes of the caller's named queries: add, list, get, run and delete."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final

from fastapi import Path, Request, Response
from starlette.concurrency import run_in_threadpool

from millmark.ledger.canonical import Json, canonical_json
from millmark.ledger.store import Store
from millmark.services.access import Principal, Scope
from millmark.services.access.rules import Rule
from millmark.services.gateway.epcis import schemas
from millmark.services.gateway.epcis.answers import query_document
from millmark.services.gateway.epcis.negotiation import PREFIX, verify_acceptable, verify_media_type
from millmark.services.gateway.epcis.search import (
    find_events,
    link_to_next,
    number_of,
    open_event_queries,
    read_query,
    read_token,
    reply_json,
)
from millmark.services.gateway.http.authentication import CurrentPrincipal
from millmark.services.gateway.http.responses import PROBLEM
from millmark.services.gateway.http.routes import Routes
from millmark.services.interop.epcis.named_queries import NAME, NamedQueries, SubscriptionError, parse_definition
from millmark.services.webhooks.repository import WebhookRepository

QUERIES: Final = f"{PREFIX}/queries"
_PAGING: Final = {"perPage", "nextPageToken"}
_SUBSCRIBING: Final = frozenset(
    ["stream", "second", "minute", "hour", "dayOfMonth", "month", "dayOfWeek", "reportIfEmpty", "initialRecordTime"]
)
"""Parameters with which the standard subscribes to a query over WebSocket."""
_READ = Rule(Scope.PROVENANCE)
QueryName = Annotated[str, Path(pattern=NAME, description="Name of a query.", examples=["shipped-parts"])]


def add_queries(routes: Routes, store: Store, clock_ms: Callable[[], int]) -> None:
    _add_list(routes, store, clock_ms)
    _add_one(routes, store)
    _add_events(routes, store)


def _mine(store: Store, principal: Principal) -> NamedQueries:
    return NamedQueries(store, number_of(principal))


def _add_list(routes: Routes, store: Store, clock_ms: Callable[[], int]) -> None:
    @routes.post(
        QUERIES,
        "addQuery",
        "Store a named query",
        rule=Rule(Scope.PROVENANCE, cost=4),
        examples={"shipped": lambda: schemas.QUERY_EXAMPLE},
        **schemas.describe(schemas.DEFINITION, 409, 413, 415, done=201, requestBody=schemas.DEFINITION_BODY),
    )
    async def add_query(request: Request, principal: CurrentPrincipal) -> Response:
        """Stores parameters of SimpleEventQuery under a name, for the caller's company only; at most 100 queries. Lists
        are JSON arrays. 409 if the name is in use."""
        verify_media_type(request.headers)
        verify_acceptable(request.headers)
        definition = parse_definition(await request.body())
        await run_in_threadpool(_mine(store, principal).add, definition, clock_ms())
        return reply_json(definition.to_json(), 201, Location=f"{QUERIES}/{definition.name}")

    @routes.get(
        QUERIES,
        "listQueries",
        "List named queries",
        rule=_READ,
        examples={"one": lambda: [schemas.QUERY_EXAMPLE]},
        **schemas.describe(schemas.DEFINITIONS, parameters=schemas.PAGE_PARAMETERS),
    )
    def queries(request: Request, principal: CurrentPrincipal) -> Response:
        """Returns the caller's queries, in order of creation."""
        verify_acceptable(request.headers)
        parsed = read_query(request, _PAGING)
        after = read_token(request, principal, parsed)
        found = _mine(store, principal).find(after[0] if after else 0, parsed.per_page + 1)
        last = (found[parsed.per_page - 1][0], 0) if len(found) > parsed.per_page else None
        shown = [definition.to_json() for _, definition in found[: parsed.per_page]]
        return reply_json(shown, 200, **link_to_next(request, principal, last))


def _add_one(routes: Routes, store: Store) -> None:
    @routes.get(
        QUERIES + "/{name}",
        "getQuery",
        "Get a named query",
        rule=_READ,
        examples={"shipped": lambda: schemas.QUERY_EXAMPLE},
        **schemas.describe(schemas.DEFINITION, 404),
    )
    def query(request: Request, principal: CurrentPrincipal, name: QueryName) -> Response:
        """Returns the query's definition as it was stored."""
        verify_acceptable(request.headers)
        return reply_json(_mine(store, principal).get(name).to_json(), 200)

    @routes.delete(
        QUERIES + "/{name}",
        "deleteQuery",
        "Delete a query",
        rule=_READ,
        status_code=204,
        responses={**dict.fromkeys((400, 404), PROBLEM), "default": PROBLEM},
    )
    def drop_query(principal: CurrentPrincipal, name: QueryName) -> Response:
        """Deletes the query and its subscriptions. The name can then be used again."""
        _mine(store, principal).drop(
            name, lambda connection: WebhookRepository(connection).drop_query(number_of(principal), name)
        )
        return Response(status_code=204)


def _add_events(routes: Routes, store: Store) -> None:
    @routes.get(
        QUERIES + "/{name}/events",
        "findEventsOfQuery",
        "Run a named query",
        rule=Rule(Scope.PROVENANCE, cost=4, by_name=True),
        examples={"one": _found},
        **schemas.describe(schemas.DOCUMENT, 404, 413, parameters=schemas.PAGE_PARAMETERS),
    )
    def events_of_query(request: Request, principal: CurrentPrincipal, name: QueryName) -> Response:
        """Returns the matching events that are visible to the caller. Subscriptions over WebSocket are refused:
        subscribe with a webhook (`/queries/{name}/subscriptions`)."""
        if _SUBSCRIBING & request.query_params.keys() or "upgrade" in request.headers:
            raise SubscriptionError(
                "subscriptions over WebSocket are not supported",
                hint=f"subscribe with a webhook: POST {QUERIES}/{name}/subscriptions",
            )
        read_query(request, _PAGING)
        definition = _mine(store, principal).get(name)
        parsed = read_query(request, more=definition.parameters)
        queries = open_event_queries(store, principal)
        asked = canonical_json(dict(definition.query)).decode()
        return find_events(request, principal, queries, parsed, name, asked)


def _found() -> dict[str, Json]:
    return {
        **query_document([schemas.EXAMPLE_EVENT], schemas.QUERY_EXAMPLE["name"]),
        "creationDate": schemas.EXAMPLE_TIME,
    }
