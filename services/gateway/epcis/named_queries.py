"""Routes of the caller's named queries: add, list, get, run and delete; and of the values that events have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final

from fastapi import Path, Request, Response
from starlette.concurrency import run_in_threadpool

from millmark.ledger.canonical import Json, canonical_json
from millmark.ledger.store import Store
from millmark.services.access import Principal, Scope
from millmark.services.access.rules import Rule
from millmark.services.gateway.epcis import schemas, search
from millmark.services.gateway.epcis.capture import CaptureService
from millmark.services.gateway.http.authentication import CurrentPrincipal
from millmark.services.gateway.http.route_table import Examples
from millmark.services.gateway.http.routes import PROBLEM, Routes
from millmark.services.interop.epcis.event_queries import ALL_RUNS, EVENT_TYPES, Place
from millmark.services.interop.epcis.named_queries import NAME, NamedQueries, SubscriptionError, parse_definition
from millmark.services.interop.epcis.tree import BIZ_STEPS, CBV, DISPOSITIONS, THINGS
from millmark.services.webhooks.repository import WebhookRepository

QUERIES: Final = f"{search.PREFIX}/queries"
PAGING: Final = {"perPage", "nextPageToken"}
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
    return NamedQueries(store, search.number_of(principal))


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
        search.verify_media_type(request.headers)
        search.verify_acceptable(request.headers)
        definition = parse_definition(await request.body())
        await run_in_threadpool(_mine(store, principal).add, definition, clock_ms())
        return search.reply_json(definition.to_json(), 201, Location=f"{QUERIES}/{definition.name}")

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
        search.verify_acceptable(request.headers)
        parsed = search.read_query(request, PAGING)
        after = search.read_token(request, principal, parsed)
        found = _mine(store, principal).find(after[0] if after else 0, parsed.per_page + 1)
        last = (found[parsed.per_page - 1][0], 0) if len(found) > parsed.per_page else None
        shown = [definition.to_json() for _, definition in found[: parsed.per_page]]
        return search.reply_json(shown, 200, **search.link_to_next(request, principal, last))


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
        search.verify_acceptable(request.headers)
        return search.reply_json(_mine(store, principal).get(name).to_json(), 200)

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
            name, lambda connection: WebhookRepository(connection).drop_query(search.number_of(principal), name)
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
        search.read_query(request, PAGING)
        definition = _mine(store, principal).get(name)
        parsed = search.read_query(request, more=definition.parameters)
        queries = search.open_event_queries(store, principal)
        asked = canonical_json(dict(definition.query)).decode()
        return search.find_events(request, principal, queries, parsed, name, asked)


def _found() -> dict[str, Json]:
    return {
        **search.query_document([schemas.EXAMPLE_EVENT], schemas.QUERY_EXAMPLE["name"]),
        "creationDate": schemas.EXAMPLE_TIME,
    }


@dataclass(frozen=True, slots=True)
class Resource:
    """One of the lists of values that EPCIS has a gateway offer, such as business steps."""

    parameter: str
    """The query parameter that selects the events of a value."""
    fields: tuple[str, ...]
    """Fields of events that have such values; none if there are no others than the standard's."""
    standard: tuple[str, ...] = ()
    """The standard's own values, which are listed even if no event has them."""
    prefix: str = ""
    """How the standard's own values begin where they are written out."""
    example: str = ""


RESOURCES: Final[Mapping[str, Resource]] = {
    "eventTypes": Resource("eventType", (), EVENT_TYPES, example="ObjectEvent"),
    "bizSteps": Resource("EQ_bizStep", ("bizStep",), BIZ_STEPS, f"{CBV}BizStep-", "shipping"),
    "bizLocations": Resource("EQ_bizLocation", ("bizLocation",), example="https://id.gs1.org/414/9506000000015"),
    "readPoints": Resource("EQ_readPoint", ("readPoint",), example="https://id.gs1.org/414/9506000000015/254/5"),
    "dispositions": Resource("EQ_disposition", ("disposition",), DISPOSITIONS, f"{CBV}Disp-", "in_transit"),
}
"""By the resource's name in the path."""
_EPCS: Final = Resource("MATCH_anyEPC", THINGS, example="https://id.gs1.org/01/09506000013459/21/A0001")

Value = Annotated[
    str,
    Path(
        min_length=1,
        max_length=1024,
        description="Standard value or URI, percent-encoded.",
        examples=["shipping"],
    ),
]


def add_resources(routes: Routes, service: CaptureService, examples: Examples) -> None:
    """Adds `/RESOURCE` and `/RESOURCE/VALUE/events` for every resource, and `/epcs`."""
    for name, resource in RESOURCES.items():
        _add_events_of(routes, service, examples, name, resource.parameter)
        _add_values(routes, service, name, resource)
    _add_values(routes, service, "epcs", _EPCS)


def _add_events_of(routes: Routes, service: CaptureService, examples: Examples, resource: str, parameter: str) -> None:
    @routes.get(
        f"{search.PREFIX}/{resource}/{{value:path}}/events",
        f"find{resource[0].upper()}{resource[1:]}Events",
        f"Find EPCIS events by {resource}",
        rule=Rule(Scope.PROVENANCE, cost=4, by_name=True),
        examples=examples,
        **schemas.describe(schemas.DOCUMENT, 413, parameters=schemas.QUERY_PARAMETERS),
    )
    def events_of_resource(request: Request, principal: CurrentPrincipal, value: Value) -> Response:
        """Returns the events that the query parameter of the same name (`EQ_bizStep` for `bizSteps`) would select."""
        return search.find_events(
            request, principal, service.event_queries(principal), search.read_query(request, more=[(parameter, value)])
        )


def _add_values(routes: Routes, service: CaptureService, name: str, resource: Resource) -> None:
    @routes.get(
        f"{search.PREFIX}/{name}",
        f"list{name[0].upper()}{name[1:]}",
        f"List EPCIS {name}",
        rule=Rule(Scope.PROVENANCE, cost=4),
        examples={"one": partial(search.collection, [resource.example])},
        **schemas.describe(schemas.COLLECTION, parameters=schemas.PAGE_PARAMETERS),
    )
    def values(request: Request, principal: CurrentPrincipal) -> Response:
        """Returns the standard's own values, then those of events that the caller sent, or of all events for the
        company that runs the gateway. Standard values are bare words, others are URIs in the form of the event hash. A
        page may be short or empty although more follow: what is read for it is bounded."""
        return _list_values(request, principal, service, resource)


def _list_values(request: Request, principal: Principal, service: CaptureService, resource: Resource) -> Response:
    search.verify_acceptable(request.headers)
    parsed = search.read_query(request, PAGING)
    # A link of an earlier version names no run: it was past all of the value's.
    known, after, run = (*(search.read_place(request, principal, parsed) or (0, "", 0)), ALL_RUNS)[:3]
    page = list(resource.standard[int(known) : int(known) + parsed.per_page])
    told = int(known) + len(page)
    place: Place | None = str(after), int(run)
    if told == len(resource.standard):
        place = None
        if resource.fields:
            queries, left = service.event_queries(principal), parsed.per_page - len(page)
            values, place = queries.values(resource.fields, resource.prefix, (str(after), int(run)), left)
            page += values
    last = None if place is None else (told, *place)
    return search.reply_json(search.collection(page), 200, **search.link_to_next(request, principal, last))
