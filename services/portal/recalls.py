"""Recall as a task: what is bad, what that reached, who has it, the list as a file, the proof, and the notice."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fastapi import Request
from markupsafe import Markup, escape
from starlette.responses import Response

from millmark.ledger.errors import InputError, NotFoundError
from millmark.ledger.provenance import MAX_RECALLED, Recall, answers, listings, open_reader, recall
from millmark.ledger.provenance.cases import find_noteable
from millmark.ledger.provenance.reader import LookupGround
from millmark.ledger.store import Store
from millmark.services.access import EXAMINERS, Principal, Scope
from millmark.services.access.rules import Rule
from millmark.services.portal.acting.acting import Acting, Offer
from millmark.services.portal.cases import offer_note
from millmark.services.portal.forms import Forms
from millmark.services.portal.lists import principal_of
from millmark.services.portal.models import may_recall_model
from millmark.services.portal.pages import Pages
from millmark.services.portal.recall_files import RecallFiles, build_csv
from millmark.services.portal.recall_view import build_view
from millmark.services.portal.routes import PageRoute
from millmark.services.portal.written import say_error

__all__ = ["Recalls"]

_RULE = Rule(Scope.PROVENANCE, EXAMINERS, page=True, cost=10, limits=(1, 1))
"""As that of `/v1/recall`; its own limits are fixed, so they add nothing."""
_PROVED = Rule(Scope.PROVENANCE, EXAMINERS, page=True, cost=50, limits=(1, 1))
_SHOWN = 100
"""Most lots shown on the page. The file contains all."""
_FIELDS = ("model", "lot", "machine", "since", "until")
_MAX_FIELD = 2048
_MODELS = 100
"""Most models to choose from."""
_UTC = re.compile(r"\s*UTC")


@dataclass(frozen=True, slots=True)
class Recalls:
    store: Store
    pages: Pages
    forms: Forms
    files: RecallFiles
    acting: Acting

    def routes(self) -> tuple[PageRoute, ...]:
        return (
            PageRoute("/portal/recall", self.show, _RULE, menu="recall"),
            PageRoute("/portal/recall.csv", self.download, _RULE),
            PageRoute("/portal/recall.zip", self.prove, _PROVED),
        )

    def show(self, request: Request) -> Response:
        """The choices, with the results once one is made. Things that the viewer may not see are treated as unknown."""
        principal, catalogue, asked = principal_of(request), self.pages.catalogue(request), _asked(request)
        found, refused, status = None, Markup(), 200
        # The link on a machine's page names the machine; the period is still to be filled in.
        if asked and asked.keys() != {"machine"}:
            try:
                found = self._recall(request, asked)
            except NotFoundError:
                refused, status = escape(catalogue.say("recall.unknown")), 404
            except InputError as error:
                refused, status = say_error(catalogue, error), 400
        values: dict[str, Any] = {"asked": {name: asked.get(name, "") for name in _FIELDS}, "found": found}
        values |= {"chosen": _chosen(asked), "models": self._models(principal), "may_prove": self.files.may_prove}
        if found is not None:
            values["view"] = build_view(self.store, found, principal, catalogue, _SHOWN)
            values["notice"], values["noticed"] = self._notice(found, principal)
        return self.pages.render(
            request, "recall.html", status, forms=self.forms, refused=refused, most=_SHOWN, **values
        )

    def download(self, request: Request) -> Response:
        """The results as a CSV file. Raises InputError or NotFoundError."""
        found = self._recall(request, _asked(request))
        body = build_csv(self.store, found, self.pages.catalogue(request), principal_of(request).viewer)
        headers = {"Content-Disposition": 'attachment; filename="recall.csv"'}
        return Response(body, media_type="text/csv; charset=utf-8", headers=headers)

    def prove(self, request: Request) -> Response:
        """The results as bundles, with the trust file and the list, in one file. Raises InputError, NotFoundError, or
        what building a bundle raises."""
        found = self._recall(request, _asked(request))
        table = build_csv(self.store, found, self.pages.catalogue(request), principal_of(request).viewer)
        body = self.files.build_proof(found, table)
        headers = {"Content-Disposition": 'attachment; filename="recall.zip"'}
        return Response(body, media_type="application/zip", headers=headers)

    def _notice(self, found: Recall, principal: Principal) -> tuple[Offer | None, int]:
        """The button for a notice on the causes on which the company may record one; without any, on what was made from
        them. And how many of these it names, 0 if it names the causes."""
        company, named = self.acting.desk.company(principal), 0
        if company is None:
            return None, 0
        causes = [lot.subject for lot in found.lots if not lot.depth]
        with open_reader(self.store) as reader:
            lots = find_noteable(reader, company, causes)
            if not lots:
                lots = find_noteable(reader, company, [lot.subject for lot in found.lots if lot.depth])
                named = len(lots)
        return offer_note(self.acting, principal, "recallNotice", lots), named

    def _models(self, principal: Principal) -> list[answers.Model]:
        """Those whose recall finds something for the caller."""
        page = listings.models(self.store, None, _MODELS, {}, newest_first=True)
        return [one for one in page.items if may_recall_model(principal, one)]

    def _recall(self, request: Request, asked: dict[str, str]) -> Recall:
        return recall(
            self.store,
            model=_number(asked["model"]) if "model" in asked else None,
            lot=asked.get("lot"),
            machine=asked.get("machine"),
            since=_moment(asked.get("since")),
            until=_moment(asked.get("until")),
            limits=MAX_RECALLED,
            viewer=principal_of(request).viewer,
        )


def _asked(request: Request) -> dict[str, str]:
    """The fields that were filled in."""
    given = ((name, request.query_params.get(name, "").strip()[:_MAX_FIELD]) for name in _FIELDS)
    return {name: value for name, value in given if value}


def _chosen(asked: dict[str, str]) -> str:
    """The choice whose form is open: what was asked for, else a lot."""
    return next((name for name in ("model", "machine", "lot") if name in asked), "lot")


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 15:
        raise InputError(
            LookupGround.NO_MODEL_NUMBER.write(text=f"{text[:40]!a}"), hint="use the number shown on the page of models"
        )
    return int(text)


def _moment(text: str | None) -> datetime | None:
    """Parses RFC 3339, also with a space in place of the T, and times as the pages show them, in UTC or in the reader's
    zone. Without a zone it is UTC."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(_UTC.sub("", text).strip())
    except ValueError:
        raise InputError(
            LookupGround.NO_MOMENT.write(text=f"{text[:40]!a}"), hint="write it like 2026-03-02 09:30"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
