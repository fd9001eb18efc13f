"""The first page: what waits for the company, the most urgent first, with buttons for whoever may act; below it, the
ways to all other pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Query, Request
from starlette.responses import Response

from millmark.ledger.errors import NotFoundError
from millmark.ledger.provenance import open_reader
from millmark.ledger.provenance.cases import CaseList, Doubts, find_doubts, find_opened
from millmark.ledger.provenance.reader import Reader
from millmark.ledger.provenance.worklist import Task, Todo, WorkList, find_work
from millmark.ledger.store import Store
from millmark.services.access import Principal, Scope
from millmark.services.access.rules import Rule
from millmark.services.portal.acting.acting import Acting, Offer
from millmark.services.portal.consortium_desk import MotionView
from millmark.services.portal.forms import Forms
from millmark.services.portal.pages import Pages
from millmark.services.portal.routes import ADMINISTRATORS, OWNER, PageRoute
from millmark.services.portal.tasks import find_doing
from millmark.services.serving.parameters import WholeNumber
from millmark.services.serving.troubles import Trouble

__all__ = ["WorkPage"]

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
    pages: Pages
    forms: Forms
    acting: Acting
    read_troubles: Callable[[], Sequence[Trouble]]
    find_ballots: Callable[[], Sequence[MotionView]]

    def routes(self) -> tuple[PageRoute, ...]:
        return (PageRoute("/portal", self.show, _RULE),)

    def show(self, request: Request, page: Annotated[WholeNumber, Query(ge=1, le=_MAX_PAGE)] = 1) -> Response:
        principal: Principal = request.state.principal
        found, items, opened = self._find(principal, page)
        values = {
            "work": found,
            "items": items,
            "opened": opened,
            "own": self.acting.desk.company(principal),
            "page": page,
            "pages": max(-(-found.count // _ITEMS), 1),
            # A vote binds the company: administrators alone cast it.
            "ballots": tuple(self.find_ballots()) if ADMINISTRATORS.is_met_by(principal) else (),
            # Only the company itself may know how its gateway is.
            "troubles": tuple(self.read_troubles()) if OWNER.is_met_by(principal) else (),
        }
        return self.pages.render(request, "work_list.html", forms=self.forms, **values)  # type: ignore[arg-type]  # of the template

    def _find(self, principal: Principal, page: int) -> tuple[WorkList, tuple[Item, ...], CaseList]:
        """What waits for the company; on the first page, also what it waits for itself: answers to its recall
        notices."""
        company = self.acting.desk.company(principal)
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
