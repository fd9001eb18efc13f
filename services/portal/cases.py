"""Quality cases: the list, and each case with its tree, who has what, who acknowledged it, and by which record."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fastapi import Request
from starlette.responses import Response

from millmark.ledger.canonical import Json
from millmark.ledger.provenance import open_reader
from millmark.ledger.provenance.answers import Holder
from millmark.ledger.provenance.cases import Case, CaseList, find_case, find_cases, find_noteable, find_own
from millmark.ledger.provenance.reader import Reader
from millmark.ledger.provenance.traces import build_transformations
from millmark.ledger.store import Store
from millmark.ledger.store.rows import LotRow
from millmark.services.access import Principal, Scope
from millmark.services.access.rules import Rule
from millmark.services.pictures import build_reach, draw_upright
from millmark.services.portal.acting.acting import Acting, Offer
from millmark.services.portal.acting.notes import name_lots
from millmark.services.portal.acting.things import About, Thing
from millmark.services.portal.forms import Forms
from millmark.services.portal.language import Catalogue
from millmark.services.portal.lists import principal_of
from millmark.services.portal.pages import Pages
from millmark.services.portal.picture_words import PictureWords
from millmark.services.portal.recall_view import Contact, contacts_of, find_whereabouts, sort_naturally
from millmark.services.portal.routes import Number, PageRoute

__all__ = ["CasePages", "Told", "offer_note"]

_RULE = Rule(Scope.PROVENANCE, page=True, cost=10)
_MOST, _DRAWN, _LOTS, _MAX_TEXT = 50, 60, 200, 2_000


@dataclass(frozen=True, slots=True)
class Told:
    """What became of handing the notice's text over to a company."""

    delivered: bool
    """Whether its gateway has kept it. Otherwise that is tried again."""
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class CasePages:
    store: Store
    pages: Pages
    forms: Forms
    acting: Acting
    find_told: Callable[[int], Mapping[int, Told]]

    def routes(self) -> tuple[PageRoute, ...]:
        return (
            PageRoute("/portal/cases", self.list, _RULE, menu="cases"),
            PageRoute("/portal/cases/{number}", self.show, _RULE),
        )

    def list(self, request: Request) -> Response:
        """Cases that reach something that the caller may see, newest first; those that await its answer are marked."""
        principal = principal_of(request)
        with open_reader(self.store, principal.viewer) as reader:
            latest = find_cases(reader, _MOST)
            company = principal.participant
            awaiting = CaseList((), truncated=False) if company is None else find_cases(reader, _MOST, awaiting=company)
        # What awaits an answer is listed even if newer cases fill the list.
        known = {one.number for one in latest.items}
        cases = latest.items + tuple(one for one in awaiting.items if one.number not in known)
        truncated = latest.truncated or awaiting.truncated
        values: dict[str, Any] = {"cases": cases, "most": _MOST, "own": company, "truncated": truncated}
        return self.pages.render(request, "cases.html", forms=self.forms, **values)

    def show(self, request: Request, number: Number) -> Response:
        """One case. Raises NotFoundError if there is none, or nothing of it is visible to the caller."""
        principal, catalogue = principal_of(request), self.pages.catalogue(request)
        with open_reader(self.store, principal.viewer) as reader:
            case = find_case(reader, number)
            picture = _draw(reader, case, principal, catalogue)
            offers = self._offers(reader, case, principal)
            whereabouts = find_whereabouts(reader, (one.lot for one in case.lots))
        values: dict[str, Any] = {
            "case": case,
            "own": principal.participant,
            "picture": picture,
            "drawn": _DRAWN,
            "contacts": {one.holder.participant: one for one in _contacts(self.store, case)},
            "lots": _sort(case),
            "whereabouts": whereabouts,
            "most": _LOTS,
            "told": list(_texts(case.document)),
            "offers": offers,
            # Only the company itself may know what it sent to whom.
            "told_to": self.find_told(number) if principal.viewer is None else {},
        }
        return self.pages.render(request, "case.html", forms=self.forms, **values)

    def _offers(self, reader: Reader, case: Case, principal: Principal) -> tuple[Offer, ...]:
        """What the caller's company may answer: on its own lots, and if it recorded the notice, its end."""
        company = self.acting.desk.company(principal)
        if company is None or case.closed is not None:
            return ()
        own = find_own(reader, case, company)
        found = []
        if case.awaits(company):
            found.append(offer_note(self.acting, principal, "acknowledgeNotice", own))
        found.append(offer_note(self.acting, principal, "resolveNotice", own))
        if case.raised_by.participant == company:
            named = find_noteable(reader, company, [lot.subject for lot in case.named])
            found.append(offer_note(self.acting, principal, "closeCase", named))
        return tuple(one for one in found if one is not None)


def offer_note(acting: Acting, principal: Principal, name: str, lots: Sequence[LotRow]) -> Offer | None:
    """The button for a note on these lots; None if the caller may not record it, or there is no lot."""
    act = acting.acts.get(name)
    if not lots or act is None or not acting.desk.may(principal, act.operation):
        return None
    return acting.offer_of(act, Thing(About.NOTHING, None), lots=name_lots(lots))


def _draw(reader: Reader, case: Case, principal: Principal, catalogue: Catalogue) -> str:
    lots = [one.lot for one in case.lots]
    if not lots:
        return ""
    steps = build_transformations(reader, [lot.subject for lot in lots[:_DRAWN]])
    family = build_reach(lots, reader.as_of(), steps, principal.participant, PictureWords(catalogue), _DRAWN)
    return draw_upright(family, catalogue.language.value)


def _contacts(store: Store, case: Case) -> tuple[Contact, ...]:
    holders = [Holder(one.party.participant, one.party.name, one.lots, 0) for one in case.parties]
    return contacts_of(store, holders)


def _sort(case: Case) -> list[Any]:
    by_subject = {one.lot.subject: one for one in case.lots}
    return [by_subject[lot.subject] for lot in sort_naturally(one.lot for one in case.lots)][:_LOTS]


def _texts(document: Json, path: str = "") -> Iterator[tuple[str, str]]:
    """Each text of the notice's document, with its path. What another company wrote is bounded."""
    if isinstance(document, dict):
        for name, one in document.items():
            yield from _texts(one, f"{path}.{name}" if path else name)
    elif isinstance(document, list):
        for place, one in enumerate(document, 1):
            yield from _texts(one, f"{path}.{place}" if path else str(place))
    elif document is not None:
        text = str(document)
        yield path, text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + " …"
