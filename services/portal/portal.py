"""The pages of the portal, and its error pages."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.responses import Response

from millmark.ledger import errors, signatures
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState
from millmark.services.access import Principal, SignIn, UnauthenticatedError, rules, signin
from millmark.services.access.people.people import Pairing
from millmark.services.documents import Documents
from millmark.services.planning.making import PlanMaker, Ties
from millmark.services.portal.acting.acting import STAGED, Acting
from millmark.services.portal.acting.pages import ActingPages
from millmark.services.portal.acting.things import FormRecorder
from millmark.services.portal.administration import Administration, AdministrationParts
from millmark.services.portal.check_page import CheckPage
from millmark.services.portal.consortium import ConsortiumPages, ConsortiumWriter
from millmark.services.portal.demand import DemandPages
from millmark.services.portal.listings import Listings, WorkPage
from millmark.services.portal.models import InspectionPages, ModelPages
from millmark.services.portal.order_act import ORDER_PRODUCT, build_order_act
from millmark.services.portal.ordering import Ordering
from millmark.services.portal.pages import ANYBODY, MEMBERS, OWNER, Forms, PageRoute, Pages, Publisher
from millmark.services.portal.passports import Passports
from millmark.services.portal.people import Once, PairingPages, PeoplePages, SignInPages, WaysIn, ask_to_sign_in
from millmark.services.portal.planner import at_machine, coordinating, owning
from millmark.services.portal.plans import Plans
from millmark.services.portal.process import ProcessPages
from millmark.services.portal.proofs import Proofs
from millmark.services.portal.recalls import CasePages, NoticeDelivery, RecallFiles, Recalls
from millmark.services.portal.registers import DocumentPages, Registers, SearchPage, Visible
from millmark.services.serving.loop import Trouble

_SHOWN = 50
"""Most records shown on the page of queues."""
_STATES = tuple(state for state in OutboxState if state is not OutboxState.REPLACED)
"""States of records. The one left out is a state of transactions."""
_FOLLOWING = replace(MEMBERS, passive=True)
_ASSET = rules.Rule(rules.Without.CREDENTIAL, page=True, cost=0, audited=False)


@dataclass(frozen=True, slots=True)
class CompanyServices:
    """What the pages about the company itself work with."""

    documents: Documents
    administration: AdministrationParts
    home: Path | None
    """Folder with its products, calendar and objective."""
    signer: signatures.Signer | None
    """Signs its plans."""
    causes: at_machine.CauseService | None
    """Takes in what happens at its machines."""
    told: Callable[[int], Mapping[int, NoticeDelivery]]
    """By recipient, what became of the hand-overs that are due because of a record."""
    follow: Callable[[Request], Awaitable[Response]]
    """Answers with the records that the caller may see as they become final, as server-sent events."""
    find_place: Callable[[], str]
    """Returns the position after the last of them."""
    pairing: Pairing
    consortium: ConsortiumWriter


def _open_order(acting: ActingPages, request: Request, entries: dict[str, str]) -> Response:
    """The terms of an order for a configured product."""
    return acting.open(request, ORDER_PRODUCT, {name: [value] for name, value in entries.items()})


class Portal:
    """`origin` is the URL at which callers reach the gateway; `read_status` returns the gateway's status; `form_key`
    returns the key of forms, which all processes behind that URL share; `recorder` records for the company;
    `read_troubles` tells what does not work."""

    def __init__(
        self,
        store: Store,
        origin: str,
        proofs: Proofs,
        sign_in: SignIn,
        ways_in: WaysIn,
        read_status: Callable[[], Any],
        clock: Callable[[], int],
        form_key: Callable[[], bytes],
        check: CheckPage,
        publisher: Callable[[], Publisher],
        ties: Ties,
        recorder: FormRecorder,
        parts: CompanyServices,
        read_troubles: Callable[[], Sequence[Trouble]],
    ) -> None:
        self._store, self._read_status, self._check = store, read_status, check
        self._find_company = recorder.company
        self.pages = Pages(
            secure=signin.is_secure(origin),
            build_menu=self._build_menu,
            publisher=publisher,
            find_folded=self._find_folded,
            find_place=parts.find_place,
        )
        self.forms = Forms(form_key, origin)
        self.acting = Acting(store, recorder, {one.form.name: one for one in (*STAGED, build_order_act(parts.home))})
        self.workshop = coordinating.Workshop(store, recorder, parts.home, parts.signer, ties, clock, PlanMaker(store))
        once = Once(store, self.forms, form_key, clock)
        people = PeoplePages(ways_in, self.pages, self.forms, origin, clock, once)
        # The menu has them in this order: what is done every day first.
        self.routes: tuple[PageRoute, ...] = (
            PageRoute("/", self.home, ANYBODY),
            *WorkPage(store, self.pages, self.forms, self.acting, read_troubles, parts.consortium.ballots).routes(),
            PageRoute("/portal/assets/{tag}/{name}", self.asset, _ASSET),
            *PairingPages(parts.pairing, self.pages, self.forms, clock).routes(),
            PageRoute("/portal/events", parts.follow, _FOLLOWING),
            *SignInPages(store, self.pages, self.forms, sign_in, origin, clock, people.offered).routes(),
            *SearchPage(store, self.pages, self.forms).routes(),
            *self._build_orders(parts, ties),
            *self._build_quality(parts, proofs),
            *self._build_registers(parts),
            *people.routes(),
            *Administration(parts.administration, self.pages, self.forms, once).routes(),
            PageRoute("/portal/queues", self.queues, OWNER, menu="queues", folded=True),
            PageRoute("/portal/status", self.status, OWNER, menu="status", folded=True),
            *self._build_public(proofs, origin, clock, check),
        )

    def _build_orders(self, parts: CompanyServices, ties: Ties) -> Iterator[PageRoute]:
        """Ordering, acting and planning."""
        store, pages, forms = self._store, self.pages, self.forms
        acting = ActingPages(self.acting, pages, forms)
        yield from Ordering(parts.home, pages, forms, partial(_open_order, acting)).routes()
        yield from Listings(store, pages, forms, self.acting).routes()
        yield from acting.routes()
        yield from at_machine.AtMachine(self.workshop, self.acting, pages, forms, parts.causes).routes()
        yield from coordinating.Coordinating(self.workshop, pages, forms).routes()
        yield from Plans(store, pages, forms, ties, self._find_company).routes()
        yield from owning.Owning(self.workshop, pages, forms).routes()

    def _build_quality(self, parts: CompanyServices, proofs: Proofs) -> Iterator[PageRoute]:
        """What is expected, how machines do, what was inspected, and what went wrong."""
        store, pages, forms, acting = self._store, self.pages, self.forms, self.acting
        yield from DemandPages(store, pages, forms, proofs.chain, parts.home, self._find_company).routes()
        yield from ProcessPages(store, pages, forms, acting).routes()
        yield from InspectionPages(store, pages, forms).routes()
        yield from ModelPages(store, pages, forms, acting).routes()
        yield from Recalls(store, pages, forms, RecallFiles(store, proofs.chain), acting).routes()
        yield from CasePages(store, pages, forms, acting, parts.told).routes()

    def _build_registers(self, parts: CompanyServices) -> Iterator[PageRoute]:
        """Who and what is known."""
        store, pages, forms = self._store, self.pages, self.forms
        yield from Registers(store, pages, forms, self.acting).routes()
        yield from ConsortiumPages(store, pages, forms, parts.consortium, self._read_status).routes()
        yield from DocumentPages(parts.documents, pages, forms).routes()

    def _build_public(
        self, proofs: Proofs, origin: str, clock: Callable[[], int], check: CheckPage
    ) -> Iterator[PageRoute]:
        """What anybody reads."""
        yield from Visible(self.pages).routes()
        yield from check.routes()
        yield from Passports(self._store, self.pages, proofs, origin, clock, check).routes()

    def _build_menu(self, principal: Principal) -> list[str]:
        """Menu entries of the pages that the principal may see and that exist."""
        found = [page for page in self.routes if page.menu and page.rule.is_met_by(principal)]
        acts = any(page.of_company for page in found) and self._find_company(principal) is not None
        return [page.menu for page in found if page.menu and (acts or not page.of_company)]

    def _find_folded(self, principal: Principal) -> frozenset[str]:
        return frozenset(page.menu for page in self.routes if page.menu and page.is_folded_for(principal))

    def home(self, request: Request) -> Response:
        return self.pages.render(request, "home.html")

    def asset(self, request: Request, tag: str, name: str) -> Response:
        """Serves an asset. Raises NotFoundError if it is unknown."""
        found = self.pages.asset(request, name, tag)
        if found is None:
            raise errors.NotFoundError("the file does not exist")
        return found

    def queues(self, request: Request) -> Response:
        outbox, now = Outbox(self._store), time.time()
        counts, waiting = outbox.counts(), outbox.unfinished(_SHOWN)
        values: dict[str, Any] = {
            "counts": [(state, counts.get(state.value, 0)) for state in _STATES],
            "waiting": [(one, max(round(now - one.queued_at_s), 0)) for one in waiting],
            "most": _SHOWN,
        }
        return self.pages.render(request, "queues.html", forms=self.forms, **values)

    def status(self, request: Request) -> Response:
        return self.pages.render(request, "status.html", forms=self.forms, gateway=self._read_status())

    def refuse(self, request: Request, error: Exception, status: int) -> Response:
        """The page for an error. Unknown things, invisible things and wrong salts all have the same page."""
        if isinstance(error, UnauthenticatedError):
            return ask_to_sign_in(request)
        key, reason = ("failed" if status >= 500 else "refused"), None
        if isinstance(error, RequestValidationError) and any(one["loc"][0] == "path" for one in error.errors()):
            status = 404  # no thing has such a number
        # 403 becomes 404, so that pages do not reveal what exists for others; 405 is of an address for forms alone.
        if status in (403, 404, 405):
            key, status = self._choose_missing(request), 404
        elif status == HTTPStatus.TOO_MANY_REQUESTS:
            key = "busy"
        elif isinstance(error, errors.IdentifierError):
            key, reason = "malformed", str(error)
        return self.pages.render(request, "message.html", status, key=key, reason=reason)

    def _choose_missing(self, request: Request) -> str:
        """What is said where nothing is found. Only of an address that may be a part's code, that the code is wrong."""
        path = request.url.path
        if path.startswith("/check/"):
            return "check.nothing" if self._check.is_built else "check.none"
        return "unknown" if "route" in request.scope and not path.startswith("/portal") else "nothing"
