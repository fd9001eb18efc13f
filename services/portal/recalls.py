"""The recall page: a form, its results, and the results as a CSV file."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fastapi import Request
from starlette.responses import Response

from ledger.errors import InputError, NotFoundError
from ledger.provenance import MAX_RECALLED, Recall, recall
from ledger.records import ALL_ROLES, Role
from ledger.store import Store
from services.access import Scope
from services.access.rules import Rule
from services.portal.forms import Forms
from services.portal.pages import Pages
from services.portal.routes import PageRoute

__all__ = ["Recalls"]

_RULE = Rule(Scope.PROVENANCE, ALL_ROLES & ~Role.CARRIER, page=True, cost=10, limits=(1, 1))
"""As that of `/v1/recall`; its own limits are fixed, so they add nothing."""
_SHOWN = 100
"""Most lots shown on the page. The file contains all."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Characters at the start of a cell that make a spreadsheet evaluate it (OWASP, CSV injection)."""
_COLUMNS = ("identifier", "subject", "depth", "quantity", "unit", "state", "quarantined", "holder", "verdict", "status")
_FIELDS = ("model", "lot", "machine", "since", "until")
_MAX_FIELD = 2048


@dataclass(frozen=True, slots=True)
class Recalls:
    store: Store
    pages: Pages
    forms: Forms

    def routes(self) -> tuple[PageRoute, ...]:
        return (
            PageRoute("/portal/recall", self.show, _RULE, menu="recall"),
            PageRoute("/portal/recall.csv", self.download, _RULE),
        )

    def show(self, request: Request) -> Response:
        """The form, with the results if it was submitted. Things that the viewer may not see are treated as unknown."""
        asked = _asked(request)
        found, refused, status = None, "", 200
        if asked:
            try:
                found = self._recall(request, asked)
            except NotFoundError:
                refused, status = "recall.unknown", 404
            except InputError as error:
                refused, status = str(error), 400
        values: dict[str, Any] = {"asked": {name: asked.get(name, "") for name in _FIELDS}, "found": found}
        shown = () if found is None else found.lots[:_SHOWN]
        return self.pages.render(
            request, "recall.html", status, forms=self.forms, refused=refused, shown=shown, most=_SHOWN, **values
        )

    def download(self, request: Request) -> Response:
        """The results as a CSV file. Raises InputError or NotFoundError."""
        body = build_csv(self._recall(request, _asked(request)))
        headers = {"Content-Disposition": 'attachment; filename="recall.csv"'}
        return Response(body, media_type="text/csv; charset=utf-8", headers=headers)

    def _recall(self, request: Request, asked: dict[str, str]) -> Recall:
        return recall(
            self.store,
            model=_number(asked["model"]) if "model" in asked else None,
            lot=asked.get("lot"),
            machine=asked.get("machine"),
            since=_moment(asked.get("since")),
            until=_moment(asked.get("until")),
            limits=MAX_RECALLED,
            viewer=request.state.principal.viewer,
        )


def build_csv(found: Recall) -> str:
    """Every affected lot, with its holder and the status of its certificate."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(_COLUMNS)
    for lot in found.lots:
        holder = lot.holder.name or f"participant {lot.holder.participant}"
        row = (
            lot.identifier or "", "0x" + lot.subject.hex(), lot.depth, lot.quantity, lot.unit, lot.state.name.lower(),
            "yes" if lot.quarantined else "no", holder, lot.verdict.name.lower(), lot.status.name.lower(),
        )  # fmt: skip
        writer.writerow([_harmless(cell) if isinstance(cell, str) else cell for cell in row])
    return out.getvalue()


def _harmless(cell: str) -> str:
    # A leading apostrophe makes spreadsheets treat the cell as text.
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _asked(request: Request) -> dict[str, str]:
    """The fields that were filled in."""
    given = ((name, request.query_params.get(name, "").strip()[:_MAX_FIELD]) for name in _FIELDS)
    return {name: value for name, value in given if value}


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 15:
        raise InputError(
            f"{text[:40]!a} is not the number of a model", hint="use the number shown on the page of models"
        )
    return int(text)


def _moment(text: str | None) -> datetime | None:
    """Parses RFC 3339, also with a space in place of the T. Without a zone it is UTC, as are all times on the pages."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text.replace("UTC", "").strip())
    except ValueError:
        raise InputError(f"{text[:40]!a} is not a time", hint="write it like 2026-03-02 09:30") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
