"""The pages of calls and plans, for the company that runs the gateway: what it knows of them, and no more."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeAlias

from fastapi import Request
from starlette.responses import Response

from millmark.ledger import canonical, errors
from millmark.ledger.provenance import answers
from millmark.ledger.provenance.reader import Reader as NameReader
from millmark.ledger.provenance.reader import build_reader
from millmark.ledger.records import AssignmentState, CertificateState, Role, Verdict
from millmark.ledger.store import Book, Lineage, Rows, Store
from millmark.ledger.store.rows import AssignmentRow, CertificateRow, LotRow
from millmark.services.access import Principal, Scope
from millmark.services.access.rules import Rule
from millmark.services.pictures.gantt import Bar, BarTone, Gantt, Lane, Tick, draw_gantt
from millmark.services.planning import making, repository
from millmark.services.planning.showing import LegShown, PlanShown, Reader, RowShown
from millmark.services.portal.charts import brief_of
from millmark.services.portal.pages import Catalogue, Forms, PageRoute, Pages, principal_of

# What the plan page shows: each row of a plan with what became of it, and the Gantt chart of all of them.

_TONES = {
    AssignmentState.PROPOSED: BarTone.PLANNED,
    AssignmentState.ACCEPTED: BarTone.AGREED,
    AssignmentState.DECLINED: BarTone.DECLINED,
    AssignmentState.CANCELLED: BarTone.DECLINED,
    AssignmentState.STARTED: BarTone.NOW,
    AssignmentState.FINISHED: BarTone.DONE,
}
_Key: TypeAlias = "tuple[bytes, int]"
"""Order and operation."""
_SHORT = 8
_TICKS = 2
"""Spans into which the time axis is divided: three labels fit on a phone."""


@dataclass(frozen=True, slots=True)
class PlannedRow:
    """A row of the plan, with its names."""

    row: RowShown
    order: str
    machine: answers.Machine
    tone: BarTone
    moved: bool


@dataclass(frozen=True, slots=True)
class PlannedLeg:
    """A leg of the plan, with the order's name."""

    leg: LegShown
    order: str


@dataclass(frozen=True, slots=True)
class PlanTable:
    """The rows and legs of a plan, by start."""

    rows: tuple[PlannedRow, ...]
    legs: tuple[PlannedLeg, ...]
    failed: tuple[PlannedRow, ...] = ()
    """Rows that were done and whose part failed: `rows` has the rework."""

    @property
    def all(self) -> list[PlannedRow]:
        """What is planned, and what was done in vain, by start."""
        return sorted((*self.rows, *self.failed), key=lambda one: (one.row.start, _key(one.row), one.row.rework))

    def count(self, *tones: BarTone) -> int:
        return sum(row.tone in tones for row in self.rows)

    @property
    def agreed(self) -> int:
        """Rows that their owners accepted, whatever came after."""
        return self.count(BarTone.AGREED, BarTone.NOW, BarTone.DONE, BarTone.FAILED, BarTone.REWORKED)

    @property
    def moved(self) -> int:
        return sum(row.moved for row in self.rows)


def read_tones(rows: Rows, planned: Sequence[RowShown]) -> dict[_Key, BarTone]:
    """What became of each row by the ledger: the state of the latest assignment of its operation to its machine. A
    row that is a rework looks only at assignments made since the operation was finished as often as it says."""
    by_key = _by_operation(rows, {row.order for row in planned})
    latest = {
        _key(row): max(
            (one for one in _since(by_key[_key(row)], row.rework) if one.machine == row.machine),
            key=lambda row: row.sequence,
            default=None,
        )
        for row in planned
    }
    tones = _tones(rows, [one for one in latest.values() if one is not None], by_key)
    return {key: BarTone.PLANNED if one is None else tones[one.sequence] for key, one in latest.items()}


def _since(assignments: Sequence[AssignmentRow], reworks: int) -> list[AssignmentRow]:
    """Those after the operation was finished so many times."""
    finished = sorted(one.sequence for one in assignments if AssignmentState(one.state) is AssignmentState.FINISHED)
    if len(finished) < reworks:
        return []
    last = finished[reworks - 1] if reworks else 0
    return [one for one in assignments if one.sequence > last]


def tones_of(rows: Rows, assignments: Sequence[AssignmentRow]) -> dict[int, BarTone]:
    """What became of assignments, by their numbers."""
    return _tones(rows, assignments, _by_operation(rows, {one.order for one in assignments}))


def _by_operation(rows: Rows, orders: set[bytes]) -> defaultdict[_Key, list[AssignmentRow]]:
    by_key: defaultdict[_Key, list[AssignmentRow]] = defaultdict(list)
    for one in rows.among(AssignmentRow, "order", orders):
        by_key[one.order, one.operation].append(one)
    return by_key


def _tones(
    rows: Rows, assignments: Sequence[AssignmentRow], by_key: Mapping[_Key, Sequence[AssignmentRow]]
) -> dict[int, BarTone]:
    failed = _failed(rows, {one.sequence for one in assignments})
    return {one.sequence: _tone(one, by_key[one.order, one.operation], failed) for one in assignments}


def _key(row: RowShown) -> _Key:
    return row.order, row.operation


def _tone(one: AssignmentRow, others: Sequence[AssignmentRow], failed: set[int]) -> BarTone:
    if one.sequence in failed:
        return BarTone.FAILED
    tone = _TONES[AssignmentState(one.state)]
    again = any(
        other.sequence < one.sequence and AssignmentState(other.state) is AssignmentState.FINISHED for other in others
    )
    return BarTone.REWORKED if tone is BarTone.DONE and again else tone


def _failed(rows: Rows, assignments: set[int]) -> set[int]:
    """Those of the assignments whose lot was failed by a certificate that stands."""
    made = [(lot.certificate, lot.assignment) for lot in rows.among(LotRow, "assignment", assignments)]
    failing = {
        one.sequence
        for one in rows.among(CertificateRow, "sequence", {certificate for certificate, _ in made if certificate})
        if Verdict(one.verdict) is Verdict.FAIL and CertificateState(one.state) is not CertificateState.REVOKED
    }
    return {assignment for certificate, assignment in made if certificate in failing}


def build_table(reader: NameReader, plan: PlanShown, before: Sequence[RowShown]) -> PlanTable:
    """The plan's rows with names and states. `before`: the rows of the plan that it replaces."""
    reader.name({row.order for row in plan.rows} | {leg.order for leg in plan.legs})
    tones = read_tones(reader.rows, plan.rows)
    earlier = {_key(row): (row.machine, row.start) for row in before}
    again = {(_key(row), row.rework + 1) for row in plan.reworked}  # what is done again has not moved
    rows = [
        PlannedRow(
            row,
            _order(reader, row.order),
            reader.machine(row.machine),
            tones[_key(row)],
            (_key(row), row.rework) not in again
            and earlier.get(_key(row), (row.machine, row.start)) != (row.machine, row.start),
        )
        for row in sorted(plan.rows, key=lambda row: (row.start, _key(row)))
    ]
    failed = [
        PlannedRow(row, _order(reader, row.order), reader.machine(row.machine), BarTone.FAILED, moved=False)
        for row in plan.reworked
    ]
    legs = sorted(plan.legs, key=lambda leg: (leg.starts_at, leg.order, leg.after))
    listed = tuple(PlannedLeg(leg, _order(reader, leg.order)) for leg in legs)
    return PlanTable(tuple(rows), listed, tuple(failed))


def _order(reader: NameReader, subject: bytes) -> str:
    identifier = reader.identifier(subject)
    return brief_of(identifier) if identifier else f"0x{subject.hex()[:12]}…"


def build_gantt(table: PlanTable, title: str, catalogue: Catalogue, now_s: int) -> Gantt:
    """The chart, in seconds: a lane per machine, one for each way, over the time in which anything is planned."""
    spans = [_span(one.row) for one in table.all] + [_span(one.leg) for one in table.legs]
    first, last = min(start for start, _ in spans), max(end for _, end in spans)
    ticks = (first + place * (last - first) // _TICKS for place in range(_TICKS + 1))
    return Gantt(
        title=title,
        summary=catalogue.say("plan.summary", rows=len(table.rows), lanes=len({one.row.machine for one in table.rows})),
        first=first,
        last=last,
        lanes=(*_machine_lanes(table, catalogue), *_transport_lanes(table, catalogue)),
        ticks=tuple(Tick(at, f"{datetime.fromtimestamp(at, UTC):%m-%d %H:%M}") for at in ticks),
        now=now_s,
    )


def _span(one: RowShown | LegShown) -> tuple[int, int]:
    return int(one.starts_at.timestamp()), int(one.ends_at.timestamp())


def _machine_lanes(table: PlanTable, catalogue: Catalogue) -> list[Lane]:
    lanes: defaultdict[tuple[int, int], list[PlannedRow]] = defaultdict(list)
    for one in table.all:
        lanes[one.row.owner.participant, one.row.machine].append(one)
    found = []
    for _, shown in sorted(lanes.items()):
        hidden = [one for one in shown if one.tone is BarTone.FAILED and _is_covered(one, shown)]
        for part in ([one for one in shown if one not in hidden], hidden):
            if part:
                found.append(Lane(_lane_name(shown[0], catalogue), tuple(_bar(one, catalogue) for one in part)))
    return found


def _is_covered(one: PlannedRow, others: Sequence[PlannedRow]) -> bool:
    """Whether another bar of the machine would be drawn over one that failed: it was done earlier than planned, and the
    time is used again."""
    begin, end = _span(one.row)
    return any(
        other is not one
        and other.tone is not BarTone.FAILED
        and _span(other.row)[0] < end
        and begin < _span(other.row)[1]
        for other in others
    )


def _lane_name(one: PlannedRow, catalogue: Catalogue) -> str:
    machine = one.machine.identifier
    name = brief_of(machine) if machine else catalogue.say("machine.number", number=one.row.machine)
    return f"{name} · {_party(one.row.owner, catalogue)}"


def short_order(order: str) -> str:
    """The end of an order's name, where orders differ, without leading zeros; all of a short one."""
    if len(order) <= _SHORT:
        return order
    return order[-4:].lstrip("0") or order[-1:]


def _party(party: answers.Party, catalogue: Catalogue) -> str:
    return party.name or catalogue.say("participant.number", number=party.participant)


def _bar(one: PlannedRow, catalogue: Catalogue) -> Bar:
    title = catalogue.say(
        "plan.bar",
        order=one.order,
        operation=one.row.operation + 1,
        state=catalogue.say(f"plan.tone.{one.tone.value}"),
        begins=f"{one.row.starts_at:%Y-%m-%d %H:%M} UTC",
        ends=f"{one.row.ends_at:%Y-%m-%d %H:%M} UTC",
    )
    return Bar(*_span(one.row), short_order(one.order), title, one.tone, one.moved)


def _transport_lanes(table: PlanTable, catalogue: Catalogue) -> list[Lane]:
    """A lane for each pair of companies. Legs of several orders may overlap in it; the table has them one by one."""
    lanes: defaultdict[tuple[int, int], list[PlannedLeg]] = defaultdict(list)
    for one in table.legs:
        if one.leg.ends_at > one.leg.starts_at:
            lanes[one.leg.origin.participant, one.leg.destination.participant].append(one)
    return [
        Lane(
            catalogue.say(
                "plan.way",
                origin=_party(shown[0].leg.origin, catalogue),
                to=_party(shown[0].leg.destination, catalogue),
            ),
            tuple(_leg_bar(one) for one in shown),
        )
        for _, shown in sorted(lanes.items())
    ]


def _leg_bar(one: PlannedLeg) -> Bar:
    title = f"{one.order}: {one.leg.starts_at:%Y-%m-%d %H:%M} – {one.leg.ends_at:%H:%M} UTC"
    return Bar(*_span(one.leg), short_order(one.order), title, BarTone.AGREED)


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
    ties: making.Ties
    find_company: Callable[[Principal], int | None]
    """The company that a caller stands for; None if there is none."""

    def routes(self) -> tuple[PageRoute, ...]:
        return (
            PageRoute("/portal/plans", self.list, _MEMBERS, menu="plans", used_by=_USED_BY, of_company=True),
            PageRoute("/portal/plans/{digest}", self.show, _CHECKED),
        )

    def list(self, request: Request) -> Response:
        """The calls that are known here, the last to close first, with their plans."""
        with self._open(principal_of(request)) as (_, planning, reader):
            listed = [reader.call(row.digest) for row in planning.calls()[:_MOST]]
            calls = [(call, [reader.plan(digest) for digest in call.plans]) for call in listed]
            cut = len(planning.calls()) > _MOST
        return self.pages.render(request, "plans.html", forms=self.forms, calls=calls, most=_MOST, cut=cut)

    def show(self, request: Request, digest: str) -> Response:
        """One plan: its chart, its rows with what became of them, and whether it holds. Raises NotFoundError."""
        catalogue, name = self.pages.catalogue(request), _parse(digest)
        with self._open(principal_of(request)) as (_, _, reader):
            closes = reader.closes(name)
        tie = self.ties.find(closes)  # asks the chain, so outside of the transactions
        with self._open(principal_of(request)) as (names, planning, reader):
            plan, checked = reader.plan(name), reader.check(name, tie)
            table = build_table(names, plan, _rows_before(planning, reader, plan))
            asked = reader.call(plan.call).operations
            latest = planning.plans(plan.call)[-1].digest
        picture = ""
        if table.rows:
            chart = build_gantt(table, catalogue.say("plan.chart"), catalogue, int(time.time()))
            picture = draw_gantt(chart, catalogue.language)
        values: dict[str, Any] = {"table": table, "plan": plan, "checked": checked, "asked": asked}
        values |= {"coordinates": plan.coordinator.participant == self.find_company(principal_of(request))}
        values |= {"figures": _figures(plan), "later": None if latest == name else latest, "picture": picture}
        return self.pages.render(request, "plan.html", forms=self.forms, **values)

    @contextmanager
    def _open(self, principal: Principal) -> Iterator[tuple[NameReader, repository.PlanningRepository, Reader]]:
        """All on one state of the store."""
        company = self.find_company(principal)
        if company is None:
            raise errors.NotFoundError("plans are shown to participants alone")
        with self.store.reading() as connection:
            rows, book, planning = Rows(connection), Book(connection), repository.PlanningRepository(connection)
            names = build_reader(rows, book, Lineage(connection), principal.viewer)
            yield names, planning, Reader(rows, book, planning, company)


def _parse(digest: str) -> bytes:
    try:
        return canonical.parse_hex32(f"0x{digest}")
    except errors.CanonicalError:
        raise errors.NotFoundError("no such plan is known here") from None


def _rows_before(planning: repository.PlanningRepository, reader: Reader, plan: PlanShown) -> Sequence[RowShown]:
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
