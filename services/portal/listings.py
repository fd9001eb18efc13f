"""Pages that list what is visible to a participant: orders, lots, quarantine, machines with their workload, models. All
queries are in millmark.ledger.provenance and take the caller's visibility into account."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from html import escape
from typing import Annotated, Any

from fastapi import Query, Request
from starlette.responses import Response

from millmark.ledger.errors import IdentifierError, NotFoundError
from millmark.ledger.ids import SubjectKind, parse_digital_link
from millmark.ledger.provenance import (
    Direction,
    Limits,
    OrderTrace,
    StatedTrace,
    Trace,
    listings,
    open_reader,
    tell_trace,
)
from millmark.ledger.provenance.answers import Lot
from millmark.ledger.provenance.cases import CaseList, Doubts, find_doubts, find_opened
from millmark.ledger.provenance.reader import MAX_WORK, Reader, find_names, workload
from millmark.ledger.provenance.worklist import Task, Todo, Wait, WorkList, find_waits, find_work
from millmark.ledger.records import ALL_ROLES, AssignmentState, LotState, OrderState, Role
from millmark.ledger.store import Book, Store
from millmark.ledger.store.rows import OrderRow
from millmark.services.access import EXAMINERS, Principal, Scope
from millmark.services.access.rules import Rule
from millmark.services.acts import About
from millmark.services.pictures.genealogy import build_family, draw_genealogy
from millmark.services.portal import board, charts, consortium, passports, recalls
from millmark.services.portal import pages as portal
from millmark.services.portal.acting.acting import Acting, Offer
from millmark.services.portal.acting.things import find_thing
from millmark.services.serving import loop, requests

# What a lot's page leads to: its passport, proof, label and bundle, a recall of it, and its documents.


@dataclass(frozen=True, slots=True)
class LotLink:
    """A link, and the catalogue key of its text after `lot.link.`."""

    key: str
    path: str
    download: bool = False


def find_lot_links(store: Store, lot: Lot, principal: Principal) -> tuple[LotLink, ...]:
    """The links that the caller may follow."""
    with open_reader(store, principal.viewer) as reader:
        recallable = bool(principal.roles & EXAMINERS) and recalls.may_recall_lot(reader, lot.subject)
    return (*_of_code(store, lot, principal), *_of_lot(lot, principal, recallable=recallable))


def _of_code(store: Store, lot: Lot, principal: Principal) -> Iterator[LotLink]:
    """What the code on the lot opens. Its salt is for whoever has the part, and for the company whose book it is in."""
    if principal.viewer not in (None, lot.holder.participant, lot.custodian.participant):
        return
    with store.reading() as connection:
        identity = Book(connection).identity(lot.subject)
    if identity is None:
        return
    try:
        code = passports.Code(parse_digital_link(identity.identifier), identity.salt)
    except IdentifierError:
        return  # other identifiers have no code that a browser opens
    yield LotLink("passport", code.path())
    yield LotLink("proof", f"{code.path()}#proof")
    for what in ("label", "bundle"):
        yield LotLink(what, code.path(what), download=what == "bundle")


def _of_lot(lot: Lot, principal: Principal, *, recallable: bool) -> Iterator[LotLink]:
    name = lot.subject.hex()
    if recallable:
        yield LotLink("recall", f"/portal/recall?lot=0x{name}")
    if Scope.DOCUMENTS in principal.scopes:
        yield LotLink("documents", f"/portal/documents?about={name}")


# What each task is about, and the acts that do it: for the work list, and for what an order waits for.

TASKS: Mapping[Task, tuple[About, tuple[str, ...]]] = {
    Task.ACCEPT_ORDER: (About.ORDER, ("acceptOrder", "declineOrder")),
    Task.AGREE_REVISION: (About.ORDER, ("acceptRevision",)),
    Task.AGREE_END: (About.ORDER, ("endOrder",)),
    Task.SEND_BACK: (About.LOT, ("returnLot", "releaseLot")),
    Task.REWORK: (About.LOT, ("reworkLot", "returnLot", "releaseLot", "scrapLot")),
    Task.ASSIGN_REWORK: (About.ORDER, ("proposeAssignment",)),
    Task.REASSIGN: (About.ORDER, ("proposeAssignment",)),
    Task.ASSIGN: (About.ORDER, ("proposeAssignment",)),
    Task.ACCEPT_WORK: (About.ASSIGNMENT, ("acceptAssignment", "declineAssignment")),
    Task.START_WORK: (About.ASSIGNMENT, ("startAssignment",)),
    Task.FINISH_WORK: (About.ASSIGNMENT, ("finishAssignment",)),
    Task.INSPECT: (About.LOT, ("certifyLot",)),
    Task.ACCEPT_CUSTODY: (About.LOT, ("acceptCustody", "declineCustody")),
    Task.ACCEPT_RETURN: (About.LOT, ("acceptCustody", "declineCustody")),
    Task.COMPLETE_ORDER: (About.ORDER, ("completeOrder",)),
    Task.HAND_OVER: (About.LOT, ("offerCustody",)),
    Task.CONFIRM_DELIVERY: (About.ORDER, ("confirmDelivery",)),
    Task.OPEN_CERTIFICATE: (About.CERTIFICATE, ("openCertificate",)),
    Task.APPROVE_MODEL: (About.MODEL, ("approveModel",)),
    Task.RECOVERY: (About.NOTHING, ("objectToRecovery",)),
    Task.ANSWER_NOTICE: (About.NOTHING, ()),
}
"""What each task is about, and the acts that do it. One without acts is done on the command line, as its text says."""


@dataclass(frozen=True, slots=True)
class Pending:
    """Something that an order waits for, with the buttons for whoever may do it."""

    wait: Wait
    identifier: str | None
    """Identifier of the lot that it is about."""
    offers: tuple[Offer, ...]


def find_doing(
    acting: Acting, reader: Reader, principal: Principal, todo: Todo | Wait
) -> tuple[str, tuple[Offer, ...]]:
    """The page of what a task is about, and the buttons that do it; empty if there are none."""
    about, names = TASKS[todo.task]
    key = _key(todo, about)
    if about is About.NOTHING and names:
        scene = acting.scene(reader, principal, find_thing(reader, about, "", ""))
        return "", acting.offers(principal, scene, *names)
    if about is About.NOTHING or not key:
        case = todo.case if isinstance(todo, Todo) else None
        return f"/portal/cases/{case}" if case else "", ()
    thing = find_thing(reader, about, key, key)
    offers = acting.offers(principal, acting.scene(reader, principal, thing), *names) if names else ()
    return thing.path, tuple(one for name in names for one in offers if one.name == name)


def find_pending(acting: Acting, principal: Principal, order: bytes) -> tuple[Pending, ...]:
    """What an order waits for, as far as the caller may see it. Buttons for the order itself are left out: its page has
    them."""
    with open_reader(acting.store, principal.viewer) as reader:
        row = reader.rows.get(OrderRow, order)
        waits = () if row is None else find_waits(reader, [row], whole=True)
        lots = [one.lot for one in waits if one.lot is not None]
        seen = set(lots) if reader.visibility is None else set(reader.visibility.among(SubjectKind.LOT, lots))
        reader.name(seen)
        company, found = acting.recorder.company(principal), []
        for wait in waits:
            if wait.lot is not None and wait.lot not in seen:
                continue
            offers: tuple[Offer, ...] = ()
            if wait.assignment is not None:
                # All that may be done about it: an assignment has no other page.
                thing = find_thing(reader, About.ASSIGNMENT, str(wait.assignment), str(wait.assignment))
                offers = acting.offers(principal, acting.scene(reader, principal, thing))
            elif wait.who.participant == company and TASKS[wait.task][0] is not About.ORDER:
                offers = find_doing(acting, reader, principal, wait)[1]
            found.append(Pending(wait, None if wait.lot is None else reader.identifier(wait.lot), offers))
        return tuple(found)


def _key(todo: Todo | Wait, about: About) -> str:
    if isinstance(todo, Wait):
        keys: dict[About, bytes | int | None] = {About.ORDER: todo.order, About.LOT: todo.lot}
    else:
        keys = {
            About.ORDER: todo.order,
            About.LOT: todo.lot,
            About.CERTIFICATE: todo.certificate,
            About.MODEL: todo.model,
        }
    key = {**keys, About.ASSIGNMENT: todo.assignment}.get(about)
    return key.hex() if isinstance(key, bytes) else str(key or "")


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


def draw_load(load: Sequence[Span], catalogue: portal.Catalogue) -> str:
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
_TRACED = replace(portal.MEMBERS, limits=(_LIMITS.depth, _LIMITS.lots))
_ORDERS = portal.Filter("state", tuple(one for one in OrderState if one))
_LOTS = portal.Filter("state", tuple(one for one in LotState if one))
_WORK = portal.Filter("state", tuple(one for one in AssignmentState if one))


@dataclass(frozen=True, slots=True)
class Listings:
    store: Store
    pages: portal.Pages
    forms: portal.Forms
    acting: Acting

    def routes(self) -> tuple[portal.PageRoute, ...]:
        return (
            portal.PageRoute(
                "/portal/orders", self.orders, portal.MEMBERS, menu="orders", used_by=ALL_ROLES & ~Role.CARRIER
            ),
            portal.PageRoute("/portal/orders/{subject}", self.order, _TRACED),
            *board.Board(self.store, self.pages, self.forms).routes(),
            portal.PageRoute("/portal/machines/{number}", self.machine, portal.MEMBERS),
            portal.PageRoute("/portal/lots", self.lots, portal.MEMBERS, menu="lots"),
            portal.PageRoute("/portal/lots/{subject}", self.lot, _TRACED),
            portal.PageRoute(
                "/portal/quarantine",
                self.quarantine,
                portal.MEMBERS,
                menu="quarantine",
                used_by=ALL_ROLES & ~(Role.CARRIER | Role.AUDITOR),
            ),
        )

    def orders(self, request: Request) -> Response:
        return self._lists.show(request, "orders.html", portal.find_in(listings.orders, self.store), _ORDERS)

    def lots(self, request: Request) -> Response:
        offers = self.acting.offers_on(portal.principal_of(request), About.NOTHING, "", "receiveLot")
        return self._lists.show(request, "lots.html", portal.find_in(listings.lots, self.store), _LOTS, offers=offers)

    def quarantine(self, request: Request) -> Response:
        find = portal.find_in(listings.lots, self.store, state=int(LotState.QUARANTINED))
        return self._lists.show(request, "lots.html", find, offers=())

    def order(self, request: Request, subject: str) -> Response:
        """The page of an order. Raises NotFoundError if the order is unknown or not visible."""
        told = self._tell(request, subject)
        if not isinstance(told.trace, OrderTrace):
            raise NotFoundError("the order is not known here")
        picture = self._draw(request, told.trace) if told.trace.lots else None
        offers = self.acting.offers_on(portal.principal_of(request), About.ORDER, subject)
        pending = find_pending(self.acting, portal.principal_of(request), told.trace.order.subject)
        return self._tell_page(request, "order.html", told, picture, offers=offers, pending=pending)

    def lot(self, request: Request, subject: str) -> Response:
        """The page of a lot. Raises NotFoundError if the lot is unknown or not visible."""
        told = self._tell(request, subject)
        if not isinstance(told.trace, Trace):
            raise NotFoundError("the lot is not known here")
        offers = self.acting.offers_on(portal.principal_of(request), About.LOT, subject)
        links = find_lot_links(self.store, told.trace.lot, portal.principal_of(request))
        picture = self._draw(request, told.trace)
        with open_reader(self.store, portal.principal_of(request).viewer) as reader:
            doubts = find_doubts(reader, told.trace.lot.subject)
        more: dict[str, Any] = {
            "doubts": doubts,
            "contents": recalls.sort_naturally(told.trace.contents),
            "downstream": recalls.sort_naturally(told.trace.downstream),
        }
        return self._tell_page(request, "lot.html", told, picture, offers=offers, links=links, **more)

    def _tell_page(
        self, request: Request, template: str, told: StatedTrace, picture: str | None, **more: Any
    ) -> Response:
        story = passports.build_story(told.statements)
        if isinstance(told.trace, OrderTrace):
            story = story.without_headline()
        elif told.trace.downstream:
            story = story.used()
        values: dict[str, Any] = {"trace": told.trace, "story": story, "failure": told.failure}
        return self.pages.render(request, template, forms=self.forms, picture=picture, **values, **more)

    def machine(self, request: Request, number: portal.Number) -> Response:
        """The page of a machine, with its assignments in orders visible to the viewer. Raises NotFoundError."""
        viewer = portal.principal_of(request).viewer
        machine = listings.machine(self.store, number, viewer)
        work = workload(self.store, number, viewer)
        load = build_load(work.spans)

        orders: dict[bytes, str] = {}
        find_assignments = portal.find_in(listings.assignments, self.store, machine=number)

        def find(
            viewer: int | None, after: int | None, wanted: portal.Filters, newest_first: bool
        ) -> listings.Page[Any]:
            page = find_assignments(viewer, after, wanted, newest_first)
            orders.update(find_names(self.store, {one.order for one in page.items}, viewer))
            return page

        picture = draw_load(load, self.pages.catalogue(request)) if load else None
        shown: dict[str, Any] = {
            "machine": machine,
            "load": load,
            "cut": MAX_WORK if work.cut else None,
            "picture": picture,
            "offers": self.acting.offers_on(portal.principal_of(request), About.MACHINE, str(number)),
            "may_recall": viewer in (None, machine.owner.participant),
        }
        return self._lists.show(request, "machine.html", find, _WORK, orders=orders, **shown)

    @property
    def _lists(self) -> portal.Lists:
        return portal.Lists(self.pages, self.forms)

    def _tell(self, request: Request, subject: str) -> StatedTrace:
        try:
            name = bytes.fromhex(subject)
        except ValueError:
            name = b""
        if len(name) != 32:
            raise NotFoundError("the subject is malformed")
        viewer = portal.principal_of(request).viewer
        return tell_trace(self.store, name, direction=Direction.BOTH, limits=_LIMITS, viewer=viewer)

    def _draw(self, request: Request, found: Trace | OrderTrace) -> str:
        catalogue = self.pages.catalogue(request)
        return draw_genealogy(build_family(found, charts.PictureWords(catalogue)), catalogue.language)


# The first page: what waits for the company, the most urgent first, with buttons for whoever may act; below it, the
# ways to all other pages.

_ITEMS = 10
_RULE = Rule(Scope.PROVENANCE, page=True, cost=3)
"""It looks at everything that the company has to do, and at the latest quality cases."""
_MAX_PAGE = 1000
_MOST_OPENED = 5
"""Most of the company's own recall notices that are followed up here; the page of cases has all."""
_NO_CASES = CaseList((), truncated=False)
_MOVING = (Task.ACCEPT_CUSTODY, Task.HAND_OVER)
"""Tasks in which a lot changes hands. Not taking back what is in quarantine: that is known to be so."""


@dataclass(frozen=True, slots=True)
class Item:
    """A thing to do, with its page and buttons."""

    todo: Todo
    path: str
    offers: tuple[Offer, ...]
    doubts: Doubts | None
    """What speaks against the lot that it is about, if it is to change hands."""


@dataclass(frozen=True, slots=True)
class WorkPage:
    store: Store
    pages: portal.Pages
    forms: portal.Forms
    acting: Acting
    read_troubles: Callable[[], Sequence[loop.Trouble]]
    find_ballots: Callable[[], Sequence[consortium.MotionView]]

    def routes(self) -> tuple[portal.PageRoute, ...]:
        return (portal.PageRoute("/portal", self.show, _RULE),)

    def show(self, request: Request, page: Annotated[requests.WholeNumber, Query(ge=1, le=_MAX_PAGE)] = 1) -> Response:
        principal: Principal = request.state.principal
        found, items, opened = self._find(principal, page)
        values = {
            "work": found,
            "items": items,
            "opened": opened,
            "own": self.acting.recorder.company(principal),
            "page": page,
            "pages": max(-(-found.count // _ITEMS), 1),
            # A vote binds the company: administrators alone cast it.
            "ballots": tuple(self.find_ballots()) if portal.ADMINISTRATORS.is_met_by(principal) else (),
            # Only the company itself may know how its gateway is.
            "troubles": tuple(self.read_troubles()) if portal.OWNER.is_met_by(principal) else (),
        }
        return self.pages.render(request, "work_list.html", forms=self.forms, **values)  # type: ignore[arg-type]  # of the template

    def _find(self, principal: Principal, page: int) -> tuple[WorkList, tuple[Item, ...], CaseList]:
        """What waits for the company; on the first page, also what it waits for itself: answers to its recall
        notices."""
        company = self.acting.recorder.company(principal)
        nothing: tuple[WorkList, tuple[Item, ...], CaseList] = (WorkList((), 0, truncated=False), (), _NO_CASES)
        if company is None:
            return nothing
        try:
            with open_reader(self.store, principal.viewer) as reader:
                found = find_work(reader, company, (page - 1) * _ITEMS, _ITEMS)
                items = tuple(self._item(reader, principal, one) for one in found.items)
                return found, items, find_opened(reader, company, _MOST_OPENED) if page == 1 else _NO_CASES
        except NotFoundError:  # nothing is indexed yet
            return nothing

    def _item(self, reader: Reader, principal: Principal, todo: Todo) -> Item:
        moves = todo.task in _MOVING and todo.lot is not None
        doubts = find_doubts(reader, todo.lot) if moves and todo.lot is not None else None
        return Item(todo, *find_doing(self.acting, reader, principal, todo), doubts)
