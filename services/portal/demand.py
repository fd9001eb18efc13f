"""The pages of demand, for the company that runs the gateway: its forecasts, and how they did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import Request
from starlette.responses import Response

from millmark.ledger.canonical import parse_hex32
from millmark.ledger.chain import Chain
from millmark.ledger.errors import CanonicalError, ChainError, NotFoundError
from millmark.ledger.provenance import open_reader
from millmark.ledger.records import Role
from millmark.ledger.store import Connection, Store
from millmark.services.access import Principal, Scope
from millmark.services.access.rules import Rule
from millmark.services.planning.errors import ForecastError
from millmark.services.planning.forecast.document import ForecastDocument, model_hash
from millmark.services.planning.forecast.history import Cut, History, Memo
from millmark.services.planning.forecast.recording import (
    anchored_at,
    find_cut,
    need_forecast,
    read_cursor,
    read_history,
)
from millmark.services.planning.forecast.repository import ForecastRepository, ForecastRow
from millmark.services.planning.forecast.scoring import score_forecast
from millmark.services.planning.forecast.signalling import CapacitySignal, read_received
from millmark.services.planning.forecast.weeks import week_text
from millmark.services.planning.shelf import reading
from millmark.services.portal.demand_view import Hit, build_products
from millmark.services.portal.forms import Forms
from millmark.services.portal.pages import Pages
from millmark.services.portal.routes import PageRoute
from millmark.services.products.loading import Catalogue as Products

__all__ = ["DemandPages"]

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
            rows = ForecastRepository(connection).all()
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
        with open_reader(self._store, principal.viewer) as reader, reading(self._store) as shelf:
            received = read_received(shelf, company)
            values["received"] = [(reader.party(one.sender), _weekly(one)) for one in received]
        if digest is not None:
            values |= self._values(request, digest, company)
        return self._pages.render(request, "demand.html", forms=self._forms, **values)

    def _values(self, request: Request, digest: bytes, participant: int) -> dict[str, Any]:
        with self._store.reading() as connection:
            cursor = read_cursor(connection)
        cut = self._cut(lambda chain: find_cut(chain, cursor))  # asks the chain, so outside of the transaction
        with self._store.reading() as connection:
            document, row = need_forecast(connection, digest)
            rows = ForecastRepository(connection).all()
            reader = _Reader(connection, participant, self._products)
            now = None if cut is None else reader.history(cut)
            hits = [reader.hit(one, now) for one in rows[:_MOST]]
            anchored = anchored_at(connection, row) is not None
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

    def _cut(self, find: Any) -> Cut | None:
        """None if the chain does not answer or has no final block yet: the page then says that it shows no score."""
        if self._chain is None:
            return None
        try:
            found: Cut = find(self._chain)
        except (ChainError, ForecastError):
            return None
        return found


@dataclass(frozen=True, slots=True)
class _Work:
    """What one company expects of this company's machines, of one kind."""

    kind: str
    weeks: tuple[tuple[str, int, int, int], ...]
    """Week, lower end, minutes, upper end."""


def _weekly(signal: CapacitySignal) -> list[_Work]:
    names = [week_text(monday) for monday in signal.mondays]
    return [_Work(one.kind, tuple(zip(names, one.low, one.minutes, one.high, strict=True))) for one in signal.capacity]


class _Reader:
    """Histories at several cuts, reading each document once."""

    def __init__(self, connection: Connection, participant: int, products: Products) -> None:
        self._connection, self._participant, self._products = connection, participant, products
        self._memo: Memo = {}

    def history(self, cut: Cut) -> History:
        find = self._products.find_digest
        return read_history(self._connection, self._participant, cut, find, self._memo)

    def hit(self, row: ForecastRow, now: History | None) -> Hit:
        document, _ = need_forecast(self._connection, row.digest)
        if now is None:
            return Hit(row.digest, document, None, "chain")
        try:
            then = self.history(document.cut)
            return Hit(row.digest, document, self._score(document, then, now, row))
        except ForecastError:
            return Hit(row.digest, document, None, "waiting")

    def _score(self, document: ForecastDocument, then: History, now: History, row: ForecastRow) -> Any:
        return score_forecast(document, then, now, anchored_at(self._connection, row))
