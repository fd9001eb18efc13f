"""Routes of participants, quality models and machines, and of the directory."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal, TypeAlias

from fastapi import Query, Response

from millmark.ledger import canonical, errors, records
from millmark.ledger.provenance import Participant, consortium, listings
from millmark.ledger.provenance.answers import Key, Model, RegisteredMachine
from millmark.ledger.store import Store
from millmark.services.access import Scope
from millmark.services.access.rules import Rule
from millmark.services.directory.repository import DirectoryRepository
from millmark.services.gateway.http import authentication, route_table
from millmark.services.gateway.http import example_values as examples
from millmark.services.gateway.http import routes as http

_ModelState: TypeAlias = Literal["registered", "approved", "retired", "withdrawn"]
_READ, _LIST = Rule(Scope.PROVENANCE), Rule(Scope.PROVENANCE, cost=4)


def add_consortium(table: route_table.RouteTable, store: Store) -> None:
    _add_participants(http.Routes(table, "consortium", http.PROBLEMS_404), store)
    _add_models(http.Routes(table, "models", http.PROBLEMS_404), store)
    _add_machines(http.Routes(table, "machines", http.PROBLEMS_404), store)


def _add_participants(routes: http.Routes, store: Store) -> None:
    @routes.page(
        "/v1/participants",
        "listParticipants",
        "List participants",
        Participant,
        rule=_LIST,
        examples=examples.page_examples(_participant),
    )
    def list_participants(paging: http.Paging) -> Response:
        """Returns the participants by number, with the active keys of each. Names are from this gateway's private
        book."""
        return http.reply_page(paging, listings.cut(consortium.participants(store), paging.number, paging.limit))

    @routes.one(
        "/v1/participants/{number}",
        "getParticipant",
        "Get a participant",
        Participant,
        rule=_READ,
        examples={"maker": _participant},
    )
    def get_participant(number: http.ParticipantNumber, if_none_match: http.IfNoneMatch = None) -> Response:
        """Returns the participant's roles, whether it is suspended or has left, its active keys with what each may do,
        and a recovery under way."""
        return http.reply_with_etag(consortium.participant(store, number), if_none_match)


def _add_models(routes: http.Routes, store: Store) -> None:
    @routes.page(
        "/v1/models",
        "listModels",
        "List quality models",
        Model,
        rule=_LIST,
        examples=examples.page_examples(examples.model),
    )
    def list_models(
        paging: http.Paging,
        state: Annotated[
            _ModelState | None, Query(description="Only models in this state.", examples=["approved"])
        ] = None,
        inspector: http.OfParticipant = None,
    ) -> Response:
        """Returns the models by number, with who registered and approved each, and whether it was retired or withdrawn,
        according to the chain."""
        wanted = http.build_filters(state=http.state_value(records.ModelState, state), inspector=inspector)
        return http.reply_page(paging, listings.models(store, paging.number, paging.limit, wanted))

    @routes.one(
        "/v1/models/{id}",
        "getModel",
        "Get a quality model",
        Model,
        rule=_READ,
        examples={"approved": examples.model},
    )
    def get_model(number: http.Number, if_none_match: http.IfNoneMatch = None) -> Response:
        """Returns the model's digest, its inspector and auditor, whether other inspectors may use it, and whether it is
        approved, retired or withdrawn."""
        return http.reply_with_etag(listings.model(store, number), if_none_match)


def _add_machines(routes: http.Routes, store: Store) -> None:
    @routes.page(
        "/v1/machines",
        "listMachines",
        "List machines",
        RegisteredMachine,
        rule=_LIST,
        examples=examples.page_examples(_machine),
    )
    def list_machines(
        principal: authentication.CurrentPrincipal,
        paging: http.Paging,
        owner: http.OfParticipant = None,
        identifier: http.Called = None,
    ) -> Response:
        """Returns, by number, the caller's machines and those assigned to orders visible to the caller, with their
        workload."""
        wanted = http.build_filters(owner=owner)
        found = listings.machines(store, principal.viewer, paging.number, paging.limit, wanted, identifier)
        return http.reply_page(paging, found)

    @routes.one(
        "/v1/machines/{id}",
        "getMachine",
        "Get a machine",
        RegisteredMachine,
        rule=_READ,
        examples={"press": _machine},
    )
    def get_machine(
        principal: authentication.CurrentPrincipal, number: http.Number, if_none_match: http.IfNoneMatch = None
    ) -> Response:
        """Returns the machine's owner and its workload."""
        return http.reply_with_etag(listings.machine(store, number, principal.viewer), if_none_match)


def _participant() -> Participant:
    maker = examples.MAKER
    key = Key(b"\x5c" * 20, ("manufacturer",), admin=True, added_at=examples.NOW)
    return Participant(
        participant=maker.participant,
        name=maker.name,
        roles=("manufacturer",),
        suspended=False,
        departed=False,
        keys=(key,),
        recovery=None,
        admitted_at=examples.NOW,
    )


def _machine() -> RegisteredMachine:
    return RegisteredMachine(
        machine=17,
        subject=canonical.sha256(b"press 3"),
        identifier="urn:example:press-3",
        owner=examples.MAKER,
        registered_at=examples.NOW - timedelta(days=90),
        retired_at=None,
        waiting=4,
        working=1,
        claims_root=b"\xdd" * 32,
    )


_DOCUMENT: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"application/json": {"schema": {"type": "object", "required": ["format", "entries", "signature"]}}}
    }
}


def add_directory(table: route_table.RouteTable, store: Store) -> None:
    routes = http.Routes(table, "consortium", http.PROBLEMS_404)

    @routes.get(
        "/v1/directory",
        "getDirectory",
        "Get the directory of participants",
        rule=Rule(Scope.PROVENANCE),
        examples={
            "beginning": lambda: {"format": "millmark-directory", "version": 1, "entries": [], "signature": "0x"}
        },
        responses={**_DOCUMENT, **http.PROBLEMS_404},
    )
    def get_directory(if_none_match: http.IfNoneMatch = None) -> Response:
        """Returns names, GLNs, gateways and recipient keys of all companies, signed by the operator, byte for byte as
        its digest is published on the ledger (DIRECTORY.md)."""
        with store.reading() as connection:
            signed = DirectoryRepository(connection).signed()
        if signed is None:
            raise errors.NotFoundError("this gateway has no directory yet", hint="the operator publishes one")
        return http.with_etag(Response(signed.to_bytes(), media_type="application/json"), if_none_match)
