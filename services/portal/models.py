"""The pages of quality models: what the registry says of each, its card, its health, and the lots that it reached."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeGuard

from fastapi import Request
from starlette.responses import Response

from millmark.ledger.errors import NotFoundError
from millmark.ledger.provenance import Reader, answers, listings, open_reader, worklist
from millmark.ledger.records import ModelState, Role
from millmark.ledger.store import Store
from millmark.ledger.store.rows import ModelRow
from millmark.services.access import EXAMINERS, Principal, Scope
from millmark.services.access.rules import Rule
from millmark.services.acts import About
from millmark.services.inspections.windows import ModelControl, control, find_latest_windows, find_window
from millmark.services.portal import pages as portal
from millmark.services.portal.acting.acting import Acting
from millmark.services.portal.charts import build_control_view, build_drift_view, build_window_view, measured

if TYPE_CHECKING:
    from millmark.services.inspections.model_health import ModelHealth

# The inspector's pages: what waits for a verdict, measured windows with their verdicts, demands and challenges.

_QUEUE = Rule(Scope.PROVENANCE, EXAMINERS, page=True, cost=10)
_OWN = Rule(Scope.PROVENANCE, owner=True, page=True)
_WAITING, _DEMANDS, _CHALLENGED, _MEASURED = 50, 50, 20, 30
_IN_ROW = 10
"""Values in a row of the table beside a measured window."""


@dataclass(frozen=True, slots=True)
class InspectionPages:
    store: Store
    pages: portal.Pages
    forms: portal.Forms

    def routes(self) -> tuple[portal.PageRoute, ...]:
        return (
            portal.PageRoute(
                "/portal/inspections", self.queue, _QUEUE, menu="inspections", used_by=Role.INSPECTOR | Role.AUDITOR
            ),
            portal.PageRoute("/portal/inspections/{number}", self.window, _OWN),
        )

    def queue(self, request: Request) -> Response:
        """What waits, for all companies that the caller may see. Windows are of the company's own book."""
        principal, catalogue = portal.principal_of(request), self.pages.catalogue(request)
        with open_reader(self.store, principal.viewer) as reader:
            waiting = worklist.find_waiting(reader, _WAITING)
            values: dict[str, Any] = {
                "waiting": waiting,
                "demands": worklist.find_demands(reader, _DEMANDS),
                "challenged": worklist.find_challenged(reader, _CHALLENGED),
                "most": _WAITING,
                "own": principal.participant,
                "windows": (),
                "models": (),
            }
            if principal.viewer is None:
                found = find_latest_windows(reader, _MEASURED)
                values["windows"] = [build_window_view(one, catalogue) for one in found]
                used = {one.model for one in waiting.items}
                used |= {one.certificate.model.model for one in found if one.certificate.model is not None}
                values["models"] = _models(reader, used)
        return self.pages.render(request, "inspections.html", forms=self.forms, **values)

    def window(self, request: Request, number: portal.Number) -> Response:
        """One measured window, with its values. Raises NotFoundError if it is not in the company's book."""
        principal, catalogue = portal.principal_of(request), self.pages.catalogue(request)
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


_WINDOWS, _REACHED = 12, 50
_MODELS = portal.Filter("state", tuple(one for one in ModelState if one))
_METRICS = ("accuracy", "f1", "average_precision", "precision", "recall")
_MAX_SHOWN = 200
"""Most characters of a card's value."""


@dataclass(frozen=True, slots=True)
class _KnownModel:
    """What a company's private book contains about a quality model: card, drift, findings in the field."""

    rows: int | None
    """Number of rows in the test data on which the card's metrics were measured."""
    metrics: tuple[tuple[str, float, float | None, float | None], ...]
    """Name, value and its 95 % interval, from 0 to 1."""
    confusion: tuple[int, int, int, int] | None
    """True negatives, false positives, false negatives and true positives of the test; a positive is a defect."""
    facts: tuple[tuple[str, str], ...]
    """Catalogue keys and values of what the card says of data and training."""
    health: ModelHealth | None
    """None if numpy is not installed."""


@dataclass(frozen=True, slots=True)
class ModelPages:
    store: Store
    pages: portal.Pages
    forms: portal.Forms
    acting: Acting

    def routes(self) -> tuple[portal.PageRoute, ...]:
        return (
            portal.PageRoute(
                "/portal/models", self.list, portal.MEMBERS, menu="models", used_by=Role.INSPECTOR | Role.AUDITOR
            ),
            portal.PageRoute("/portal/models/{number}", self.show, portal.MEMBERS),
        )

    def list(self, request: Request) -> Response:
        """All models. The company that runs the gateway also sees card, drift and findings from its private book."""

        def find(_: int | None, after: int | None, wanted: portal.Filters, newest_first: bool) -> listings.Page[Any]:
            return listings.models(self.store, after, portal.PAGE_ITEMS, wanted, newest_first=newest_first)

        principal = portal.principal_of(request)

        def describe(shown: Sequence[answers.Model]) -> dict[str, Any]:
            return {"known": _describe_models(self.store, shown) if principal.viewer is None else {}}

        may_recall = partial(may_recall_model, principal)
        lists = portal.Lists(self.pages, self.forms)
        return lists.show(request, "models.html", find, _MODELS, describe, may_recall=may_recall)

    def show(self, request: Request, number: portal.Number) -> Response:
        """The page of one model. Raises NotFoundError if there is none with that number."""
        principal, catalogue = portal.principal_of(request), self.pages.catalogue(request)
        model = listings.model(self.store, number)
        reached = listings.certificates(self.store, principal.viewer, None, _REACHED, {"model": number})
        values: dict[str, Any] = {"model": model, "reached": reached, "most": _REACHED, "known": None}
        values["may_recall"] = may_recall_model(principal, model) and bool(reached.items)
        values |= {"windows": [], "control": None, "drift": None}
        values["offers"] = self.acting.offers_on(principal, About.MODEL, str(number))
        if principal.viewer is None:
            with open_reader(self.store) as reader:
                row = reader.need(ModelRow, number)
                charts: ModelControl = control(reader, number)
                windows = find_latest_windows(reader, _WINDOWS, number)
                known = _describe(reader, row)
            drift = known.health.drift if known.health else None
            values["known"] = known
            values["control"] = build_control_view(charts, catalogue)
            values["windows"] = [build_window_view(one, catalogue) for one in windows]
            values["drift"] = build_drift_view(drift, catalogue) if drift else None
        with open_reader(self.store, principal.viewer) as reader:
            lots = reader.related([(one.lot, 0) for one in reached.items])
            values["lots"] = {one.subject: one for one in lots}
        return self.pages.render(request, "model.html", forms=self.forms, **values)


def may_recall_model(principal: Principal, model: answers.Model) -> bool:
    """Whether a recall of the model finds it for this caller (millmark.ledger.provenance.recalls)."""
    parties = {model.inspector.participant, model.approver.participant if model.approver else 0}
    return principal.viewer is None or principal.viewer in parties


def _describe_models(store: Store, shown: Sequence[answers.Model]) -> dict[int, _KnownModel]:
    """By number of the model. A model whose card is not stored has no metrics."""
    with open_reader(store) as reader:
        rows = reader.rows.among(ModelRow, "number", {one.model for one in shown})
        return {row.number: _describe(reader, row) for row in rows}


def _describe(reader: Reader, row: ModelRow) -> _KnownModel:
    kept = reader.book.model(row.digest)
    card = _read(kept.card if kept is not None else "")
    test = _section(card, "test")
    rows = test.get("rows")
    return _KnownModel(
        rows if type(rows) is int else None,
        tuple(_metrics(test)),
        _confusion(test),
        tuple(_facts(card)),
        _health(reader, row),
    )


def _health(reader: Reader, row: ModelRow) -> ModelHealth | None:
    try:
        from millmark.services.inspections.model_health import find_health  # noqa: PLC0415 - needs numpy, which others do not
    except ModuleNotFoundError:
        return None
    return find_health(reader, row)


def _read(card: str) -> dict[str, Any]:
    """The card; empty if there is none, or it is malformed."""
    try:
        found = json.loads(card or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _section(card: dict[str, Any], name: str) -> dict[str, Any]:
    found = card.get(name, {})
    return found if isinstance(found, dict) else {}


def _metrics(test: dict[str, Any]) -> Iterator[tuple[str, float, float | None, float | None]]:
    for name in _METRICS:
        value, interval = test.get(f"{name}_ppm"), test.get(f"{name}_95_ppm")
        if not _is_share(value):
            continue
        if isinstance(interval, list) and len(interval) == 2 and all(map(_is_share, interval)):
            yield name, value / 1e6, interval[0] / 1e6, interval[1] / 1e6
        else:
            yield name, value / 1e6, None, None


def _is_share(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= 1_000_000


def _confusion(test: dict[str, Any]) -> tuple[int, int, int, int] | None:
    verdicts = _section(test, "verdicts")
    names = ("true_negatives", "false_positives", "false_negatives", "true_positives")
    counts = [verdicts.get(name) for name in names]
    if not all(type(count) is int and count >= 0 for count in counts):
        return None
    return counts[0], counts[1], counts[2], counts[3]  # type: ignore[return-value]  # checked above


def _facts(card: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """A card is untrusted text: only known members, as text of bounded length."""
    data, model, training = (_section(card, name) for name in ("data", "model", "training"))
    wanted = (
        ("data", data.get("name")),
        ("training_rows", data.get("rows")),
        ("validation_rows", data.get("validation_rows")),
        ("width", data.get("width")),
        ("test_data", data.get("test_sha256")),
        ("family", model.get("family")),
        ("threshold", model.get("threshold")),
        ("unit", model.get("unit")),
        ("goal", training.get("goal")),
    )
    for name, value in wanted:
        parts = value if isinstance(value, list) else [value]
        text = ", ".join(str(part) for part in parts if isinstance(part, str) or type(part) is int)
        if text:
            yield f"model.card.{name}", text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"
