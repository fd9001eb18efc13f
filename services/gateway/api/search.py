"""The route that finds what a text names."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Response

from millmark.ledger.provenance.search import MAX_FOUND, MAX_TEXT, Found, FoundKind, FoundThings, search
from millmark.ledger.store import Store
from millmark.services.access import Scope
from millmark.services.access.rules import Rule
from millmark.services.gateway.http.authentication import CurrentPrincipal
from millmark.services.gateway.http.example_values import IDENTIFIER
from millmark.services.gateway.http.responses import PROBLEMS_400_404, reply
from millmark.services.gateway.http.route_table import RouteTable
from millmark.services.gateway.http.routes import Routes

Text = Annotated[
    str,
    Query(
        min_length=1,
        max_length=MAX_TEXT,
        description="An identifier in any spelling, its last part, what a code holds or a label prints, a subject, a "
        "number, or a part of a company's name.",
        examples=["A0001", IDENTIFIER],
    ),
]


def add_search(table: RouteTable, store: Store) -> None:
    routes = Routes(table, "provenance", PROBLEMS_400_404)

    @routes.get(
        "/v1/search",
        "search",
        "Find what a text names",
        FoundThings,
        rule=Rule(Scope.PROVENANCE, cost=4, by_name=True),
        examples={"lot": _found},
    )
    def find(principal: CurrentPrincipal, text: Text) -> Response:
        """Returns orders, lots, machines, streams, companies, models and certificates that the text names, at most 50.
        What does not exist for the caller is left out."""
        found = search(store, text, principal.viewer)
        return reply(FoundThings(found, len(found) >= MAX_FOUND))


def _found() -> FoundThings:
    return FoundThings((Found(FoundKind.LOT, "0x" + "11" * 32, IDENTIFIER, 380),), truncated=False)
