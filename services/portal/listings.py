"""Pages that list what is visible to a participant: orders, lots, quarantine, machines with their workload, models. All
queries are in millmark.ledger.provenance and take the caller's visibility into account.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from html import escape
from typing import Any

from fastapi import Request
from starlette.responses import Response

from millmark.ledger.errors import NotFoundError
from millmark.ledger.provenance import Direction, Limits, OrderTrace, Told, Trace, listings, open_reader, tell_trace
from millmark.ledger.provenance.cases import find_doubts
from millmark.ledger.provenance.reader import MAX_WORK, find_names, workload
from millmark.ledger.records import ALL_ROLES, AssignmentState, LotState, OrderState, Role
from millmark.ledger.store import Store
from millmark.services.pictures import build_family, draw_upright
from millmark.services.portal.acting.acting import Acting
from millmark.services.portal.acting.things import About
from millmark.services.portal.board_page import Board
from millmark.services.portal.forms import Forms
from millmark.services.portal.language import Catalogue
from millmark.services.portal.lists import PAGE_ITEMS, Filter, Filters, Find, Lists, principal_of
from millmark.services.portal.lot_links import find_lot_links
from millmark.services.portal.pages import Pages
from millmark.services.portal.picture_words import PictureWords
from millmark.services.portal.recall_view import sort_naturally
from millmark.services.portal.routes import MEMBERS, Number, PageRoute
from millmark.services.portal.story import build_story
from millmark.services.portal.tasks import find_pending

__all__ = ["Listings", "build_load"]

_SPANS = 24
_LENGTHS_S = (10, 60, 300, 900, 3600, 6 * 3600, 86_400, 7 * 86_400, 28 * 86_400)
_WIDTH, _HEIGHT, _GAP = 18, 72, 3


@dataclass(frozen=True, slots=True)
class Span:
    """A period from `begin` to `end`."""

    begin: datetime
    end: datetime
    under_way: int
    """Assignments that were in progress at some time in the period."""


def build_load(started: Sequence[tuple[int, int | None]]) -> tuple[Span, ...]:
    """Divides the time of all started assignments into 24 equal periods. Assignments that have not ended count up to
    the last period."""
    if not started:
        return ()
    first, last = min(begin for begin, _ in started), max(end or begin for begin, end in started)
    length = next((span for span in _LENGTHS_S if (last // span - first // span) < _SPANS), _LENGTHS_S[-1])
    # Aligned to multiples of the length, so that the bars do not shift between two visits.
    numbers = range(last // length - _SPANS + 1, last // length + 1)
    return tuple(
        Span(
            _moment(number * length),
            _moment((number + 1) * length),
            sum(begin < (number + 1) * length and (end is None or end >= number * length) for begin, end in started),
        )
        for number in numbers
    )


def draw_load(load: Sequence[Span], catalogue: Catalogue) -> str:
    """A bar chart, with one bar per period. The table next to it has the same data."""
    most = max(max(span.under_way for span in load), 1)
    bars = []
    for place, span in enumerate(load):
        height = span.under_way / most * _HEIGHT
        title = escape(f"{span.begin:%Y-%m-%d %H:%M} UTC: {span.under_way}")
        bars.append(
            f'<rect x="{place * (_WIDTH + _GAP)}" y="{_HEIGHT - height:.1f}" width="{_WIDTH}" height="{height:.1f}">'
            f"<title>{title}</title></rect>"
        )
    width = len(load) * (_WIDTH + _GAP)
    label = escape(catalogue.say("load.picture", most=most))
    return (
        f'<svg class="bars" role="img" aria-label="{label}" viewBox="0 0 {width} {_HEIGHT + 1}" width="{width}" '
        f'height="{_HEIGHT + 1}">{"".join(bars)}<path d="M0 {_HEIGHT + 0.5}H{width}"/></svg>'
    )


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


_LIMITS = Limits(depth=64, lots=200)
_TRACED = replace(MEMBERS, limits=(_LIMITS.depth, _LIMITS.lots))
_ORDERS = Filter("state", tuple(one for one in OrderState if one))
_LOTS = Filter("state", tuple(one for one in LotState if one))
_WORK = Filter("state", tuple(one for one in AssignmentState if one))


@dataclass(frozen=True, slots=True)
class Listings:
    store: Store
    pages: Pages
    forms: Forms
    acting: Acting

    def routes(self) -> tuple[PageRoute, ...]:
        return (
            PageRoute("/portal/orders", self.orders, MEMBERS, menu="orders", used_by=ALL_ROLES & ~Role.CARRIER),
            PageRoute("/portal/orders/{subject}", self.order, _TRACED),
            *Board(self.store, self.pages, self.forms).routes(),
            PageRoute("/portal/machines/{number}", self.machine, MEMBERS),
            PageRoute("/portal/lots", self.lots, MEMBERS, menu="lots"),
            PageRoute("/portal/lots/{subject}", self.lot, _TRACED),
            PageRoute(
                "/portal/quarantine",
                self.quarantine,
                MEMBERS,
                menu="quarantine",
                used_by=ALL_ROLES & ~(Role.CARRIER | Role.AUDITOR),
            ),
        )

    def orders(self, request: Request) -> Response:
        def find(viewer: int | None, after: int | None, wanted: Filters, newest_first: bool) -> listings.Page[Any]:
            return listings.orders(self.store, viewer, after, PAGE_ITEMS, wanted, newest_first=newest_first)

        return self._lists.show(request, "orders.html", find, _ORDERS)

    def lots(self, request: Request) -> Response:
        offers = self.acting.offers_on(principal_of(request), About.NOTHING, "", "receiveLot")
        return self._lists.show(request, "lots.html", self._find_lots({}), _LOTS, offers=offers)

    def quarantine(self, request: Request) -> Response:
        return self._lists.show(request, "lots.html", self._find_lots({"state": int(LotState.QUARANTINED)}), offers=())

    def _find_lots(self, only: Filters) -> Find:
        def find(viewer: int | None, after: int | None, wanted: Filters, newest_first: bool) -> listings.Page[Any]:
            both = {**wanted, **only}
            return listings.lots(self.store, viewer, after, PAGE_ITEMS, both, newest_first=newest_first)

        return find

    def order(self, request: Request, subject: str) -> Response:
        """The page of an order. Raises NotFoundError if the order is unknown or not visible."""
        told = self._tell(request, subject)
        if not isinstance(told.trace, OrderTrace):
            raise NotFoundError("the order is not known here")
        picture = self._draw(request, told.trace) if told.trace.lots else None
        offers = self.acting.offers_on(principal_of(request), About.ORDER, subject)
        pending = find_pending(self.acting, principal_of(request), told.trace.order.subject)
        return self._tell_page(request, "order.html", told, picture, offers=offers, pending=pending)

    def lot(self, request: Request, subject: str) -> Response:
        """The page of a lot. Raises NotFoundError if the lot is unknown or not visible."""
        told = self._tell(request, subject)
        if not isinstance(told.trace, Trace):
            raise NotFoundError("the lot is not known here")
        offers = self.acting.offers_on(principal_of(request), About.LOT, subject)
        links = find_lot_links(self.store, told.trace.lot, principal_of(request))
        picture = self._draw(request, told.trace)
        with open_reader(self.store, principal_of(request).viewer) as reader:
            doubts = find_doubts(reader, told.trace.lot.subject)
        more: dict[str, Any] = {
            "doubts": doubts,
            "contents": sort_naturally(told.trace.contents),
            "downstream": sort_naturally(told.trace.downstream),
        }
        return self._tell_page(request, "lot.html", told, picture, offers=offers, links=links, **more)

    def _tell_page(self, request: Request, template: str, told: Told, picture: str | None, **more: Any) -> Response:
        story = build_story(told.statements)
        if isinstance(told.trace, OrderTrace):
            story = story.without_headline()
        elif told.trace.downstream:
            story = story.used()
        values = {"trace": told.trace, "story": story, "failure": told.failure}
        return self._show(request, template, picture=picture, **values, **more)

    def machine(self, request: Request, number: Number) -> Response:
        """The page of a machine, with its assignments in orders visible to the viewer. Raises NotFoundError."""
        viewer = principal_of(request).viewer
        machine = listings.machine(self.store, number, viewer)
        work = workload(self.store, number, viewer)
        load = build_load(work.spans)

        orders: dict[bytes, str] = {}

        def find(viewer: int | None, after: int | None, wanted: Filters, newest_first: bool) -> listings.Page[Any]:
            only: Filters = {**wanted, "machine": number}
            page = listings.assignments(self.store, viewer, after, PAGE_ITEMS, only, newest_first=newest_first)
            orders.update(find_names(self.store, {one.order for one in page.items}, viewer))
            return page

        picture = draw_load(load, self.pages.catalogue(request)) if load else None
        shown: dict[str, Any] = {
            "machine": machine,
            "load": load,
            "cut": MAX_WORK if work.cut else None,
            "picture": picture,
            "offers": self.acting.offers_on(principal_of(request), About.MACHINE, str(number)),
            "may_recall": viewer in (None, machine.owner.participant),
        }
        return self._lists.show(request, "machine.html", find, _WORK, orders=orders, **shown)

    @property
    def _lists(self) -> Lists:
        return Lists(self.pages, self.forms)

    def _tell(self, request: Request, subject: str) -> Told:
        try:
            name = bytes.fromhex(subject)
        except ValueError:
            name = b""
        if len(name) != 32:
            raise NotFoundError("the subject is malformed")
        viewer = principal_of(request).viewer
        return tell_trace(self.store, name, direction=Direction.BOTH, limits=_LIMITS, viewer=viewer)

    def _draw(self, request: Request, found: Trace | OrderTrace) -> str:
        catalogue = self.pages.catalogue(request)
        return draw_upright(build_family(found, PictureWords(catalogue)), catalogue.language.value)

    def _show(self, request: Request, template: str, **values: Any) -> Response:
        return self.pages.render(request, template, forms=self.forms, **values)
