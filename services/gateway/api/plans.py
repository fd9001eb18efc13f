"""Routes of calls, offers and plans. They show what this gateway's company knows, and to that company alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated

from fastapi import Path, Query, Response

from millmark.ledger.plans.check import Unseen
from millmark.ledger.store import Book, Rows, Store
from millmark.services.access import Scope
from millmark.services.access.rules import Rule
from millmark.services.gateway.api.filters import parse_subject
from millmark.services.gateway.http import example_values as examples
from millmark.services.gateway.http.authentication import CurrentPrincipal
from millmark.services.gateway.http.paging import Key, Paging
from millmark.services.gateway.http.responses import PROBLEMS_400_404, PROBLEMS_404, IfNoneMatch, reply_with_etag
from millmark.services.gateway.http.route_table import RouteTable
from millmark.services.gateway.http.routes import Routes
from millmark.services.planning.making import Ties
from millmark.services.planning.repository import PlanningRepository
from millmark.services.planning.showing import (
    CallShown,
    CauseShown,
    LegShown,
    OfferShown,
    PlanCheckShown,
    PlanShown,
    Reader,
    RowShown,
    ShareShown,
    WindowShown,
)

_READ, _LIST = Rule(Scope.PROVENANCE, owner=True), Rule(Scope.PROVENANCE, owner=True, cost=4)
_CHECK = Rule(Scope.PROVENANCE, owner=True, cost=8)
_HASH = "^0x[0-9a-f]{64}$"
_CALL, _PLAN, _OFFER = b"\x4c" * 32, b"\x5d" * 32, b"\x6e" * 32
CallDigest = Annotated[
    str, Path(alias="root", pattern=_HASH, description="Digest of the call.", examples=["0x" + _CALL.hex()])
]
PlanDigest = Annotated[
    str, Path(alias="root", pattern=_HASH, description="Digest of the plan.", examples=["0x" + _PLAN.hex()])
]
OfCall = Annotated[
    str, Query(pattern=_HASH, description="Digest of the call that they are for.", examples=["0x" + _CALL.hex()])
]


def add_plans(table: RouteTable, store: Store, ties: Ties) -> None:
    routes = Routes(table, "planning", PROBLEMS_404)
    _add_calls(routes, store)
    _add_offers(routes, store)
    _add_plans(routes, store, ties)


@contextmanager
def _reading(store: Store, participant: int | None) -> Iterator[Reader]:
    with store.reading() as connection:
        yield Reader(Rows(connection), Book(connection), PlanningRepository(connection), participant or 0)


def _add_calls(routes: Routes, store: Store) -> None:
    @routes.page("/v1/calls", "listCalls", "List calls", CallShown, rule=_LIST, examples=examples.page_examples(_call))
    def list_calls(principal: CurrentPrincipal, paging: Paging) -> Response:
        """Returns the calls that this company made or was handed, in the order of their digests."""
        after = None if paging.after is None else bytes.fromhex(str(paging.after[0]))
        with _reading(store, principal.participant) as reader:
            found = reader.calls(after, paging.limit + 1)
        return paging.answer(found[: paging.limit], _next(paging.limit, [one.call for one in found]))

    @routes.one("/v1/calls/{root}", "getCall", "Get a call", CallShown, rule=_READ, examples={"closed": _call})
    def get_call(principal: CurrentPrincipal, root: CallDigest, if_none_match: IfNoneMatch = None) -> Response:
        """Returns when it closes, how much it asks for, and what is known here of offers and plans."""
        with _reading(store, principal.participant) as reader:
            return reply_with_etag(reader.call(parse_subject(root)), if_none_match)


def _add_offers(routes: Routes, store: Store) -> None:
    @routes.page(
        "/v1/offers",
        "listOffers",
        "List the offers for a call",
        OfferShown,
        rule=_LIST,
        examples=examples.page_examples(_offer),
        responses=PROBLEMS_400_404,
    )
    def list_offers(principal: CurrentPrincipal, paging: Paging, call: OfCall) -> Response:
        """Returns own offers, and for the coordinator and those whom the call names as readers everybody's, in the
        order of their leaf hashes, with why each counts or does not."""
        after = b"" if paging.after is None else bytes.fromhex(str(paging.after[0]))
        with _reading(store, principal.participant) as reader:
            found = [one for one in reader.offers(parse_subject(call)) if one.offer > after]
        return paging.answer(found[: paging.limit], _next(paging.limit, [one.offer for one in found]))


def _add_plans(routes: Routes, store: Store, ties: Ties) -> None:
    @routes.one("/v1/plans/{root}", "getPlan", "Get a plan", PlanShown, rule=_READ, examples={"two operations": _plan})
    def get_plan(principal: CurrentPrincipal, root: PlanDigest, if_none_match: IfNoneMatch = None) -> Response:
        """Returns the plan with what became of each row: whole for coordinator and readers, else this company's
        part."""
        with _reading(store, principal.participant) as reader:
            return reply_with_etag(reader.plan(parse_subject(root)), if_none_match)

    @routes.one(
        "/v1/plans/{root}/check",
        "checkPlan",
        "Check a plan",
        PlanCheckShown,
        rule=_CHECK,
        examples={"holds": _check, "refused": _refused},
    )
    def check_plan(principal: CurrentPrincipal, root: PlanDigest, if_none_match: IfNoneMatch = None) -> Response:
        """Checks the plan by the offers that are known here: feasibility, cost and bound by who reads all offers, own
        rows and offers by an owner. Machines, anchors, the orders' terms in force and the tie hash are compared with
        the ledger. Whoever does not trust this gateway runs `millmark plan check`."""
        with _reading(store, principal.participant) as reader:
            closes = reader.closes(parse_subject(root))
        tie = ties.find(closes)  # asks the chain, so outside of the transactions
        with _reading(store, principal.participant) as reader:
            return reply_with_etag(reader.check(parse_subject(root), tie), if_none_match)


def _next(limit: int, keys: list[bytes]) -> Key | None:
    return None if len(keys) <= limit else (keys[limit - 1].hex(),)


# Examples


def _call() -> CallShown:
    now = examples.NOW
    return CallShown(
        call=_CALL,
        coordinator=examples.HUB,
        closes_at=now,
        origin_at=now + timedelta(minutes=30),
        slot_s=3600,
        slots=336,
        unit="EUR/100",
        readers=(examples.AUDITOR,),
        orders=1,
        operations=2,
        offers=3,
        plans=(_PLAN,),
    )


def _offer() -> OfferShown:
    now = examples.NOW
    return OfferShown(
        offer=_OFFER,
        call=_CALL,
        owner=examples.MAKER,
        machine=17,
        order=examples.ORDER,
        operation=0,
        duration=2,
        setup=1,
        family="turning, steel",
        windows=(WindowShown(6, 20, 7200), WindowShown(30, 44, 6900)),
        wh=9000,
        co2e_mg=3_420_000,
        until_at=now + timedelta(days=7),
        anchored_at=now - timedelta(hours=1),
        received_at=now - timedelta(minutes=59),
        counts=True,
        reason=None,
    )


def _plan() -> PlanShown:
    now = examples.NOW
    row = RowShown(
        order=examples.ORDER,
        identifier="urn:example:order-1",
        operation=0,
        machine=17,
        owner=examples.MAKER,
        offer=_OFFER,
        start=6,
        end=8,
        starts_at=now + timedelta(hours=6),
        ends_at=now + timedelta(hours=8),
        price=7200,
        wh=9000,
        co2e_mg=3_420_000,
        assignment=131,
        state="accepted",
        rework=0,
    )
    leg = LegShown(
        examples.ORDER, 0, examples.MAKER, examples.HUB, None, row.ends_at, row.ends_at + timedelta(hours=2), 500
    )
    return PlanShown(
        plan=_PLAN,
        call=_CALL,
        coordinator=examples.HUB,
        before=b"\x7f" * 32,
        cause=CauseShown("machine-down", "the spindle is worn", examples.STREAM, 12, None),
        latest=True,
        whole=True,
        anchored_at=now + timedelta(minutes=5),
        unit="EUR/100",
        total=7700,
        bound=7500,
        spent=0,
        gap_per_mille=26,
        offers=3,
        rows=(row,),
        reworked=(),
        legs=(leg,),
    )


def _check() -> PlanCheckShown:
    share = ShareShown(examples.MAKER, 46, 2)
    return PlanCheckShown(
        _PLAN, True, True, None, None, 26, (share,), 1000, 1, None, (Unseen.TERMS.write(),), ("that meters are right",)
    )


def _refused() -> PlanCheckShown:
    reason = "offer 0x6e6e was left out"
    return PlanCheckShown(_PLAN, False, False, "offers", reason, None, (), None, None, None, (), ())
