"""The pages of demand, for the company that runs the gateway: its forecasts, and how they did."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from fastapi import Request
from starlette.responses import Response

from millmark.ledger.canonical import parse_hex32
from millmark.ledger.chain import Chain
from millmark.ledger.errors import CanonicalError, ChainError, NotFoundError
from millmark.ledger.products import Product, name_in
from millmark.ledger.records import Role
from millmark.ledger.store import Connection, Store
from millmark.quality.notes import read_note
from millmark.services.access import Principal, Scope
from millmark.services.access.rules import Rule
from millmark.services.pictures.plot import Fan, draw_fan
from millmark.services.planning.errors import ForecastError
from millmark.services.planning.forecast import recording, repository, scoring
from millmark.services.planning.forecast.document import (
    WEEK_S,
    Cut,
    ForecastDocument,
    History,
    Key,
    Memo,
    SeriesForecast,
    begin_s,
    count_weeks,
    model_hash,
    week_text,
)
from millmark.services.portal.pages import Catalogue, Forms, PageRoute, Pages
from millmark.services.products.loading import Catalogue as Products

# What the page of demand shows: a fan chart and a table for each series, and how earlier forecasts did.

_PAST_WEEKS = 26


@dataclass(frozen=True, slots=True)
class ShownWeek:
    week: str
    quantity: int
    low: int | None
    high: int | None
    came: int | None
    """What was ordered; None until the week has ended."""

    @property
    def within(self) -> bool | None:
        if self.came is None or self.low is None or self.high is None:
            return None
        return self.low <= self.came <= self.high


@dataclass(frozen=True, slots=True)
class ShownSeries:
    key: str
    """For identifiers within the page."""
    name: str
    picture: str
    weeks: tuple[ShownWeek, ...]
    series: SeriesForecast
    note: str | None
    """What the forecast notes of the series, in the reader's language; None if it notes nothing, or nothing known."""

    @property
    def total(self) -> int:
        return sum(self.series.quantities)


@dataclass(frozen=True, slots=True)
class ShownOption:
    name: str
    values: tuple[ShownSeries, ...]


@dataclass(frozen=True, slots=True)
class ShownProduct:
    whole: ShownSeries
    options: tuple[ShownOption, ...]

    def share_percent(self, value: ShownSeries) -> int | None:
        """The share of the product's forecast that has one value of an option, rounded; None if nothing is forecast."""
        return round(100 * value.total / self.whole.total) if self.whole.total else None


@dataclass(frozen=True, slots=True)
class Hit:
    """An earlier forecast, and how it did; without a score, why it has none."""

    digest: bytes
    document: ForecastDocument
    score: scoring.Score | None
    reason: str = ""

    @property
    def weekly_error(self) -> str:
        return "" if self.score is None else _mean(self.score.error, self.score)

    @property
    def weekly_naive_error(self) -> str:
        return "" if self.score is None else _mean(self.score.naive_error, self.score)


def build_products(document: ForecastDocument, now: History | None, catalogue: Catalogue) -> list[ShownProduct]:
    """The series of a forecast, with what was ordered before and since. `now` is None where the chain does not say up
    to which block it is final: then neither is shown."""
    builder = _Builder(document, now, catalogue)
    return [builder.product(place, total) for place, total in enumerate(document.totals())]


class _Builder:
    def __init__(self, document: ForecastDocument, now: History | None, catalogue: Catalogue) -> None:
        self.document, self.catalogue, self.now = document, catalogue, now
        self.first = document.first_week - timedelta(weeks=_PAST_WEEKS)
        self.counted = {} if now is None else count_weeks(now, self.first, _PAST_WEEKS + document.weeks)
        self.ended = (
            0 if now is None else sum(begin_s(monday) + WEEK_S <= now.cut.time_s for monday in document.mondays)
        )

    def product(self, place: int, total: SeriesForecast) -> ShownProduct:
        parts = self.document.options_of(total.key)
        names = list(dict.fromkeys(one.key.option for one in parts))
        options = []
        for number, name in enumerate(names):
            values = [one for one in parts if one.key.option == name]
            shown = [self.series(f"s{place}-{number}-{at}", one) for at, one in enumerate(values)]
            options.append(ShownOption(self.option_name(total.key, name), tuple(shown)))
        return ShownProduct(self.series(f"s{place}", total), tuple(options))

    def series(self, key: str, series: SeriesForecast) -> ShownSeries:
        counts = self.counted.get(series.key, (0,) * (_PAST_WEEKS + self.document.weeks))
        past = counts[:_PAST_WEEKS] if self.now is not None else ()
        past = past[next((place for place, count in enumerate(past) if count), len(past)) :]
        came, name = counts[_PAST_WEEKS:][: self.ended], self.name(series.key)
        mondays = self.document.mondays
        fan = Fan(
            key=key,
            title=self.catalogue.say("demand.chart", name=name),
            summary=self.catalogue.say(
                "demand.summary", weeks=len(mondays), first=week_text(mondays[0]), total=sum(series.quantities)
            ),
            past=past,
            forecast=series.quantities,
            low=series.low,
            high=series.high,
            came=came,
            labels=(
                week_text(mondays[0] - timedelta(weeks=len(past))),
                week_text(mondays[0]),
                week_text(mondays[-1]),
            ),
        )
        picture = draw_fan(fan, self.catalogue.language)
        return ShownSeries(key, name, picture, tuple(_weeks(series, mondays, came)), series, self.note(series))

    def note(self, series: SeriesForecast) -> str | None:
        found = read_note(series.note)
        if found is None:
            return None
        note, weeks = found
        return self.catalogue.say(f"demand.note.{note.name.lower()}", weeks=weeks)

    def name(self, key: Key) -> str:
        product = self._product(key)
        if not key.option:
            return key.product if product is None else self._word(product.names)
        option = None if product is None else next((one for one in product.options if one.key == key.option), None)
        choices = getattr(option, "choices", ())
        return next((self._word(one.names) for one in choices if one.value == key.value), key.value)

    def option_name(self, total: Key, name: str) -> str:
        product = self._product(total)
        found = () if product is None else product.options
        return next((self._word(one.names) for one in found if one.key == name), name)

    def _product(self, key: Key) -> Product | None:
        return None if self.now is None else self.now.products.get(key.product)

    def _word(self, names: object) -> str:
        return name_in(names, self.catalogue.language)  # type: ignore[arg-type]  # names by language, of product, option or choice


def _weeks(series: SeriesForecast, mondays: Sequence[date], came: Sequence[int]) -> Iterator[ShownWeek]:
    for place, monday in enumerate(mondays):
        yield ShownWeek(
            week_text(monday),
            series.quantities[place],
            None if series.low is None else series.low[place],
            None if series.high is None else series.high[place],
            came[place] if place < len(came) else None,
        )


def _mean(error: int, score: scoring.Score) -> str:
    """The mean error for a product and week, to a tenth."""
    tenths = round(error * 10 / max(1, score.weeks * len(score.totals)))
    return f"{tenths // 10}.{tenths % 10}"


_READ = Rule(Scope.PROVENANCE, owner=True, page=True, cost=10)
"""Every visit counts the orders anew, also as they stood when the listed forecasts were made."""
_MOST = 6
"""Most forecasts that are listed with their scores."""


class DemandPages:
    """`chain` says which blocks are final; None where no chain is configured. `home`: the folder with the company's own
    products, whose options have to be counted as `millmark plan forecast` counts them. `find_company` says for which
    company a caller stands, if any."""

    def __init__(
        self,
        store: Store,
        pages: Pages,
        forms: Forms,
        chain: Chain | None,
        home: Path | None,
        find_company: Callable[[Principal], int | None],
    ) -> None:
        self._store, self._pages, self._forms, self._chain = store, pages, forms, chain
        self._products, self._find_company = Products(home), find_company

    def routes(self) -> tuple[PageRoute, ...]:
        return (
            PageRoute("/portal/demand", self.latest, _READ, menu="demand", used_by=Role.COORDINATOR, of_company=True),
            PageRoute("/portal/demand/{digest}", self.show, _READ),
        )

    def latest(self, request: Request) -> Response:
        """The latest forecast, if one was made."""
        with self._store.reading() as connection:
            rows = repository.ForecastRepository(connection).all()
        return self._render(request, rows[0].digest if rows else None)

    def show(self, request: Request, digest: str) -> Response:
        """One forecast, with what came. Raises NotFoundError."""
        try:
            return self._render(request, parse_hex32(f"0x{digest}"))
        except CanonicalError:
            raise NotFoundError("no such forecast is known here") from None

    def _render(self, request: Request, digest: bytes | None) -> Response:
        principal: Principal = request.state.principal
        company = self._find_company(principal)
        if company is None:
            raise NotFoundError("forecasts are shown to participants alone")
        values: dict[str, Any] = {"document": None, "products": [], "hits": [], "cut": None}
        if digest is not None:
            values |= self._values(request, digest, company)
        return self._pages.render(request, "demand.html", forms=self._forms, **values)

    def _values(self, request: Request, digest: bytes, participant: int) -> dict[str, Any]:
        with self._store.reading() as connection:
            cursor = recording.read_cursor(connection)
        cut = self._cut(lambda chain: recording.find_cut(chain, cursor))  # asks the chain, so not in a transaction
        with self._store.reading() as connection:
            document, row = recording.need_forecast(connection, digest)
            rows = repository.ForecastRepository(connection).all()
            reader = _Reader(connection, participant, self._products)
            now = None if cut is None else reader.history(cut)
            hits = [reader.hit(one, now) for one in rows[:_MOST]]
            anchored = recording.anchored_at(connection, row) is not None
        return {
            "document": document,
            "digest_of": digest,
            "model": model_hash(document.model),
            "anchored": anchored,
            "latest": rows[0].digest == digest,
            "products": build_products(document, now, self._pages.catalogue(request)),
            "hits": hits,
            "more": len(rows) > _MOST,
            "cut": cut,
        }

    def _cut(self, find: Callable[[Chain], Cut]) -> Cut | None:
        """None if the chain does not answer or has no final block yet: the page then says that it shows no score."""
        if self._chain is None:
            return None
        try:
            return find(self._chain)
        except (ChainError, ForecastError):
            return None


class _Reader:
    """Histories at several cuts, reading each document once."""

    def __init__(self, connection: Connection, participant: int, products: Products) -> None:
        self._connection, self._participant, self._products = connection, participant, products
        self._memo: Memo = {}

    def history(self, cut: Cut) -> History:
        find = self._products.find_digest
        return recording.read_history(self._connection, self._participant, cut, find, self._memo)

    def hit(self, row: repository.ForecastRow, now: History | None) -> Hit:
        document, _ = recording.need_forecast(self._connection, row.digest)
        if now is None:
            return Hit(row.digest, document, None, "chain")
        try:
            then = self.history(document.cut)
            anchored = recording.anchored_at(self._connection, row)
            return Hit(row.digest, document, scoring.score_forecast(document, then, now, anchored))
        except ForecastError:
            return Hit(row.digest, document, None, "waiting")
