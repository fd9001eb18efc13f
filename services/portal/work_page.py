"""The first page: what waits for the company, the most urgent first, with buttons for whoever may act; below it, the
ways to all other pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Query, Request
from starlette.responses import Response

from ledger.errors import NotFoundError
from ledger.provenance import open_reader
from ledger.provenance.reader import Reader
from ledger.provenance.waits import Task
from ledger.provenance.worklist import Todo, WorkList, find_work
from ledger.store import Store
from services.access import Principal
from services.portal.acting.acting import Acting, Offer
from services.portal.acting.things import About, find_thing
from services.portal.forms import Forms
from services.portal.pages import Pages
from services.portal.routes import MEMBERS, OWNER, PageRoute
from services.serving.troubles import Trouble

__all__ = ["WorkPage"]

_ITEMS = 10
_MAX_PAGE = 1000

_ABOUT: Mapping[Task, tuple[About, tuple[str, ...]]] = {
    Task.ACCEPT_ORDER: (About.ORDER, ("acceptOrder", "rejectOrder")),
    Task.AGREE_REVISION: (About.ORDER, ("acceptRevision",)),
    Task.AGREE_END: (About.ORDER, ("endOrder",)),
    Task.REWORK: (About.LOT, ("reworkLot", "releaseLot", "returnLot", "scrapLot")),
    Task.ASSIGN_REWORK: (About.ORDER, ("proposeAssignment",)),
    Task.REASSIGN: (About.ORDER, ("proposeAssignment",)),
    Task.ASSIGN: (About.ORDER, ("proposeAssignment",)),
    Task.ACCEPT_WORK: (About.ASSIGNMENT, ("acceptAssignment", "declineAssignment")),
    Task.START_WORK: (About.ASSIGNMENT, ("startAssignment",)),
    Task.FINISH_WORK: (About.ASSIGNMENT, ("finishAssignment",)),
    Task.INSPECT: (About.LOT, ("certifyLot",)),
    Task.ACCEPT_CUSTODY: (About.LOT, ("acceptCustody", "acceptInPart", "declineCustody")),
    Task.ACCEPT_RETURN: (About.LOT, ("acceptCustody", "declineCustody")),
    Task.COMPLETE_ORDER: (About.ORDER, ("completeOrder",)),
    Task.HAND_OVER: (About.ORDER, ()),
    Task.CONFIRM_DELIVERY: (About.ORDER, ("confirmDelivery",)),
    Task.OPEN_CERTIFICATE: (About.CERTIFICATE, ()),
    Task.APPROVE_MODEL: (About.MODEL, ("approveModel",)),
    Task.RECOVERY: (About.NOTHING, ()),
    Task.ANSWER_NOTICE: (About.NOTHING, ()),
}
"""What each task is about, and the acts that do it. One without acts is done on the command line, as its text says."""


@dataclass(frozen=True, slots=True)
class Item:
    """A thing to do, with its page and buttons."""

    todo: Todo
    path: str
    offers: tuple[Offer, ...]


@dataclass(frozen=True, slots=True)
class WorkPage:
    store: Store
    pages: Pages
    forms: Forms
    acting: Acting
    read_troubles: Callable[[], Sequence[Trouble]]

    def routes(self) -> tuple[PageRoute, ...]:
        return (PageRoute("/portal", self.show, MEMBERS),)

    def show(self, request: Request, page: Annotated[int, Query(ge=1, le=_MAX_PAGE)] = 1) -> Response:
        principal: Principal = request.state.principal
        found, items = self._find(principal, (page - 1) * _ITEMS)
        values = {
            "work": found,
            "items": items,
            "page": page,
            "pages": max(-(-found.count // _ITEMS), 1),
            # Only the company itself may know how its gateway is.
            "troubles": tuple(self.read_troubles()) if OWNER.is_met_by(principal) else (),
        }
        return self.pages.render(request, "work_list.html", forms=self.forms, **values)  # type: ignore[arg-type]  # of the template

    def _find(self, principal: Principal, first: int) -> tuple[WorkList, tuple[Item, ...]]:
        company = self.acting.desk.company(principal)
        nothing: tuple[WorkList, tuple[Item, ...]] = (WorkList((), 0, truncated=False), ())
        if company is None:
            return nothing
        try:
            with open_reader(self.store, principal.viewer) as reader:
                found = find_work(reader, company, first, _ITEMS)
                return found, tuple(self._item(reader, principal, one) for one in found.items)
        except NotFoundError:  # nothing is indexed yet
            return nothing

    def _item(self, reader: Reader, principal: Principal, todo: Todo) -> Item:
        about, names = _ABOUT[todo.task]
        key = _key(todo, about)
        if about is About.NOTHING or not key:
            return Item(todo, f"/portal/cases/{todo.case}" if todo.case else "", ())
        thing = find_thing(reader, about, key, key)
        offers = self.acting.offers(principal, self.acting.scene(reader, principal, thing)) if names else ()
        return Item(todo, thing.path, tuple(one for name in names for one in offers if one.name == name))


def _key(todo: Todo, about: About) -> str:
    keys = {
        About.ORDER: todo.order,
        About.LOT: todo.lot,
        About.ASSIGNMENT: todo.assignment,
        About.CERTIFICATE: todo.certificate,
        About.MODEL: todo.model,
    }
    key = keys.get(about)
    return key.hex() if isinstance(key, bytes) else str(key or "")
