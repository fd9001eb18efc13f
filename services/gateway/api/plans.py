"""Routes of orders, and of calls, offers, plans, forecasts and setpoints.

But for orders, they show what this gateway's company knows, and to that company alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated, Literal, TypeAlias

from fastapi import Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from millmark.ledger import errors, merkle, products
from millmark.ledger.chain import Chain
from millmark.ledger.plans.check import Unseen
from millmark.ledger.provenance import listings
from millmark.ledger.provenance.answers import Assignment, Machine, Order
from millmark.ledger.records import AssignmentState, OrderState, Role
from millmark.ledger.store import Book, Rows, Store
from millmark.services.access import Scope
from millmark.services.access.rules import Rule
from millmark.services.gateway.http import example_values as examples
from millmark.services.gateway.http import routes as http
from millmark.services.gateway.http.authentication import CurrentPrincipal
from millmark.services.gateway.http.problems import NoChainError
from millmark.services.gateway.http.route_table import RouteTable
from millmark.services.planning import showing
from millmark.services.planning.forecast import recording, repository, scoring
from millmark.services.planning.forecast.recording import anchored_at
from millmark.services.planning.making import Ties
from millmark.services.planning.repository import PlanningRepository
from millmark.services.planning.showing import CallShown, OfferShown, PlanCheckShown, PlanShown
from millmark.services.setpoints import Inbox, SetpointDocument, SetpointShown, SetpointValue
from millmark.services.setpoints.document import MAX_VALUES, Forecast
from millmark.services.setpoints.inbox import MOST_OPEN_S, ForecastShown, ValueShown

_State: TypeAlias = Literal["placed", "accepted", "in_production", "completed", "delivered", "cancelled", "ended"]
_AssignmentState: TypeAlias = Literal["proposed", "accepted", "declined", "started", "finished", "cancelled"]
_READ, _LIST = Rule(Scope.PROVENANCE), Rule(Scope.PROVENANCE, cost=4)


def add_orders(table: RouteTable, store: Store) -> None:
    routes = http.Routes(table, "orders", http.PROBLEMS_404)
    _add_orders(routes, store)
    _add_assignments(routes, store)


def _add_orders(routes: http.Routes, store: Store) -> None:
    @routes.page(
        "/v1/orders", "listOrders", "List orders", Order, rule=_LIST, examples=examples.page_examples(examples.order)
    )
    def list_orders(
        principal: CurrentPrincipal,
        paging: http.Paging,
        state: Annotated[
            _State | None, Query(description="Only orders in this state.", examples=["in_production"])
        ] = None,
        buyer: http.OfParticipant = None,
        coordinator: http.OfParticipant = None,
        identifier: http.Called = None,
    ) -> Response:
        """Returns the orders to which the caller is a party or for which its machines work, in order of placement."""
        wanted = http.build_filters(state=http.state_value(OrderState, state), buyer=buyer, coordinator=coordinator)
        found = listings.orders(store, principal.viewer, paging.number, paging.limit, wanted, identifier)
        return http.reply_page(paging, found)

    @routes.one(
        "/v1/orders/{subject}", "getOrder", "Get an order", Order, rule=_READ, examples={"delivered": examples.order}
    )
    def get_order(
        principal: CurrentPrincipal, subject: http.Subject, if_none_match: http.IfNoneMatch = None
    ) -> Response:
        """Returns the order's buyer and coordinator, terms and state."""
        return http.reply_with_etag(listings.order(store, http.parse_subject(subject), principal.viewer), if_none_match)


def _add_assignments(routes: http.Routes, store: Store) -> None:
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
        paging: http.Paging,
        order: http.OfOrder = None,
        machine: http.OfMachine = None,
        owner: http.OfParticipant = None,
        state: Annotated[
            _AssignmentState | None, Query(description="Only assignments in this state.", examples=["started"])
        ] = None,
    ) -> Response:
        """Returns the assignments in orders visible to the caller, ordered by the sequence of their proposal."""
        wanted = http.build_filters(
            order=None if order is None else http.parse_subject(order),
            machine=machine,
            owner=owner,
            state=http.state_value(AssignmentState, state),
        )
        return http.reply_page(
            paging, listings.assignments(store, principal.viewer, paging.number, paging.limit, wanted)
        )

    @routes.one(
        "/v1/assignments/{id}",
        "getAssignment",
        "Get an assignment",
        Assignment,
        rule=_READ,
        examples={"finished": _assignment},
    )
    def get_assignment(
        principal: CurrentPrincipal, number: http.Number, if_none_match: http.IfNoneMatch = None
    ) -> Response:
        """Returns an operation of an order, the machine to which it is assigned, and its state."""
        return http.reply_with_etag(listings.assignment(store, number, principal.viewer), if_none_match)


def _assignment() -> Assignment:
    now = examples.NOW
    return Assignment(
        assignment=131,
        order=examples.ORDER,
        identifier=examples.order().identifier,
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
        leaf_hash=merkle.leaf_hash(b"\x03"),
        claims_root=b"\xee" * 32,
    )


_OWN_READ, _OWN_LIST = Rule(Scope.PROVENANCE, owner=True), Rule(Scope.PROVENANCE, owner=True, cost=4)
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
    routes = http.Routes(table, "planning", http.PROBLEMS_404)
    _add_calls(routes, store)
    _add_offers(routes, store)
    _add_plans(routes, store, ties)


@contextmanager
def _reading(store: Store, participant: int | None) -> Iterator[showing.Reader]:
    with store.reading() as connection:
        yield showing.Reader(Rows(connection), Book(connection), PlanningRepository(connection), participant or 0)


def _add_calls(routes: http.Routes, store: Store) -> None:
    @routes.page(
        "/v1/calls", "listCalls", "List calls", CallShown, rule=_OWN_LIST, examples=examples.page_examples(_call)
    )
    def list_calls(principal: CurrentPrincipal, paging: http.Paging) -> Response:
        """Returns the calls that this company made or was handed, in the order of their digests."""
        after = None if paging.after is None else bytes.fromhex(str(paging.after[0]))
        with _reading(store, principal.participant) as reader:
            found = reader.calls(after, paging.limit + 1)
        return paging.answer(found[: paging.limit], _next(paging.limit, [one.call for one in found]))

    @routes.one("/v1/calls/{root}", "getCall", "Get a call", CallShown, rule=_OWN_READ, examples={"closed": _call})
    def get_call(principal: CurrentPrincipal, root: CallDigest, if_none_match: http.IfNoneMatch = None) -> Response:
        """Returns when it closes, how much it asks for, and what is known here of offers and plans."""
        with _reading(store, principal.participant) as reader:
            return http.reply_with_etag(reader.call(http.parse_subject(root)), if_none_match)


def _add_offers(routes: http.Routes, store: Store) -> None:
    @routes.page(
        "/v1/offers",
        "listOffers",
        "List the offers for a call",
        OfferShown,
        rule=_OWN_LIST,
        examples=examples.page_examples(_offer),
        responses=http.PROBLEMS_400_404,
    )
    def list_offers(principal: CurrentPrincipal, paging: http.Paging, call: OfCall) -> Response:
        """Returns own offers, and for the coordinator and those whom the call names as readers everybody's, in the
        order of their leaf hashes, with why each counts or does not."""
        after = b"" if paging.after is None else bytes.fromhex(str(paging.after[0]))
        with _reading(store, principal.participant) as reader:
            found = [one for one in reader.offers(http.parse_subject(call)) if one.offer > after]
        return paging.answer(found[: paging.limit], _next(paging.limit, [one.offer for one in found]))


def _add_plans(routes: http.Routes, store: Store, ties: Ties) -> None:
    @routes.one(
        "/v1/plans/{root}", "getPlan", "Get a plan", PlanShown, rule=_OWN_READ, examples={"two operations": _plan}
    )
    def get_plan(principal: CurrentPrincipal, root: PlanDigest, if_none_match: http.IfNoneMatch = None) -> Response:
        """Returns the plan with what became of each row: whole for coordinator and readers, else this company's
        part."""
        with _reading(store, principal.participant) as reader:
            return http.reply_with_etag(reader.plan(http.parse_subject(root)), if_none_match)

    @routes.one(
        "/v1/plans/{root}/check",
        "checkPlan",
        "Check a plan",
        PlanCheckShown,
        rule=Rule(Scope.PROVENANCE, owner=True, cost=8),
        examples={"holds": _check, "refused": _refused},
    )
    def check_plan(principal: CurrentPrincipal, root: PlanDigest, if_none_match: http.IfNoneMatch = None) -> Response:
        """Checks the plan by the offers that are known here: feasibility, cost and bound by who reads all offers, own
        rows and offers by an owner. Machines, anchors, the orders' terms in force and the tie hash are compared with
        the ledger. Whoever does not trust this gateway runs `millmark plan check`."""
        with _reading(store, principal.participant) as reader:
            closes = reader.closes(http.parse_subject(root))
        tie = ties.find(closes)  # asks the chain, so outside of the transactions
        with _reading(store, principal.participant) as reader:
            return http.reply_with_etag(reader.check(http.parse_subject(root), tie), if_none_match)


def _next(limit: int, keys: list[bytes]) -> http.Key | None:
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
        windows=(showing.WindowShown(6, 20, 7200), showing.WindowShown(30, 44, 6900)),
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
    row = showing.RowShown(
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
    leg = showing.LegShown(
        examples.ORDER, 0, examples.MAKER, examples.HUB, None, row.ends_at, row.ends_at + timedelta(hours=2), 500
    )
    return PlanShown(
        plan=_PLAN,
        call=_CALL,
        coordinator=examples.HUB,
        before=b"\x7f" * 32,
        cause=showing.CauseShown("machine-down", "the spindle is worn", examples.STREAM, 12, None),
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
    share = showing.ShareShown(examples.MAKER, 46, 2)
    return PlanCheckShown(
        _PLAN, True, True, None, None, 26, (share,), 1000, 1, None, (Unseen.TERMS.write(),), ("that meters are right",)
    )


def _refused() -> PlanCheckShown:
    reason = "offer 0x6e6e was left out"
    return PlanCheckShown(_PLAN, False, False, "offers", reason, None, (), None, None, None, (), ())


# Routes of forecasts of demand: what was recorded, how it did, and what is wanted. They are the company's own.

_SCORE = Rule(Scope.PROVENANCE, owner=True, cost=10)
"""Counts the orders anew, at two blocks."""
_FORECAST = b"\x6c" * 32
ForecastName = Annotated[
    str,
    Path(alias="id", pattern="^0x[0-9a-f]{64}$", description="Its digest.", examples=["0x" + _FORECAST.hex()]),
]


def add_forecasts(
    table: RouteTable, store: Store, chain: Chain | None, owner: int | None, find_product: products.FindProduct
) -> None:
    """`owner`: the company that runs the gateway, whose orders count. Without it or a chain, nothing is scored."""
    routes = http.Routes(table, "planning", http.PROBLEMS_404)
    _add_forecasts(routes, store)

    @routes.one(
        "/v1/forecasts/{id}/score",
        "scoreForecast",
        "Score a forecast",
        scoring.ScoreFound,
        rule=_SCORE,
        examples={"scored": _score},
        responses={409: http.PROBLEM, 503: http.PROBLEM, **http.PROBLEMS_404},
    )
    def score_one(id_: ForecastName) -> Response:
        """Counts what was ordered since, up to the latest final block, beside what was forecast and the last week
        before repeated. Only weeks count that have ended, and that began after the ledger had the forecast."""
        if chain is None:
            raise NoChainError("this gateway follows no chain", hint="its operator sets the chain")
        if owner is None:
            raise errors.NotFoundError("the gateway does not say whose orders count", hint="set gateway_participant")
        digest = http.parse_subject(id_)
        with store.reading() as connection:
            document, row = recording.need_forecast(connection, digest)
            cursor = recording.read_cursor(connection)
        # They ask the chain, so outside of the transaction.
        then, now = recording.find_cut(chain, cursor, document.cut.block), recording.find_cut(chain, cursor)
        with store.reading() as connection:
            before, since = (recording.read_history(connection, owner, one, find_product) for one in (then, now))
            found = scoring.score_forecast(document, before, since, anchored_at(connection, row))
        return http.reply(scoring.show_score(digest, found))


def _add_forecasts(routes: http.Routes, store: Store) -> None:
    @routes.page(
        "/v1/forecasts",
        "listForecasts",
        "List forecasts of demand",
        scoring.ForecastListed,
        rule=_OWN_LIST,
        examples=examples.page_examples(_listed),
    )
    def list_forecasts(paging: http.Paging) -> Response:
        """Returns the forecasts that this company recorded, in the order of their digests."""
        after = None if paging.after is None else bytes.fromhex(str(paging.after[0]))
        with store.reading() as connection:
            rows = repository.ForecastRepository(connection).page(after, paging.limit + 1)
            shown = [
                scoring.list_forecast(recording.need_forecast(connection, row.digest)[0], anchored_at(connection, row))
                for row in rows[: paging.limit]
            ]
        return paging.answer(shown, (shown[-1].forecast.hex(),) if len(rows) > paging.limit else None)

    @routes.one(
        "/v1/forecasts/{id}",
        "getForecast",
        "Get a forecast of demand",
        scoring.ForecastFound,
        rule=_OWN_READ,
        examples={"forecast": _found},
    )
    def get_forecast(id_: ForecastName, if_none_match: http.IfNoneMatch = None) -> Response:
        """Returns quantities by product, option and week with their intervals, and the work that they need."""
        with store.reading() as connection:
            document, row = recording.need_forecast(connection, http.parse_subject(id_))
            found = scoring.show_forecast(document, anchored_at(connection, row))
        return http.reply_with_etag(found, if_none_match)


# Examples


def _listed() -> scoring.ForecastListed:
    return scoring.ForecastListed(_FORECAST, "2026-W48", 13, 1, 420, 5_000, 80, anchored=True)


def _found() -> scoring.ForecastFound:
    named = "appliance", "H87", "", ""
    series = scoring.SeriesShown(*named, 60, "median", "", (12, 14), (8, 9), (17, 19))
    work = scoring.CapacityShown("moulding", (48, 56), (32, 36), (68, 76))
    cut = 5_000, examples.STREAM, _FORECAST
    return scoring.ForecastFound(_FORECAST, "2026-W48", 2, 80, 420, *cut, "median", True, (series,), (work,))


def _score() -> scoring.ScoreFound:
    scored = scoring.ScoredShown("appliance", "H87", "", "", 2, 26, 24, 4, 7, 2)
    return scoring.ScoreFound(_FORECAST, 6_000, 2, 1, 83, 4, 7, (scored,))


# Routes of the inbox of proposed setpoints. They show the company's own machines, and to that company alone.

_STRICT = ConfigDict(extra="forbid", strict=True)
_INTEGER = 2**53 - 1


class WantedValue(BaseModel):
    """One setpoint, in units of 10^-decimals of the sensor's unit."""

    model_config = _STRICT
    name: str = Field(max_length=32)
    decimals: int = Field(ge=0, le=9)
    before: int = Field(ge=-_INTEGER, le=_INTEGER, description="What the machine has.")
    value: int = Field(ge=-_INTEGER, le=_INTEGER)


class WantedForecast(BaseModel):
    """What the model says of some setpoints over the horizon."""

    model_config = _STRICT
    cost: int = Field(ge=-_INTEGER, le=_INTEGER)
    energy_wh: int = Field(ge=0, le=_INTEGER)
    eta_ppm: int = Field(ge=0, le=1_000_000, description="Availability at the end, in millionths.")
    e_ppm: int = Field(ge=0, le=1_000_000, description="Effectiveness x quality ratio at the end, in millionths.")


class WantedSetpoint(BaseModel):
    """Setpoints that are proposed for a machine."""

    model_config = _STRICT
    machine: int = Field(ge=1, le=2**48 - 1, description="Its number.")
    model: str = Field(pattern="^0x[0-9a-f]{64}$", description="Digest of the process model.")
    values: list[WantedValue] = Field(min_length=1, max_length=MAX_VALUES)
    horizon_s: int = Field(ge=1, le=2**31)
    expected: WantedForecast = Field(description="With the proposed setpoints.")
    kept: WantedForecast = Field(description="With those that the machine has.")
    unit: str = Field(max_length=20, description="What one unit of cost is.")
    cause: str = Field("", max_length=200, description="Why it was looked for, such as a drift alarm.")
    open_s: int = Field(3600, ge=1, le=MOST_OPEN_S, description="For how many seconds it can be accepted.")
    stream: Annotated[str, Field(pattern="^0x[0-9a-f]{64}$")] | None = Field(
        None, description="Stream of the machine in which the answer is recorded; by default its only one."
    )


def add_setpoints(table: RouteTable, inbox: Inbox, owner: int | None) -> None:
    """`owner`: the company that runs the gateway, for callers without a credential, where it lets them in."""
    routes = http.Routes(table, "machines", http.PROBLEMS_404)

    @routes.page(
        "/v1/setpoints",
        "listSetpoints",
        "List proposed setpoints",
        SetpointShown,
        rule=_OWN_LIST,
        examples=examples.page_examples(_open),
    )
    def list_setpoints(paging: http.Paging) -> Response:
        """Returns the proposals for this company's machines, the latest first, with what became of each."""
        found = inbox.page(paging.number, paging.limit + 1)
        shown = found[: paging.limit]
        return paging.answer(shown, (shown[-1].setpoint,) if len(found) > paging.limit else None)

    @routes.one(
        "/v1/setpoints/{id}",
        "getSetpoint",
        "Get proposed setpoints",
        SetpointShown,
        rule=_OWN_READ,
        examples={"open": _open},
    )
    def get_setpoint(number: http.Number, if_none_match: http.IfNoneMatch = None) -> Response:
        """Returns the proposal, with the operator's answer if there is one."""
        return http.reply_with_etag(inbox.get(number), if_none_match)

    @routes.post(
        "/v1/setpoints",
        "proposeSetpoint",
        "Propose setpoints for a machine",
        SetpointShown,
        rule=Rule(Scope.RECORDING, Role.MANUFACTURER, owner=True, cost=4),
        examples={"open": _open},
        body_example=_WANTED,
        responses=http.PROBLEMS_400_404,
        status_code=201,
    )
    def propose_setpoint(principal: CurrentPrincipal, body: WantedSetpoint) -> Response:
        """Puts a proposal into the inbox of the machine's operator. Nothing is recorded, and nothing takes effect,
        until it is accepted. It takes the place of an earlier one for the machine that is not answered. Sent again
        while it is open, it stays one proposal."""
        stream = None if body.stream is None else bytes.fromhex(body.stream[2:])
        made = inbox.propose(principal.participant or owner, _document(body), body.open_s, stream)
        return http.reply(made, 201, Location=f"/v1/setpoints/{made.setpoint}")


def _document(body: WantedSetpoint) -> SetpointDocument:
    return SetpointDocument(
        machine=body.machine,
        model=body.model[2:],
        values=tuple(SetpointValue(**one.model_dump()) for one in body.values),
        horizon_s=body.horizon_s,
        expected=Forecast(**body.expected.model_dump()),
        kept=Forecast(**body.kept.model_dump()),
        unit=body.unit,
        cause=body.cause,
    )


# Examples


_WANTED = {
    "machine": 17,
    "model": "0x" + "9d" * 32,
    "values": [{"name": "speed_set", "decimals": 1, "before": 420, "value": 365}],
    "horizon_s": 720,
    "expected": {"cost": 6878, "energy_wh": 2381, "eta_ppm": 877_105, "e_ppm": 714_340},
    "kept": {"cost": 7958, "energy_wh": 2423, "eta_ppm": 603_866, "e_ppm": 764_984},
    "unit": "EUR/100",
    "cause": "drift of model 9",
}


def _open() -> SetpointShown:
    return SetpointShown(
        setpoint=7,
        machine=17,
        state="open",
        stream=examples.STREAM,
        entry=None,
        reason=None,
        proposed_at=examples.NOW,
        until_at=examples.NOW + timedelta(hours=1),
        model=b"\x9d" * 32,
        values=(ValueShown("speed_set", 1, 420, 365),),
        horizon_s=720,
        expected=ForecastShown(6878, 2381, 877_105, 714_340, 626_551),
        kept=ForecastShown(7958, 2423, 603_866, 764_984, 461_947),
        unit="EUR/100",
        cause="drift of model 9",
        document=b"\x3c" * 32,
    )
