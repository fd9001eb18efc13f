"""Routes of orders and of assignments to machines."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, TypeAlias

from fastapi import Query, Response

from millmark.ledger.merkle import leaf_hash
from millmark.ledger.provenance import listings
from millmark.ledger.provenance.answers import Assignment, Machine, Order
from millmark.ledger.records import AssignmentState, OrderState
from millmark.ledger.store import Store
from millmark.services.access import Scope
from millmark.services.access.rules import Rule
from millmark.services.gateway.api.filters import (
    Called,
    OfMachine,
    OfOrder,
    OfParticipant,
    build_filters,
    parse_subject,
    reply_page,
    state_value,
)
from millmark.services.gateway.http import example_values as examples
from millmark.services.gateway.http.authentication import CurrentPrincipal
from millmark.services.gateway.http.paging import Paging
from millmark.services.gateway.http.responses import PROBLEMS_404, IfNoneMatch, Number, Subject, reply_with_etag
from millmark.services.gateway.http.route_table import RouteTable
from millmark.services.gateway.http.routes import Routes

_State: TypeAlias = Literal[
    "placed", "accepted", "rejected", "in_production", "completed", "delivered", "cancelled", "ended"
]
_AssignmentState: TypeAlias = Literal["proposed", "accepted", "declined", "started", "finished", "cancelled"]
_READ, _LIST = Rule(Scope.PROVENANCE), Rule(Scope.PROVENANCE, cost=4)


def add_orders(table: RouteTable, store: Store) -> None:
    routes = Routes(table, "orders", PROBLEMS_404)
    _add_orders(routes, store)
    _add_assignments(routes, store)


def _add_orders(routes: Routes, store: Store) -> None:
    @routes.page(
        "/v1/orders", "listOrders", "List orders", Order, rule=_LIST, examples=examples.page_examples(examples.order)
    )
    def list_orders(
        principal: CurrentPrincipal,
        paging: Paging,
        state: Annotated[
            _State | None, Query(description="Only orders in this state.", examples=["in_production"])
        ] = None,
        buyer: OfParticipant = None,
        coordinator: OfParticipant = None,
        identifier: Called = None,
    ) -> Response:
        """Returns the orders to which the caller is a party or for which its machines work, in order of placement."""
        wanted = build_filters(state=state_value(OrderState, state), buyer=buyer, coordinator=coordinator)
        found = listings.orders(store, principal.viewer, paging.number, paging.limit, wanted, identifier)
        return reply_page(paging, found)

    @routes.one(
        "/v1/orders/{subject}", "getOrder", "Get an order", Order, rule=_READ, examples={"delivered": examples.order}
    )
    def get_order(principal: CurrentPrincipal, subject: Subject, if_none_match: IfNoneMatch = None) -> Response:
        """Returns the order's buyer and coordinator, terms and state."""
        return reply_with_etag(listings.order(store, parse_subject(subject), principal.viewer), if_none_match)


def _add_assignments(routes: Routes, store: Store) -> None:
    @routes.page(
        "/v1/assignments",
        "listAssignments",
        "List assignments",
        Assignment,
        rule=_LIST,
        examples=examples.page_examples(_assignment),
    )
    def list_assignments(
        principal: CurrentPrincipal,
        paging: Paging,
        order: OfOrder = None,
        machine: OfMachine = None,
        owner: OfParticipant = None,
        state: Annotated[
            _AssignmentState | None, Query(description="Only assignments in this state.", examples=["started"])
        ] = None,
    ) -> Response:
        """Returns the assignments in orders visible to the caller, ordered by the sequence of their proposal."""
        wanted = build_filters(
            order=None if order is None else parse_subject(order),
            machine=machine,
            owner=owner,
            state=state_value(AssignmentState, state),
        )
        return reply_page(paging, listings.assignments(store, principal.viewer, paging.number, paging.limit, wanted))

    @routes.one(
        "/v1/assignments/{id}",
        "getAssignment",
        "Get an assignment",
        Assignment,
        rule=_READ,
        examples={"finished": _assignment},
    )
    def get_assignment(principal: CurrentPrincipal, number: Number, if_none_match: IfNoneMatch = None) -> Response:
        """Returns an operation of an order, the machine to which it is assigned, and its state."""
        return reply_with_etag(listings.assignment(store, number, principal.viewer), if_none_match)


def _assignment() -> Assignment:
    now = examples.NOW
    return Assignment(
        assignment=131,
        order=examples.ORDER,
        operation=0,
        current=True,
        state=AssignmentState.FINISHED,
        machine=Machine(17, "urn:example:press-3", examples.MAKER),
        owner=examples.MAKER,
        proposed_at=now - timedelta(hours=9),
        accepted_at=now - timedelta(hours=8),
        started_at=now - timedelta(hours=4),
        ended_at=now - timedelta(hours=3),
        stream=examples.STREAM,
        leaf_index=3,
        leaf_hash=leaf_hash(b"\x03"),
        claims_root=b"\xee" * 32,
    )
