"""Routes of single things and of lists of them. For a caller there is only what ledger.provenance.permissions says."""

from __future__ import annotations

import enum
from typing import Annotated, Literal, TypeAlias, TypeVar

from fastapi import APIRouter, Path, Query, Response

from ledger.ids import MAX_IDENTIFIER_LENGTH
from ledger.provenance import Certificate, Participant, listings
from ledger.provenance.answers import Assignment, CustodyChange, Lot, Model, Order
from ledger.provenance.consortium import participant, participants
from ledger.provenance.jsonform import Printable
from ledger.provenance.resource_answers import RegisteredMachine
from ledger.records import AssignmentState, LotState, ModelState, OrderState
from ledger.store import Store
from services.gateway.docs.example_values import IDENTIFIER
from services.gateway.http.authentication import Asking
from services.gateway.http.paging import Paging
from services.gateway.http.responses import (
    CHECKED,
    LOOKED_UP,
    MOST_SEQUENCE,
    PROBLEM,
    KnownTags,
    Number,
    Subject,
    tagged,
)
from services.gateway.http.routes import Routes

__all__ = ["build_resources"]

V = TypeVar("V", bound=Printable)
_LISTED = {400: PROBLEM, **CHECKED}
_MOST_PARTICIPANT = 2**32 - 1
_Filters: TypeAlias = "dict[str, int | bytes]"

_State: TypeAlias = Literal["placed", "accepted", "rejected", "in_production", "completed", "delivered", "cancelled"]
_LotState: TypeAlias = Literal["held", "offered", "quarantined", "spent"]
_AssignmentState: TypeAlias = Literal["proposed", "accepted", "declined", "started", "finished", "cancelled"]
_ModelState: TypeAlias = Literal["registered", "approved", "withdrawn"]
ParticipantNumber = Annotated[int, Path(ge=1, le=_MOST_PARTICIPANT, description="Number, as on chain.", examples=[5])]
OfOrder = Annotated[
    str | None,
    Query(pattern="^0x[0-9a-f]{64}$", description="Only those of that order, by subject.", examples=["0x" + "2b" * 32]),
]
OfLot = Annotated[
    str | None,
    Query(pattern="^0x[0-9a-f]{64}$", description="Only those of that lot, by subject.", examples=["0x" + "1a" * 32]),
]
OfParticipant = Annotated[
    int | None, Query(ge=1, le=_MOST_PARTICIPANT, description="Only those of that participant.", examples=[5])
]
OfMachine = Annotated[
    int | None, Query(ge=1, le=MOST_SEQUENCE, description="Only those of that machine, by number.", examples=[17])
]
OfModel = Annotated[
    int | None, Query(ge=1, le=MOST_SEQUENCE, description="Only those on that model, by number.", examples=[9])
]
Called = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=MAX_IDENTIFIER_LENGTH,
        description="Only those of that identifier, in any spelling: how one finds a subject.",
        examples=[IDENTIFIER],
    ),
]


def _given(**values: int | bytes | None) -> _Filters:
    return {name: value for name, value in values.items() if value is not None}


def _value(states: type[enum.IntEnum], word: str | None) -> int | None:
    return None if word is None else states[word.upper()].value


def _raw(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def _page(paging: Paging, page: listings.Page[V]) -> Response:
    return paging.answer(page.items, None if page.after is None else (page.after,))


def build_resources(store: Store) -> APIRouter:
    """All of them over one store."""
    router = APIRouter()
    _add_consortium(router, store)
    _add_equipment(router, store)
    _add_orders(router, store)
    _add_lots(router, store)
    return router


def _add_consortium(router: APIRouter, store: Store) -> None:
    consortium = Routes(router, "consortium", LOOKED_UP)
    models = Routes(router, "models", LOOKED_UP)

    @consortium.page("/v1/participants", "listParticipants", "Who is in the consortium", Participant)
    def list_participants(paging: Paging) -> Response:
        """By number, with the keys that sign for them now. Names are those of this gateway's book."""
        return _page(paging, listings.cut(participants(store), paging.number, paging.limit))

    @consortium.one("/v1/participants/{number}", "getParticipant", "One participant", Participant)
    def get_participant(number: ParticipantNumber, known: KnownTags = None) -> Response:
        """Roles, standing, and the keys that sign for it now."""
        return tagged(participant(store, number), known)

    @models.page("/v1/models", "listModels", "Quality models", Model)
    def list_models(
        paging: Paging,
        state: Annotated[_ModelState | None, Query(description="Only those in it.", examples=["approved"])] = None,
        inspector: OfParticipant = None,
    ) -> Response:
        """By number. What is said of a model is on the chain: who registered, approved and withdrew it."""
        wanted = _given(state=_value(ModelState, state), inspector=inspector)
        return _page(paging, listings.models(store, paging.number, paging.limit, wanted))

    @models.one("/v1/models/{id}", "getModel", "One quality model", Model)
    def get_model(number: Number, known: KnownTags = None) -> Response:
        """Its digest, who answers for it, and whether it may be relied on."""
        return tagged(listings.model(store, number), known)


def _add_equipment(router: APIRouter, store: Store) -> None:
    routes = Routes(router, "machines", LOOKED_UP)

    @routes.page("/v1/machines", "listMachines", "Machines", RegisteredMachine)
    def list_machines(principal: Asking, paging: Paging, owner: OfParticipant = None) -> Response:
        """By number: one's own, and those at work in orders that one may see; with what they have to do."""
        wanted = _given(owner=owner)
        return _page(paging, listings.machines(store, principal.viewer, paging.number, paging.limit, wanted))

    @routes.one("/v1/machines/{id}", "getMachine", "One machine", RegisteredMachine)
    def get_machine(principal: Asking, number: Number, known: KnownTags = None) -> Response:
        """Whose it is, and how much it has to do."""
        return tagged(listings.machine(store, number, principal.viewer), known)


def _add_orders(router: APIRouter, store: Store) -> None:
    routes = Routes(router, "orders", LOOKED_UP)

    @routes.page("/v1/orders", "listOrders", "Orders", Order)
    def list_orders(
        principal: Asking,
        paging: Paging,
        state: Annotated[_State | None, Query(description="Only those in it.", examples=["in_production"])] = None,
        buyer: OfParticipant = None,
        coordinator: OfParticipant = None,
        identifier: Called = None,
    ) -> Response:
        """In the order in which they were placed: those to which one is a party, or for which one's machines work."""
        wanted = _given(state=_value(OrderState, state), buyer=buyer, coordinator=coordinator)
        found = listings.orders(store, principal.viewer, paging.number, paging.limit, wanted, identifier)
        return _page(paging, found)

    @routes.one("/v1/orders/{subject}", "getOrder", "One order", Order)
    def get_order(principal: Asking, subject: Subject, known: KnownTags = None) -> Response:
        """Who wants it from whom, and how far it is."""
        return tagged(listings.order(store, _raw(subject), principal.viewer), known)

    @routes.page("/v1/assignments", "listAssignments", "Assignments", Assignment)
    def list_assignments(
        principal: Asking,
        paging: Paging,
        order: OfOrder = None,
        machine: OfMachine = None,
        owner: OfParticipant = None,
        state: Annotated[_AssignmentState | None, Query(description="Only those in it.", examples=["started"])] = None,
    ) -> Response:
        """By the sequence of their proposal: those in orders that one may see."""
        wanted = _given(
            order=None if order is None else _raw(order),
            machine=machine,
            owner=owner,
            state=_value(AssignmentState, state),
        )
        return _page(paging, listings.assignments(store, principal.viewer, paging.number, paging.limit, wanted))

    @routes.one("/v1/assignments/{id}", "getAssignment", "One assignment", Assignment)
    def get_assignment(principal: Asking, number: Number, known: KnownTags = None) -> Response:
        """One operation of an order, given to one machine."""
        return tagged(listings.assignment(store, number, principal.viewer), known)


def _add_lots(router: APIRouter, store: Store) -> None:
    lots = Routes(router, "lots", LOOKED_UP)
    provenance = Routes(router, "provenance", LOOKED_UP)

    @lots.page("/v1/lots", "listLots", "Lots", Lot)
    def list_lots(
        principal: Asking,
        paging: Paging,
        state: Annotated[_LotState | None, Query(description="Only those in it.", examples=["quarantined"])] = None,
        custodian: OfParticipant = None,
        order: OfOrder = None,
        identifier: Called = None,
    ) -> Response:
        """In the order in which they were made: those that there are for the caller (ACCESS.md)."""
        wanted = _given(
            state=_value(LotState, state), custodian=custodian, order=None if order is None else _raw(order)
        )
        found = listings.lots(store, principal.viewer, paging.number, paging.limit, wanted, identifier)
        return _page(paging, found)

    @lots.one("/v1/lots/{subject}", "getLot", "One lot", Lot)
    def get_lot(principal: Asking, subject: Subject, known: KnownTags = None) -> Response:
        """How much of it there is, who has it, and in which state. Where it came from says a trace."""
        return tagged(listings.lot(store, _raw(subject), principal.viewer), known)

    @lots.page("/v1/lots/{subject}/custody", "listCustody", "Who had a lot", CustodyChange, {404: PROBLEM, **_LISTED})
    def list_custody(principal: Asking, paging: Paging, subject: Subject) -> Response:
        """Every offer, acceptance and return, of the lot or of what it was packed in at the time, the oldest first."""
        return _page(paging, listings.custody(store, _raw(subject), principal.viewer, paging.number, paging.limit))

    @provenance.page("/v1/certificates", "listCertificates", "Certificates", Certificate)
    def list_certificates(
        principal: Asking,
        paging: Paging,
        lot: OfLot = None,
        inspector: OfParticipant = None,
        model: OfModel = None,
    ) -> Response:
        """In the order in which they were issued: those of lots that there are for the caller."""
        wanted = _given(lot=None if lot is None else _raw(lot), issuer=inspector, model=model)
        return _page(paging, listings.certificates(store, principal.viewer, paging.number, paging.limit, wanted))
