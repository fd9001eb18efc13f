"""The pages of calls and plans, for the company that runs the gateway: what it knows of them, and no more."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from fastapi import Request
from starlette.responses import Response

from ledger.canonical import parse_hex32
from ledger.errors import CanonicalError, MillmarkError, NotFoundError
from ledger.plans.call import Call
from ledger.plans.check import Share, check_plan
from ledger.plans.plan import Cause, Leg, Plan, Row
from ledger.provenance import answers
from ledger.provenance.reader import Reader, build_reader
from ledger.store import Book, Lineage, Rows, Store
from services.access import Principal, Scope
from services.access.rules import Rule
from services.pictures.gantt import draw_gantt
from services.planning.reading import find_part, find_plan, need_call, plan_file
from services.planning.repository import CallRow, PlanningRepository, PlanRow, What
from services.portal.forms import Forms
from services.portal.pages import Pages
from services.portal.plan_view import build_gantt, build_table
from services.portal.routes import PageRoute

__all__ = ["Plans"]

_MEMBERS = Rule(Scope.PROVENANCE, owner=True, page=True)
_CHECKED = Rule(Scope.PROVENANCE, owner=True, page=True, cost=10)
"""Every visit checks the plan anew: what the page says about it is true now."""
_TENTH = Decimal("0.1")
_MOST = 20
"""Most calls listed."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A plan, whole or in part."""

    digest: bytes
    before: bytes | None
    cause: Cause | None
    rows: tuple[Row, ...]
    legs: tuple[Leg, ...]
    total: int
    offers: int
    whole: bool

    unit: str
    """Of the total, as in the call."""

    @property
    def currency(self) -> str:
        return self.unit.partition("/")[0]

    @property
    def amount(self) -> str:
        """The total in the currency: `EUR/100` counts hundredths. Of another unit, as it is."""
        parts = self.unit.partition("/")[2]
        decimals = len(parts) - 1 if re.fullmatch("10+", parts) else 0
        return f"{Decimal(self.total).scaleb(-decimals):,}"

    @property
    def kwh(self) -> str:
        return f"{Decimal(sum(row.wh for row in self.rows)).scaleb(-3).quantize(_TENTH):,}"

    @property
    def co2e_kg(self) -> str:
        return f"{Decimal(sum(row.co2e_mg for row in self.rows)).scaleb(-6).quantize(_TENTH):,}"


@dataclass(frozen=True, slots=True)
class _ShownShare:
    owner: answers.Party
    offered: int
    used: int


@dataclass(frozen=True, slots=True)
class _Checked:
    """What the check found."""

    gap: str
    """In per cent, rounded up."""
    shares: tuple[_ShownShare, ...]


@dataclass(frozen=True, slots=True)
class _ShownCall:
    digest: bytes
    coordinator: answers.Party
    closes: datetime
    orders: int
    operations: int
    offers: int
    plans: tuple[_Known, ...]


@dataclass(frozen=True, slots=True)
class Plans:
    store: Store
    pages: Pages
    forms: Forms

    def routes(self) -> tuple[PageRoute, ...]:
        return (
            PageRoute("/portal/plans", self.list, _MEMBERS, menu="plans"),
            PageRoute("/portal/plans/{digest}", self.show, _CHECKED),
        )

    @contextmanager
    def _open(self, principal: Principal) -> Iterator[tuple[Reader, PlanningRepository]]:
        """Both on one state of the store."""
        with self.store.reading() as connection:
            parts = Rows(connection), Book(connection), Lineage(connection)
            yield build_reader(*parts, principal.viewer), PlanningRepository(connection)

    def list(self, request: Request) -> Response:
        """The calls that are known here, the last to close first, with their plans."""
        principal = _principal(request)
        with self._open(principal) as (reader, planning):
            calls = planning.calls()
            shown = [_show_call(reader, planning, row, _viewer(principal)) for row in calls[:_MOST]]
        values: dict[str, Any] = {"calls": shown, "most": _MOST, "cut": len(calls) > _MOST}
        return self.pages.render(request, "plans.html", forms=self.forms, **values)

    def show(self, request: Request, digest: str) -> Response:
        """One plan: its chart, its rows with what became of them, and whether it holds. Raises NotFoundError."""
        principal, catalogue = _principal(request), self.pages.catalogue(request)
        with self._open(principal) as (reader, planning):
            row = _need_plan(planning, digest)
            call, known = need_call(reader.rows, row.call), _read(reader, planning, row, _viewer(principal))
            before = _before(reader, planning, known, _viewer(principal))
            table = build_table(reader, call, known.rows, known.legs, () if before is None else before.rows)
            values: dict[str, Any] = {"later": _later(planning, row), "table": table, "call": call, "plan": known}
            values |= _check(reader, planning, call, row, before)
        title = catalogue.say("plan.chart")
        chart = build_gantt(table, call, title, catalogue, int(time.time())) if table.rows else None
        picture = "" if chart is None else draw_gantt(chart, catalogue.language.value)
        return self.pages.render(request, "plan.html", forms=self.forms, picture=picture, **values)


def _principal(request: Request) -> Principal:
    found: Principal = request.state.principal
    return found


def _viewer(principal: Principal) -> int:
    """The participant that runs the gateway; the rules admit nobody else."""
    if principal.participant is None:
        raise NotFoundError("plans are shown to participants alone")
    return principal.participant


def _need_plan(planning: PlanningRepository, digest: str) -> PlanRow:
    try:
        row = planning.plan(parse_hex32(f"0x{digest}"))
    except CanonicalError:
        row = None
    if row is None:
        raise NotFoundError("no such plan is known here")
    return row


def _show_call(reader: Reader, planning: PlanningRepository, row: CallRow, participant: int) -> _ShownCall:
    call = need_call(reader.rows, row.digest)
    return _ShownCall(
        digest=row.digest,
        coordinator=reader.party(call.coordinator),
        closes=datetime.fromtimestamp(call.closes, UTC),
        orders=len(call.jobs),
        operations=sum(len(job.operations) for job in call.jobs),
        offers=len(planning.leaves(row.digest, What.OFFER)),
        plans=tuple(_read(reader, planning, plan, participant) for plan in planning.plans(row.digest)),
    )


def _read(reader: Reader, planning: PlanningRepository, row: PlanRow, participant: int) -> _Known:
    """Whole where it is known whole; else the participant's own part."""
    leaf = planning.leaf(row.leaf)
    if leaf is None:
        raise NotFoundError("the entry of the plan is not here")
    plan, unit = find_plan(reader.book, row, leaf), need_call(reader.rows, row.call).unit
    if plan is not None:
        return _Known(
            row.digest,
            plan.before,
            plan.cause,
            plan.rows,
            plan.legs,
            plan.cost.total,
            len(plan.offers),
            whole=True,
            unit=unit,
        )
    part = find_part(reader.book, row, leaf, participant)
    return _Known(
        row.digest, part.before, part.cause, part.rows, part.legs, part.total, len(part.offers), whole=False, unit=unit
    )


def _before(reader: Reader, planning: PlanningRepository, plan: _Known, participant: int) -> _Known | None:
    row = None if plan.before is None else planning.plan(plan.before)
    return None if row is None else _read(reader, planning, row, participant)


def _later(planning: PlanningRepository, row: PlanRow) -> bytes | None:
    """The latest plan of the same call, if it is another one."""
    latest = planning.plans(row.call)[-1]
    return None if latest.digest == row.digest else latest.digest


def _check(
    reader: Reader, planning: PlanningRepository, call: Call, row: PlanRow, before: _Known | None
) -> dict[str, Any]:
    """What the check of a whole plan says; nothing of a part, or where this company may not read the offers."""
    plan = _whole(reader, planning, row)
    previous = None if before is None else _whole(reader, planning, planning.plan(before.digest))
    call_row = planning.call(call.digest)
    if plan is None or call_row is None or not call_row.objective:
        return {"checked": None, "refused": ""}
    try:
        found = check_plan(plan_file(reader.rows, reader.book, planning, call, plan, previous))
    except MillmarkError as error:
        return {"checked": None, "refused": str(error)}
    gap = f"{found.gap_per_mille // 10}.{found.gap_per_mille % 10}"
    return {"checked": _Checked(gap, _shares(reader, found.shares())), "refused": ""}


def _whole(reader: Reader, planning: PlanningRepository, row: PlanRow | None) -> Plan | None:
    leaf = None if row is None else planning.leaf(row.leaf)
    return None if row is None or leaf is None else find_plan(reader.book, row, leaf)


def _shares(reader: Reader, shares: Sequence[Share]) -> tuple[_ShownShare, ...]:
    return tuple(_ShownShare(reader.party(one.owner), one.offered, one.used) for one in shares)
