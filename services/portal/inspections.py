"""The inspector's pages: what waits for a verdict, measured windows with their verdicts, demands and challenges."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from starlette.responses import Response

from millmark.ledger.errors import NotFoundError
from millmark.ledger.provenance import open_reader
from millmark.ledger.provenance.reader import Reader
from millmark.ledger.provenance.worklist import find_challenged, find_demands, find_waiting
from millmark.ledger.records import ModelState, Role
from millmark.ledger.store import Store
from millmark.ledger.store.rows import ModelRow
from millmark.services.access import EXAMINERS, Scope
from millmark.services.access.rules import Rule
from millmark.services.inspections.control import control
from millmark.services.inspections.windows import find_latest_windows, find_window
from millmark.services.portal.charts import build_window_view, measured
from millmark.services.portal.forms import Forms
from millmark.services.portal.lists import principal_of
from millmark.services.portal.pages import Pages
from millmark.services.portal.routes import Number, PageRoute

__all__ = ["InspectionPages"]

_QUEUE = Rule(Scope.PROVENANCE, EXAMINERS, page=True, cost=10)
_OWN = Rule(Scope.PROVENANCE, owner=True, page=True)
_WAITING, _DEMANDS, _CHALLENGED, _WINDOWS = 50, 50, 20, 30
_IN_ROW = 10
"""Values in a row of the table beside a measured window."""


@dataclass(frozen=True, slots=True)
class InspectionPages:
    store: Store
    pages: Pages
    forms: Forms

    def routes(self) -> tuple[PageRoute, ...]:
        return (
            PageRoute(
                "/portal/inspections", self.queue, _QUEUE, menu="inspections", used_by=Role.INSPECTOR | Role.AUDITOR
            ),
            PageRoute("/portal/inspections/{number}", self.window, _OWN),
        )

    def queue(self, request: Request) -> Response:
        """What waits, for all companies that the caller may see. Windows are of the company's own book."""
        principal, catalogue = principal_of(request), self.pages.catalogue(request)
        with open_reader(self.store, principal.viewer) as reader:
            waiting = find_waiting(reader, _WAITING)
            values: dict[str, Any] = {
                "waiting": waiting,
                "demands": find_demands(reader, _DEMANDS),
                "challenged": find_challenged(reader, _CHALLENGED),
                "most": _WAITING,
                "own": principal.participant,
                "windows": (),
                "models": (),
            }
            if principal.viewer is None:
                found = find_latest_windows(reader, _WINDOWS)
                values["windows"] = [build_window_view(one, catalogue) for one in found]
                used = {one.model for one in waiting.items}
                used |= {one.certificate.model.model for one in found if one.certificate.model is not None}
                values["models"] = _models(reader, used)
        return self.pages.render(request, "inspections.html", forms=self.forms, **values)

    def window(self, request: Request, number: Number) -> Response:
        """One measured window, with its values. Raises NotFoundError if it is not in the company's book."""
        principal, catalogue = principal_of(request), self.pages.catalogue(request)
        if principal.viewer is not None:
            raise NotFoundError("the inference is not known here")
        with open_reader(self.store) as reader:
            view = build_window_view(find_window(reader, number), catalogue, 150)
        figures = [measured(one, view.window.decimals) for one in view.window.values]
        rows = [(start, figures[start : start + _IN_ROW]) for start in range(0, len(figures), _IN_ROW)]
        return self.pages.render(request, "inspection.html", forms=self.forms, view=view, rows=rows)


def _models(reader: Reader, used: Collection[int | None]) -> list[tuple[int, ModelState, int, int]]:
    """Number, state, certificates, and points at which a rule of its control charts fired, for each model that the page
    shows at work. The pages of the other models say it: a chart counts all of a model's certificates."""
    found = []
    for row in sorted(reader.rows.among(ModelRow, "number", used), key=lambda one: one.number):
        charts = control(reader, row.number)
        if charts.inspections:
            found.append((row.number, ModelState(row.state), charts.inspections, charts.signals))
    return found
