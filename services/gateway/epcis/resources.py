"""Routes of the standard's top-level resources: the events of a kind, a step, a disposition, a place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from fastapi import Path, Request, Response

from services.access import Scope
from services.access.rules import Rule
from services.gateway.epcis import schemas
from services.gateway.epcis.capture import CaptureService
from services.gateway.epcis.negotiation import PREFIX
from services.gateway.epcis.search import find_events, read_query
from services.gateway.http.authentication import CurrentPrincipal
from services.gateway.http.route_table import Examples
from services.gateway.http.routes import Routes

__all__ = ["RESOURCES", "add_resources"]

_FIND: Final = Rule(Scope.PROVENANCE, cost=4, by_name=True)
RESOURCES: Final[Mapping[str, str]] = {
    "eventTypes": "eventType",
    "bizSteps": "EQ_bizStep",
    "bizLocations": "EQ_bizLocation",
    "readPoints": "EQ_readPoint",
    "dispositions": "EQ_disposition",
}
"""The query parameter that selects the events of a resource, by the resource's name in the path."""

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
    """Adds `/RESOURCE/VALUE/events` for every resource."""
    for resource, parameter in RESOURCES.items():
        _add_events(routes, service, examples, resource, parameter)


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
