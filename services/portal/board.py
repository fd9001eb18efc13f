"""The machine board: what each machine did, does, and is to do, as bars over time, and the same as text.

What was done and is under way has its times on the ledger. What is agreed or proposed has those of its plan, which are
in the company's own book: other viewers see such work without times.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from fastapi import Request
from starlette.responses import Response

from millmark.ledger.ids import SubjectKind
from millmark.ledger.provenance import answers, listings, open_reader
from millmark.ledger.provenance.reader import Reader
from millmark.ledger.records import AssignmentState, Role
from millmark.ledger.store import Store
from millmark.ledger.store.rows import AssignmentRow, OrderRow
from millmark.ledger.verify.printable import printable
from millmark.services.pictures.gantt import Bar, BarTone, Gantt, Lane, Mark, Tick, draw_gantt
from millmark.services.planning import consent, errors
from millmark.services.portal import charts, plans
from millmark.services.portal import pages as portal

MAX_WORK = 60
"""Assignments of one machine that the board reads, the latest ones."""
SPANS = (1, 7, 28)
"""Days that the board can be set to show."""
_TONES = (BarTone.FAILED, BarTone.REWORKED, BarTone.NOW, BarTone.AGREED, BarTone.PLANNED, BarTone.DONE)
_OVER = (AssignmentState.DECLINED, AssignmentState.CANCELLED)
_DAY_S, _LEAST_S = 86_400, 600
_LANES = 3
"""Lanes of one machine at most, where work overlaps; further bars are drawn over those of the last one."""
_TICKS = 2
_SLIVER = 160
"""The shortest bar is that part of the time shown: shorter ones could not be seen, nor pointed at."""
_SIGNS = {BarTone.FAILED: "✕ ", BarTone.REWORKED: "↻ "}


@dataclass(frozen=True, slots=True)
class Work:
    """An assignment of a machine."""

    assignment: int
    order: bytes
    name: str
    """Name of the order."""
    operation: int
    """From 0."""
    tone: BarTone
    begin: int | None
    """Unix seconds; None where no time is known."""
    end: int | None
    """When its plan has work under way end; None where no plan says so."""
    due: int
    """When the order is due, Unix seconds."""


@dataclass(frozen=True, slots=True)
class MachineWork:
    """A machine with its latest work, by begin; that without a time comes last."""

    machine: answers.RegisteredMachine
    work: tuple[Work, ...]
    cut: bool
    """Whether there is more, which was not read."""

    @property
    def counts(self) -> list[tuple[str, int]]:
        """How many assignments are in which state, as far as there are any."""
        found = Counter(one.tone for one in self.work)
        return [(tone.value, found[tone]) for tone in _TONES if found[tone]]


def read_work(reader: Reader, machine: answers.RegisteredMachine, times: consent.PlannedTimes | None) -> MachineWork:
    """The latest work of a machine in orders that exist for the viewer, without what was declined or cancelled.
    `times`: those of plans, for a viewer who may see what the company's book says."""
    found = reader.rows.latest(AssignmentRow, "sequence", MAX_WORK + 1, machine=machine.machine)
    orders = {row.order for row in found}
    seen = orders if reader.visibility is None else reader.visibility.among(SubjectKind.ORDER, orders)
    rows = [row for row in found[:MAX_WORK] if row.order in seen and AssignmentState(row.state) not in _OVER]
    reader.name(seen)
    dues = {row.subject: row.due_at for row in reader.rows.among(OrderRow, "subject", seen)}
    tones = plans.tones_of(reader.rows, rows)
    work = [_work(reader, row, tones[row.sequence], dues.get(row.order, 0), times) for row in rows]
    ordered = sorted(work, key=lambda one: (one.begin is None, one.begin or 0, one.assignment))
    return MachineWork(machine, tuple(ordered), len(found) > MAX_WORK)


def _work(reader: Reader, row: AssignmentRow, tone: BarTone, due: int, times: consent.PlannedTimes | None) -> Work:
    begin, end = row.started_at or None, row.ended_at or None
    if times is not None and end is None:
        try:
            time = times.of(row)
        except errors.RowRefusedError:  # a document that its coordinator got wrong has no time; its page says why
            time = None
        if time is not None:
            begin, end = begin or time.begin, time.end
    identifier = reader.identifier(row.order)
    name = printable(charts.brief_of(identifier)) if identifier else f"0x{row.order.hex()[:12]}…"
    return Work(row.sequence, row.order, name, row.operation, tone, begin, end, due)


def build_board(
    machines: Sequence[MachineWork], days: int | None, now_s: int, catalogue: portal.Catalogue
) -> Gantt | None:
    """The chart, in seconds, of `days` days around now: one third past, two thirds to come. With None for `days`, it
    covers all work. Returns None if nothing has a time."""
    spans = [span for machine in machines for one in machine.work if (span := _span(one, now_s)) is not None]
    if not spans:
        return None
    first, last = _window(spans, days, now_s)
    lanes = [lane for machine in machines for lane in _lanes(machine, first, last, now_s, catalogue)]
    ticks = (first + place * (last - first) // _TICKS for place in range(_TICKS + 1))
    return Gantt(
        title=catalogue.say("board.chart"),
        summary=catalogue.say("board.summary", bars=sum(len(lane.bars) for lane in lanes), machines=len(machines)),
        first=first,
        last=last,
        lanes=tuple(lanes),
        ticks=tuple(Tick(at, f"{datetime.fromtimestamp(at, UTC):%m-%d %H:%M}") for at in ticks),
        now=now_s,
    )


def _window(spans: Iterable[tuple[int, int]], days: int | None, now_s: int) -> tuple[int, int]:
    if days is not None:
        return now_s - days * _DAY_S // 3, now_s + 2 * days * _DAY_S // 3
    # What lies further away is on the page as text; a week of work would be a line beside it.
    near = now_s - SPANS[-1] * _DAY_S // 3, now_s + 2 * SPANS[-1] * _DAY_S // 3
    inside = [span for span in spans if span[1] >= near[0] and span[0] <= near[1]]
    first = max(near[0], min([now_s, *(begin for begin, _ in inside)]))
    last = min(near[1], max([now_s, *(end for _, end in inside)]))
    spare = max(last - first, _LEAST_S) // 20
    return first - spare, max(last, first + _LEAST_S) + spare


def _span(one: Work, now_s: int) -> tuple[int, int] | None:
    """From when to when it is drawn: work under way at least up to now, even if its plan had it end earlier."""
    if one.begin is None:
        return None
    if one.tone is BarTone.NOW or one.end is None:
        return one.begin, max(one.begin, one.end or 0, now_s)
    return one.begin, max(one.begin, one.end)


def _lanes(machine: MachineWork, first: int, last: int, now_s: int, catalogue: portal.Catalogue) -> list[Lane]:
    """The lanes of a machine: one, or more where work overlaps. Its name is above the first of them."""
    drawn = [
        (span, one)
        for one in machine.work
        if (span := _span(one, now_s)) is not None and span[1] >= first and span[0] <= last
    ]
    lanes: list[list[Bar]] = [[]]
    for span, one in sorted(drawn, key=lambda pair: (pair[0], pair[1].assignment)):
        free = next((lane for lane in lanes if not lane or lane[-1].end <= span[0]), None)
        if free is None:
            free = lanes[-1]
            if len(lanes) < _LANES:
                free = []
                lanes.append(free)
        free.append(_bar(span, one, catalogue))
    marks = _marks(machine, catalogue)
    least = (last - first) // _SLIVER
    return [
        Lane(_name(machine, catalogue) if place == 0 else "", tuple(_seen(bar, least) for bar in bars), marks)
        for place, bars in enumerate(lanes)
    ]


def _seen(bar: Bar, least: int) -> Bar:
    return Bar(bar.start, max(bar.end, bar.start + least), bar.label, bar.title, bar.tone)


def _marks(machine: MachineWork, catalogue: portal.Catalogue) -> tuple[Mark, ...]:
    """When the orders are due on which work is still to be done."""
    dues = {(one.due, one.name) for one in machine.work if one.due and one.tone in _OPEN}
    return tuple(Mark(due, catalogue.say("board.due", order=name, time=_text(due))) for due, name in sorted(dues))


_OPEN = (BarTone.NOW, BarTone.AGREED, BarTone.PLANNED)


def _name(machine: MachineWork, catalogue: portal.Catalogue) -> str:
    one = machine.machine
    name = charts.brief_of(one.identifier) if one.identifier else catalogue.say("machine.number", number=one.machine)
    owner = one.owner.name or catalogue.say("participant.number", number=one.owner.participant)
    return f"{name} · {owner}"


def _bar(span: tuple[int, int], one: Work, catalogue: portal.Catalogue) -> Bar:
    state = catalogue.say(f"plan.tone.{one.tone.value}")
    title = catalogue.say(
        "plan.bar",
        order=one.name,
        operation=one.operation + 1,
        state=state,
        begins=_text(span[0]),
        ends=_text(span[1]) if one.end is not None else catalogue.say("board.open"),
    )
    return Bar(*span, _SIGNS.get(one.tone, "") + plans.short_order(one.name), title, one.tone)


def _text(at: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


# The page of machines: the board, and the list of them.

_RULE = replace(portal.MEMBERS, cost=5)
"""It reads the work of a page of machines."""


@dataclass(frozen=True, slots=True)
class Board:
    store: Store
    pages: portal.Pages
    forms: portal.Forms

    def routes(self) -> tuple[portal.PageRoute, ...]:
        return (
            portal.PageRoute(
                "/portal/machines",
                self.show,
                _RULE,
                menu="machines",
                used_by=Role.MANUFACTURER | Role.COORDINATOR | Role.INSPECTOR,
            ),
        )

    def show(self, request: Request, days: str = "") -> Response:
        """The machine board. `days`: how many it shows, of `SPANS`; else as many as all work takes."""
        chosen = int(days) if days in map(str, SPANS) else None

        def draw(machines: Sequence[Any]) -> dict[str, Any]:
            catalogue, (board, now_s) = self.pages.catalogue(request), self._read(request, machines)
            chart = build_board(board, chosen, now_s, catalogue)
            picture = None if chart is None else draw_gantt(chart, catalogue.language)
            return {"board": board, "picture": picture}

        values: dict[str, Any] = {"days": chosen, "spans": SPANS, "most": MAX_WORK}
        find = portal.find_in(listings.machines, self.store)
        return portal.Lists(self.pages, self.forms).show(request, "machines.html", find, describe=draw, **values)

    def _read(self, request: Request, machines: Sequence[Any]) -> tuple[list[MachineWork], int]:
        """The machines' work, and the present time: a chain's blocks may be ahead of this clock."""
        viewer = portal.principal_of(request).viewer
        with open_reader(self.store, viewer) as reader:
            times = consent.PlannedTimes(reader.rows, reader.book) if viewer is None else None
            now_s = max(int(time.time()), reader.cursor.block_time)
            return [read_work(reader, machine, times) for machine in machines], now_s
