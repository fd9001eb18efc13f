"""The pages of calls and plans, for the company that runs the gateway: what it knows of them, and no more."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fastapi import Request
from starlette.responses import Response

from millmark.ledger.canonical import parse_hex32
from millmark.ledger.errors import CanonicalError, NotFoundError
from millmark.ledger.provenance.reader import Reader as NameReader
from millmark.ledger.provenance.reader import build_reader
from millmark.ledger.records import Role
from millmark.ledger.store import Book, Lineage, Rows, Store
from millmark.services.access import Principal, Scope
from millmark.services.access.rules import Rule
from millmark.services.pictures.gantt import draw_gantt
from millmark.services.planning.repository import PlanningRepository
from millmark.services.planning.showing import PlanShown, Reader, RowShown
from millmark.services.planning.tying import Ties
from millmark.services.portal.forms import Forms
from millmark.services.portal.pages import Pages
from millmark.services.portal.plan_view import build_gantt, build_table
from millmark.services.portal.routes import PageRoute

__all__ = ["Plans"]

_MEMBERS = Rule(Scope.PROVENANCE, owner=True, page=True)
_USED_BY = Role.COORDINATOR | Role.MANUFACTURER
_CHECKED = Rule(Scope.PROVENANCE, owner=True, page=True, cost=10)
"""Every visit checks the plan anew: what the page says about it is true now."""
_MOST = 20
"""Most calls listed."""
_TENTH = Decimal("0.1")


@dataclass(frozen=True, slots=True)
class _Figures:
    """Amounts of a plan's page."""

    amount: str
    currency: str
    gap: str
    """In per cent, rounded up."""
    spent: str
    """The part of the amount that was spent on parts that failed."""
    kwh: str
    co2e_kg: str


@dataclass(frozen=True, slots=True)
class Plans:
    store: Store
    pages: Pages
    forms: Forms
    ties: Ties
    find_company: Callable[[Principal], int | None]
    """The company that a caller stands for; None if there is none."""

    def routes(self) -> tuple[PageRoute, ...]:
        return (
            PageRoute("/portal/plans", self.list, _MEMBERS, menu="plans", used_by=_USED_BY, of_company=True),
            PageRoute("/portal/plans/{digest}", self.show, _CHECKED),
        )

    def list(self, request: Request) -> Response:
        """The calls that are known here, the last to close first, with their plans."""
        with self._open(_principal(request)) as (_, planning, reader):
            listed = [reader.call(row.digest) for row in planning.calls()[:_MOST]]
            calls = [(call, [reader.plan(digest) for digest in call.plans]) for call in listed]
            cut = len(planning.calls()) > _MOST
        return self.pages.render(request, "plans.html", forms=self.forms, calls=calls, most=_MOST, cut=cut)

    def show(self, request: Request, digest: str) -> Response:
        """One plan: its chart, its rows with what became of them, and whether it holds. Raises NotFoundError."""
        catalogue, name = self.pages.catalogue(request), _parse(digest)
        with self._open(_principal(request)) as (_, _, reader):
            closes = reader.closes(name)
        tie = self.ties.find(closes)  # asks the chain, so outside of the transactions
        with self._open(_principal(request)) as (names, planning, reader):
            plan, checked = reader.plan(name), reader.check(name, tie)
            table = build_table(names, plan, _rows_before(planning, reader, plan))
            asked = reader.call(plan.call).operations
            latest = planning.plans(plan.call)[-1].digest
        picture = ""
        if table.rows:
            chart = build_gantt(table, catalogue.say("plan.chart"), catalogue, int(time.time()))
            picture = draw_gantt(chart, catalogue.language.value)
        values: dict[str, Any] = {"table": table, "plan": plan, "checked": checked, "asked": asked}
        values |= {"coordinates": plan.coordinator.participant == self.find_company(_principal(request))}
        values |= {"figures": _figures(plan), "later": None if latest == name else latest, "picture": picture}
        return self.pages.render(request, "plan.html", forms=self.forms, **values)

    @contextmanager
    def _open(self, principal: Principal) -> Iterator[tuple[NameReader, PlanningRepository, Reader]]:
        """All on one state of the store."""
        company = self.find_company(principal)
        if company is None:
            raise NotFoundError("plans are shown to participants alone")
        with self.store.reading() as connection:
            rows, book, planning = Rows(connection), Book(connection), PlanningRepository(connection)
            names = build_reader(rows, book, Lineage(connection), principal.viewer)
            yield names, planning, Reader(rows, book, planning, company)


def _principal(request: Request) -> Principal:
    found: Principal = request.state.principal
    return found


def _parse(digest: str) -> bytes:
    try:
        return parse_hex32(f"0x{digest}")
    except CanonicalError:
        raise NotFoundError("no such plan is known here") from None


def _rows_before(planning: PlanningRepository, reader: Reader, plan: PlanShown) -> Sequence[RowShown]:
    """The rows of the plan that it replaces, if that one is known here."""
    if plan.before is None or planning.plan(plan.before) is None:
        return ()
    return reader.plan(plan.before).rows


def _figures(plan: PlanShown) -> _Figures:
    """`EUR/100` counts hundredths; amounts of another unit are shown as they are."""
    currency, _, parts = plan.unit.partition("/")
    decimals = len(parts) - 1 if re.fullmatch("10+", parts) else 0
    done = (*plan.reworked, *plan.rows)
    wh, co2e_mg = sum(row.wh for row in done), sum(row.co2e_mg for row in done)
    return _Figures(
        amount=f"{Decimal(plan.total).scaleb(-decimals):,}",
        spent=f"{Decimal(plan.spent).scaleb(-decimals):,}",
        currency=currency,
        gap=f"{plan.gap_per_mille // 10}.{plan.gap_per_mille % 10}",
        kwh=f"{Decimal(wh).scaleb(-3).quantize(_TENTH):,}",
        co2e_kg=f"{Decimal(co2e_mg).scaleb(-6).quantize(_TENTH):,}",
    )
