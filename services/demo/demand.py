"""Demand in the demo: a forecast of the coming weeks, and one of earlier weeks scored by what the ledger shows since.

The demo's own orders fall within minutes, and history cannot be put before them on a chain whose clock is right. So
these orders are on a ledger of their own, whose clock is moved from week to week up to the present. Their quantities
are drawn; forecasts, entries and score are the product's. Only naive forecasts and smoothing are compared, since the
demo installs no package for more. What is left is a home of the coordinator that forecasts, whose portal shows them.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

from millmark.ledger.canonical import Json, to_hex
from millmark.ledger.ids import Identity, SubjectKind
from millmark.ledger.index import Follower
from millmark.ledger.products import Configuration, Product, build_order_document
from millmark.ledger.records import Anchor, OpenStream, OrderTerms, PlaceOrder
from millmark.ledger.store import Rows
from millmark.ledger.store.rows import StreamRow
from millmark.services.demo.consortium import COMPANIES, NOTHING, Company, Consortium, found_consortium, hash_of
from millmark.services.demo.given import choose_options
from millmark.services.demo.home import JOURNAL, clear_home, database_of, write_home
from millmark.services.demo.plant import PIECE
from millmark.services.devchain import JournaledChain
from millmark.services.planning.forecast.document import WEEK_S, ForecastDocument, History, begin_s, week_of, week_text
from millmark.services.planning.forecast.making import make_forecast
from millmark.services.planning.forecast.recording import (
    anchored_at,
    find_cut,
    need_forecast,
    need_identity,
    read_cursor,
    read_history,
    seal_forecast,
)
from millmark.services.planning.forecast.scoring import Score, score_forecast
from millmark.services.planning.stream_entries import OwnStream
from millmark.services.products import Catalogue
from millmark.services.store import open_store

WEEKS, SCORED, COMING = 30, 10, 13
"""Whole weeks of orders; the last ones of them, by which the earlier forecast is scored; weeks that are forecast."""
_MEAN, _SPREAD = 24, 6
"""Pieces a week, and how many more or fewer they may be."""
_CONFIGURED = 6
"""How many ways of configuring the product buyers choose among."""
_MIDWEEK_S = 3 * 86_400
_DUE_S = 60 * 86_400
_PORT = 8602
"""Port of the home's gateway: beside the buyer's, and the chain's next to it."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What was forecast, and how well."""

    home: Path
    """Home of the coordinator on the ledger of the forecasts."""
    orders: int
    earlier: ForecastDocument
    score: Score
    """Score of the earlier forecast."""
    coming: ForecastDocument

    def to_json(self) -> dict[str, Json]:
        [total] = self.score.totals
        return {
            "orders": self.orders,
            "history": "drawn, on a ledger of its own whose clock was moved",
            "home": str(self.home),
            "earlier": {
                "forecast": to_hex(self.earlier.digest),
                "weeks": self.score.weeks,
                "forecast_pieces": self.score.forecast,
                "came": self.score.actual,
                "error": self.score.error,
                "naive_error": self.score.naive_error,
                "within_interval": total.covered,
            },
            "coming": {
                "forecast": to_hex(self.coming.digest),
                "first_week": week_text(self.coming.first_week),
                "weeks": self.coming.weeks,
                "pieces": _pieces(self.coming),
                "method": self.coming.totals()[0].method,
            },
        }

    def describe(self) -> list[str]:
        """Lines for people."""
        score, [total], [coming] = self.score, self.score.totals, self.coming.totals()
        error, naive = score.error / score.weeks, score.naive_error / score.weeks
        low, high = min(coming.low or coming.quantities), max(coming.high or coming.quantities)
        bias = "-" if score.bias_permille is None else f"{score.bias_permille / 10:+.1f} %"
        return [
            f"demand: {self.orders} orders drawn at random over {WEEKS} weeks, on a ledger of its own whose clock was "
            "moved, since those above fall within minutes",
            f"  forecast recorded {score.weeks} weeks ago: {score.forecast} pieces; {score.actual} came ({bias}); mean "
            f"error {error:.1f} a week, of the naive forecast {naive:.1f}; {total.covered} of {score.weeks} weeks "
            f"within the {self.earlier.level_percent} % interval",
            f"  forecast of the {self.coming.weeks} weeks from {week_text(self.coming.first_week)}: "
            f"{_pieces(self.coming)} pieces, {low} to {high} a week, by {coming.method.lower()} (naive forecasts and "
            "smoothing were compared; `plan forecast make` compares more)",
        ]


def _pieces(document: ForecastDocument) -> int:
    return sum(sum(one.quantities) for one in document.totals())


def forecast_demand(product: Product, home: Path) -> Demand:
    """Records orders of past weeks and two forecasts on a new ledger, scores the earlier one, and leaves the
    coordinator's home with both in `home`.

    Raises InputError if the product's constraints allow no specification, SettingsError if the folder is not an
    earlier demo's or in use, and all errors of recording.
    """
    now_s = int(time.time())
    first = week_of(now_s) - timedelta(weeks=WEEKS)
    mondays = [begin_s(first) + week * WEEK_S for week in range(WEEKS)]
    clear_home(home)
    with open_store(database_of(home)) as store, closing(JournaledChain(home / JOURNAL, 0, mondays[0])) as chain:
        calendar = _Calendar(chain, mondays[0])
        past = _Past(found_consortium(store, calendar, COMPANIES[:2]), calendar, product)
        for monday in mondays[:-SCORED]:
            past.place(monday + _MIDWEEK_S)
        then = past.history()
        earlier = past.forecast(then, 1 + SCORED)
        for monday in mondays[-SCORED:]:
            past.place(monday + _MIDWEEK_S)
        past.place(now_s)
        now = past.history()
        coming = past.forecast(now, COMING)
        past.follow()
        write_home(home, past.consortium, past.company, _PORT)
        return Demand(home, len(now.orders), earlier, past.score(earlier, then, now), coming)


@dataclass(slots=True)
class _Calendar:
    """A chain whose clock is set: its next block is made at this time, in seconds since 1970."""

    chain: JournaledChain
    time_s: int

    def request(self, method: str, params: list[Any]) -> Any:
        return self.chain.request_at(self.time_s, method, params)


@dataclass(slots=True)
class _Past:
    """A buyer that orders, and a coordinator that forecasts."""

    consortium: Consortium
    calendar: _Calendar
    product: Product
    stream: Identity = field(init=False)
    _terms: list[OrderTerms] = field(init=False)
    """Terms for each way of configuring the product, for one piece."""
    _draw: Random = field(init=False)
    _placed: int = 0

    def __post_init__(self) -> None:
        self._draw = Random(f"demand of {self.product.product}")  # noqa: S311 - not a secret: the same in every run
        self._terms = [self._build(choose_options(self.product, number)) for number in range(_CONFIGURED)]
        self.stream = self.consortium.name(SubjectKind.STREAM, self.company, "urn:example:forecasts")
        self.consortium.record(self.company, [OpenStream(hash_of(self.stream), 0, NOTHING)])

    @property
    def company(self) -> Company:
        return self.consortium.coordinator

    def place(self, time_s: int) -> None:
        """Two orders of a week, of different configurations."""
        self.calendar.time_s = time_s
        wanted = _MEAN + self._draw.randint(-_SPREAD, _SPREAD)
        part = self._draw.randint(wanted // 3, wanted // 2)
        chosen = self._draw.sample(self._terms, 2)
        self.consortium.record(
            self.consortium.buyer,
            [self._order(terms, pieces) for terms, pieces in zip(chosen, (part, wanted - part), strict=True)],
        )

    def follow(self) -> None:
        """Brings the index up to date with the ledger."""
        Follower(self.consortium.chain, self.consortium.store).follow()

    def history(self) -> History:
        """What the ledger shows now."""
        chain, store = self.consortium.chain, self.consortium.store
        self.follow()
        with store.reading() as connection:
            cursor = read_cursor(connection)
        cut = find_cut(chain, cursor)
        with store.reading() as connection:
            return read_history(connection, self.company.number, cut, Catalogue().find_digest)

    def forecast(self, history: History, weeks: int) -> ForecastDocument:
        """Makes a forecast, and has the ledger commit to it."""
        store, subject = self.consortium.store, self.stream.subject
        with store.reading() as connection:
            row, identity = Rows(connection).get(StreamRow, subject), need_identity(connection)
        made = make_forecast(history, identity, weeks, plain=True)
        own = OwnStream(subject, self.company.number, 0 if row is None else row.size)
        with store.transaction() as connection:
            sealed = seal_forecast(connection, own, made)
        self.consortium.record(self.company, [Anchor(subject, sealed.size, sealed.root)])
        return made

    def score(self, document: ForecastDocument, then: History, now: History) -> Score:
        with self.consortium.store.reading() as connection:
            _, row = need_forecast(connection, document.digest)
            anchored_s = anchored_at(connection, row)
        return score_forecast(document, then, now, anchored_s)

    def _build(self, made: Configuration) -> OrderTerms:
        root = self.consortium.document(self.consortium.buyer, build_order_document(made))
        due_at = self.calendar.time_s + WEEKS * WEEK_S + _DUE_S
        return OrderTerms(len(made.operations), self.company.number, (), due_at, 1, PIECE, root)

    def _order(self, terms: OrderTerms, pieces: int) -> PlaceOrder:
        self._placed += 1
        name = self.consortium.name(SubjectKind.ORDER, self.consortium.buyer, f"urn:example:demand:{self._placed}")
        return PlaceOrder(hash_of(name), replace(terms, quantity=pieces))
