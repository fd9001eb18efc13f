"""Routes of forecasts of demand: what was recorded, how it did, and what is wanted. They are the company's own."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Response

from millmark.ledger.chain import Chain
from millmark.ledger.errors import NotFoundError
from millmark.ledger.products import FindProduct
from millmark.ledger.store import Store
from millmark.services.access import Scope
from millmark.services.access.rules import Rule
from millmark.services.gateway.api.filters import parse_subject
from millmark.services.gateway.http import example_values as examples
from millmark.services.gateway.http.errors import NoChainError
from millmark.services.gateway.http.paging import Paging
from millmark.services.gateway.http.responses import PROBLEM, PROBLEMS_404, IfNoneMatch, reply, reply_with_etag
from millmark.services.gateway.http.route_table import RouteTable
from millmark.services.gateway.http.routes import Routes
from millmark.services.planning.forecast.making import read_preferences
from millmark.services.planning.forecast.recording import (
    anchored_at,
    find_cut,
    need_forecast,
    read_cursor,
    read_history,
)
from millmark.services.planning.forecast.repository import ForecastRepository
from millmark.services.planning.forecast.scoring import (
    CapacityShown,
    ForecastFound,
    ForecastListed,
    OptionWanted,
    PreferencesFound,
    ScoredShown,
    ScoreFound,
    SeriesShown,
    ValueWanted,
    list_forecast,
    score_forecast,
    show_forecast,
    show_preferences,
    show_score,
)

_READ, _LIST = Rule(Scope.PROVENANCE, owner=True), Rule(Scope.PROVENANCE, owner=True, cost=4)
_SCORE = Rule(Scope.PROVENANCE, owner=True, cost=10)
"""Counts the orders anew, at two blocks."""
_FORECAST = b"\x6c" * 32
ForecastName = Annotated[
    str,
    Path(alias="id", pattern="^0x[0-9a-f]{64}$", description="Its digest.", examples=["0x" + _FORECAST.hex()]),
]


def add_forecasts(
    table: RouteTable, store: Store, chain: Chain | None, owner: int | None, find_product: FindProduct
) -> None:
    """`owner`: the company that runs the gateway, whose orders count. Without it or a chain, nothing is scored."""
    routes = Routes(table, "planning", PROBLEMS_404)
    _add_forecasts(routes, store)
    _add_preferences(routes, store)

    @routes.one(
        "/v1/forecasts/{id}/score",
        "scoreForecast",
        "Score a forecast",
        ScoreFound,
        rule=_SCORE,
        examples={"scored": _score},
        responses={409: PROBLEM, 503: PROBLEM, **PROBLEMS_404},
    )
    def score_one(id_: ForecastName) -> Response:
        """Counts what was ordered since, up to the latest final block, beside what was forecast and the last week
        before repeated. Only weeks count that have ended, and that began after the ledger had the forecast."""
        if chain is None:
            raise NoChainError("this gateway follows no chain", hint="its operator sets the chain")
        if owner is None:
            raise NotFoundError("the gateway does not say whose orders count", hint="set gateway_participant")
        digest = parse_subject(id_)
        with store.reading() as connection:
            document, row = need_forecast(connection, digest)
            cursor = read_cursor(connection)
        # They ask the chain, so outside of the transaction.
        then, now = find_cut(chain, cursor, document.cut.block), find_cut(chain, cursor)
        with store.reading() as connection:
            before, since = (read_history(connection, owner, one, find_product) for one in (then, now))
            found = score_forecast(document, before, since, anchored_at(connection, row))
        return reply(show_score(digest, found))


def _add_forecasts(routes: Routes, store: Store) -> None:
    @routes.page(
        "/v1/forecasts",
        "listForecasts",
        "List forecasts of demand",
        ForecastListed,
        rule=_LIST,
        examples=examples.page_examples(_listed),
    )
    def list_forecasts(paging: Paging) -> Response:
        """Returns the forecasts that this company recorded, in the order of their digests."""
        after = None if paging.after is None else bytes.fromhex(str(paging.after[0]))
        with store.reading() as connection:
            rows = ForecastRepository(connection).page(after, paging.limit + 1)
            shown = [
                list_forecast(need_forecast(connection, row.digest)[0], anchored_at(connection, row))
                for row in rows[: paging.limit]
            ]
        return paging.answer(shown, (shown[-1].forecast.hex(),) if len(rows) > paging.limit else None)

    @routes.one(
        "/v1/forecasts/{id}",
        "getForecast",
        "Get a forecast of demand",
        ForecastFound,
        rule=_READ,
        examples={"forecast": _found},
    )
    def get_forecast(id_: ForecastName, if_none_match: IfNoneMatch = None) -> Response:
        """Returns quantities by product, option and week with their intervals, and the work that they need."""
        with store.reading() as connection:
            document, row = need_forecast(connection, parse_subject(id_))
            found = show_forecast(document, anchored_at(connection, row))
        return reply_with_etag(found, if_none_match)


def _add_preferences(routes: Routes, store: Store) -> None:
    @routes.page(
        "/v1/preferences",
        "listPreferences",
        "List what is wanted",
        PreferencesFound,
        rule=_LIST,
        examples=examples.page_examples(_wanted),
    )
    def list_preferences(paging: Paging) -> Response:
        """Returns, for each product, the shares in which the values of its options are wanted, in whole per cent, as
        they were last learned from this company's own orders. No order or buyer is in it."""
        after = "" if paging.after is None else str(paging.after[0])
        with store.reading() as connection:
            kept = sorted((name, one) for name, one in read_preferences(connection).items() if name > after)
        found = [show_preferences(name, one) for name, one in kept[: paging.limit]]
        return paging.answer(found, (found[-1].product,) if len(kept) > paging.limit else None)


# Examples


def _listed() -> ForecastListed:
    return ForecastListed(_FORECAST, "2026-W48", 13, 1, 420, 5_000, 80, anchored=True)


def _found() -> ForecastFound:
    named = "appliance", "H87", "", ""
    series = SeriesShown(*named, 60, "median", "", (12, 14), (8, 9), (17, 19))
    work = CapacityShown("moulding", (48, 56), (32, 36), (68, 76))
    cut = 5_000, examples.STREAM, _FORECAST
    return ForecastFound(_FORECAST, "2026-W48", 2, 80, 420, *cut, "median", True, (series,), (work,))


def _score() -> ScoreFound:
    scored = ScoredShown("appliance", "H87", "", "", 2, 26, 24, 4, 7, 2)
    return ScoreFound(_FORECAST, 6_000, 2, 1, 83, 4, 7, (scored,))


def _wanted() -> PreferencesFound:
    values = ValueWanted("white", 61), ValueWanted("red", 39)
    return PreferencesFound("appliance", _FORECAST, 5_000, (OptionWanted("colour", values),))
