"""Routes of lots, their custody and their certificates. Callers get only what millmark.ledger.provenance.permissions
makes visible to them."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from fastapi import Query, Response

from millmark.ledger.provenance import Certificate, listings
from millmark.ledger.provenance.answers import CustodyChange, Lot
from millmark.ledger.provenance.footprints import LotFootprint, lot_footprint
from millmark.ledger.records import LotState
from millmark.ledger.store import Store
from millmark.services.access import Scope
from millmark.services.access.rules import Rule
from millmark.services.gateway.api.filters import (
    Called,
    OfLot,
    OfModel,
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
from millmark.services.gateway.http.responses import (
    PROBLEMS_400_404,
    PROBLEMS_404,
    IfNoneMatch,
    Subject,
    reply_with_etag,
)
from millmark.services.gateway.http.route_table import RouteTable
from millmark.services.gateway.http.routes import Routes

_LotState: TypeAlias = Literal["held", "offered", "quarantined", "spent", "returning"]
_OWN = Rule(Scope.PROVENANCE, owner=True, cost=4)
"""Claims are shown by the company that has them, to whom it chooses: in bundles and passports."""
_READ, _LIST = Rule(Scope.PROVENANCE), Rule(Scope.PROVENANCE, cost=4)


def add_lots(table: RouteTable, store: Store) -> None:
    lots = Routes(table, "lots", PROBLEMS_404)
    _add_lots(lots, store)
    _add_histories(lots, store)
    _add_certificates(Routes(table, "provenance", PROBLEMS_404), store)


def _add_lots(routes: Routes, store: Store) -> None:
    @routes.page("/v1/lots", "listLots", "List lots", Lot, rule=_LIST, examples=examples.page_examples(examples.lot))
    def list_lots(
        principal: CurrentPrincipal,
        paging: Paging,
        state: Annotated[
            _LotState | None, Query(description="Only lots in this state.", examples=["quarantined"])
        ] = None,
        custodian: OfParticipant = None,
        order: OfOrder = None,
        identifier: Called = None,
    ) -> Response:
        """Returns the lots visible to the caller (see ACCESS.md), in order of creation."""
        wanted = build_filters(
            state=state_value(LotState, state),
            custodian=custodian,
            order=None if order is None else parse_subject(order),
        )
        found = listings.lots(store, principal.viewer, paging.number, paging.limit, wanted, identifier)
        return reply_page(paging, found)

    @routes.one("/v1/lots/{subject}", "getLot", "Get a lot", Lot, rule=_READ, examples={"part": examples.lot})
    def get_lot(principal: CurrentPrincipal, subject: Subject, if_none_match: IfNoneMatch = None) -> Response:
        """Returns the lot's remaining quantity, holder and state. Use a trace to see where it came from."""
        return reply_with_etag(listings.lot(store, parse_subject(subject), principal.viewer), if_none_match)


def _add_histories(routes: Routes, store: Store) -> None:
    @routes.one(
        "/v1/lots/{subject}/footprint",
        "getFootprint",
        "Get the energy and emissions of a lot",
        LotFootprint,
        rule=_OWN,
        examples={"part": examples.footprint},
    )
    def get_footprint(principal: CurrentPrincipal, subject: Subject, if_none_match: IfNoneMatch = None) -> Response:
        """Returns what the lot's maker states in its claims (`passport.footprint`), with the operations, material and
        transport that it consists of. A bundle of the lot proves it from the register readings."""
        return reply_with_etag(lot_footprint(store, parse_subject(subject), principal.viewer), if_none_match)

    @routes.page(
        "/v1/lots/{subject}/custody",
        "listCustody",
        "List a lot's changes of custody",
        CustodyChange,
        rule=_LIST,
        examples=examples.page_examples(examples.custody_change),
        responses=PROBLEMS_400_404,
    )
    def list_custody(principal: CurrentPrincipal, paging: Paging, subject: Subject) -> Response:
        """Returns every offer, acceptance and return of the lot, or of the lot it was packed in at the time, oldest
        first.
        """
        found = listings.custody(store, parse_subject(subject), principal.viewer, paging.number, paging.limit)
        return reply_page(paging, found)


def _add_certificates(routes: Routes, store: Store) -> None:
    @routes.page(
        "/v1/certificates",
        "listCertificates",
        "List certificates",
        Certificate,
        rule=_LIST,
        examples=examples.page_examples(examples.certificate),
    )
    def list_certificates(
        principal: CurrentPrincipal,
        paging: Paging,
        lot: OfLot = None,
        inspector: OfParticipant = None,
        model: OfModel = None,
    ) -> Response:
        """Returns the certificates of lots visible to the caller, in order of issue."""
        wanted = build_filters(lot=None if lot is None else parse_subject(lot), issuer=inspector, model=model)
        return reply_page(paging, listings.certificates(store, principal.viewer, paging.number, paging.limit, wanted))
