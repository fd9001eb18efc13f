"""Routes of the standard's top-level resources: the values of a kind, and the events of one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final

from fastapi import Path, Request, Response

from millmark.services.access import Principal, Scope
from millmark.services.access.rules import Rule
from millmark.services.gateway.epcis import schemas
from millmark.services.gateway.epcis.answers import collection
from millmark.services.gateway.epcis.capture import CaptureService
from millmark.services.gateway.epcis.negotiation import PREFIX, verify_acceptable
from millmark.services.gateway.epcis.search import find_events, link_to_next, read_place, read_query, reply_json
from millmark.services.gateway.http.authentication import CurrentPrincipal
from millmark.services.gateway.http.route_table import Examples
from millmark.services.gateway.http.routes import Routes
from millmark.services.interop.epcis.event_queries import ALL_RUNS, EVENT_TYPES, Place
from millmark.services.interop.epcis.tree import BIZ_STEPS, CBV, DISPOSITIONS, THINGS

_FIND: Final = Rule(Scope.PROVENANCE, cost=4, by_name=True)
_LIST: Final = Rule(Scope.PROVENANCE, cost=4)
_PAGING: Final = {"perPage", "nextPageToken"}


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
        _add_events(routes, service, examples, name, resource.parameter)
        _add_values(routes, service, name, resource)
    _add_values(routes, service, "epcs", _EPCS)


def _add_events(routes: Routes, service: CaptureService, examples: Examples, resource: str, parameter: str) -> None:
    @routes.get(
        f"{PREFIX}/{resource}/{{value:path}}/events",
        f"find{resource[0].upper()}{resource[1:]}Events",
        f"Find EPCIS events by {resource}",
        rule=_FIND,
        examples=examples,
        **schemas.describe(schemas.DOCUMENT, 413, parameters=schemas.QUERY_PARAMETERS),
    )
    def events_of_resource(request: Request, principal: CurrentPrincipal, value: Value) -> Response:
        """Returns the events that the query parameter of the same name (`EQ_bizStep` for `bizSteps`) would select."""
        return find_events(
            request, principal, service.event_queries(principal), read_query(request, more=[(parameter, value)])
        )


def _add_values(routes: Routes, service: CaptureService, name: str, resource: Resource) -> None:
    @routes.get(
        f"{PREFIX}/{name}",
        f"list{name[0].upper()}{name[1:]}",
        f"List EPCIS {name}",
        rule=_LIST,
        examples={"one": partial(collection, [resource.example])},
        **schemas.describe(schemas.COLLECTION, parameters=schemas.PAGE_PARAMETERS),
    )
    def values(request: Request, principal: CurrentPrincipal) -> Response:
        """Returns the standard's own values, then those of events that the caller sent, or of all events for the
        company that runs the gateway. Standard values are bare words, others are URIs in the form of the event hash. A
        page may be short or empty although more follow: what is read for it is bounded."""
        return _list_values(request, principal, service, resource)


def _list_values(request: Request, principal: Principal, service: CaptureService, resource: Resource) -> Response:
    verify_acceptable(request.headers)
    parsed = read_query(request, _PAGING)
    # A link of an earlier version names no run: it was past all of the value's.
    known, after, run = (*(read_place(request, principal, parsed) or (0, "", 0)), ALL_RUNS)[:3]
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
    return reply_json(collection(page), 200, **link_to_next(request, principal, last))
