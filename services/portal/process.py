"""The page of production state: what the company's machines did lately, what happened at them, and setpoints proposed
for them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice

from fastapi import Request
from starlette.responses import Response

from millmark.ledger.errors import NotFoundError
from millmark.ledger.provenance import open_reader
from millmark.ledger.provenance.reader import Reader
from millmark.ledger.records import Role
from millmark.ledger.store import Book, Rows, Store
from millmark.ledger.store.rows import AnchorRow, MachineRow, StreamRow
from millmark.services.access import Principal, Scope
from millmark.services.access.rules import Rule
from millmark.services.acts import About
from millmark.services.pictures.plot import Line, Plot, draw_plot
from millmark.services.planning.feedback.causes import LADDER, WHOLE, Step
from millmark.services.planning.feedback.repository import CauseFound, FeedbackRepository, State, StepShown, show_cause
from millmark.services.portal.acting.acting import Acting, Offer
from millmark.services.portal.pages import Catalogue, Forms, PageRoute, Pages, principal_of
from millmark.services.setpoints import Inbox, SetpointShown, document, inbox, repository

# What happened at a company's machines and what it led to, up to that they were mended: for the page of production
# state, each step with the entry of the machine's stream that says it, and the record that anchors that entry.

_CAUSES = 5
"""Causes of a machine that are shown, the latest."""
_LIFTS = ("mended", "overhauled", "dismissed", "good")
"""What the entry of a step that was taken back says of why."""


@dataclass(frozen=True, slots=True)
class StepView:
    one: StepShown
    name: str
    """Its step; of one that was taken back, why: it was mended, overhauled, dismissed or good again, if its entry says
    so."""
    record: int | None
    """The record that anchors its entry; None as long as none does."""

    @property
    def detail(self) -> str:
        """What is told of it; of another plan that is due, the call is named, which says nothing to people."""
        return "" if (self.one.step, self.one.state) == (Step.REPLAN, State.DUE) else self.one.detail


@dataclass(frozen=True, slots=True)
class CauseView:
    one: CauseFound
    steps: tuple[StepView, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a machine stands, and what led to it."""

    rung: int
    rungs: int
    percent: int
    """How fast offers expect it to be, in percent of what its calendar says; 0 if it is not offered."""
    causes: tuple[CauseView, ...]
    """The latest first."""


def read_judged(store: Store, machines: Collection[int]) -> set[int]:
    """Those of the machines at which something happened: good verdicts alone are nothing that is shown."""
    with store.reading() as connection:
        return FeedbackRepository(connection).caused_at(machines)


def read_causes(store: Store, machines: Sequence[int]) -> dict[int, Standing]:
    """The causes by machine; machines without causes are left out."""
    with store.reading() as connection:
        kept, rows, book = FeedbackRepository(connection), Rows(connection), Book(connection)
        found = {machine: _standing(kept, rows, book, machine) for machine in machines}
    return {machine: one for machine, one in found.items() if one.causes}


def _standing(kept: FeedbackRepository, rows: Rows, book: Book, machine: int) -> Standing:
    condition = kept.condition(machine)
    shown = (show_cause(kept, row.id) for row in kept.latest_of(machine, _CAUSES))
    causes = tuple(CauseView(one, tuple(_step(rows, book, step) for step in one.steps)) for one in shown)
    return Standing(condition.rung, len(LADDER), condition.efficiency_per_mille * 100 // WHOLE, causes)


def _step(rows: Rows, book: Book, step: StepShown) -> StepView:
    if step.stream is None or step.leaf is None:
        return StepView(step, step.step, None)
    anchor = rows.first_after(AnchorRow, "size", step.leaf, stream=step.stream)
    kept = book.evidence_entry(step.stream, step.leaf) if step.step == Step.LIFT else None
    said = kept.entry if kept is not None and isinstance(kept.entry, dict) else {}
    name = next((f"lift.{name}" for name in _LIFTS if name in said), step.step)
    return StepView(step, name, None if anchor is None else anchor.sequence)


_RULE = Rule(Scope.PROVENANCE, owner=True, page=True, cost=10)
_READINGS = 120
"""Readings of a machine that are drawn, the latest ones."""
_MACHINES = 20
"""Machines on one page."""
_PROPOSALS = 10


@dataclass(frozen=True, slots=True)
class ProposalView:
    """A proposal, with the buttons for whoever may answer it."""

    one: SetpointShown
    settings: tuple[str, ...]
    offers: tuple[Offer, ...]


@dataclass(frozen=True, slots=True)
class TrendView:
    """A chart, and the rows of the table beside it."""

    key: str
    title: str
    picture: str
    rows: tuple[tuple[datetime, str], ...]
    """Time and value."""


@dataclass(frozen=True, slots=True)
class MachineView:
    machine: int
    identifier: str | None
    latest: document.MachineReading | None
    values: tuple[tuple[str, str], ...]
    """Columns of the latest reading, in the sensors' units."""
    at: datetime | None
    trends: tuple[TrendView, ...]
    proposals: tuple[ProposalView, ...]
    standing: Standing | None
    """None if nothing ever happened at it."""


@dataclass(frozen=True, slots=True)
class ProcessPages:
    store: Store
    pages: Pages
    forms: Forms
    acting: Acting

    def routes(self) -> tuple[PageRoute, ...]:
        return (
            PageRoute("/portal/process", self.show, _RULE, menu="process", used_by=Role.MANUFACTURER | Role.INSPECTOR),
        )

    def show(self, request: Request, machine: str = "", after: str = "") -> Response:
        """Own machines with a reading, a proposal or a cause, those with a number greater than `after`, or one of them.
        Raises NotFoundError for one of others."""
        principal, catalogue = principal_of(request), self.pages.catalogue(request)
        wanted, least = _number(machine), _number(after) or 0
        with open_reader(self.store) as reader:
            rows = reader.rows.find(MachineRow, owner=principal.participant or 0)
            if machine and wanted not in {row.number for row in rows}:
                raise NotFoundError("the machine is not known here")
            chosen = [row for row in rows if row.number == wanted or (wanted is None and row.number > least)]
            # One more than is shown, to know whether there are more: what nobody sees is neither read nor drawn.
            shown_anyway = read_judged(self.store, [row.number for row in chosen]) | {wanted}
            found = list(islice(_find_active(reader, chosen, shown_anyway), _MACHINES + 1))
        causes = read_causes(self.store, [row.number for row, _, _ in found[:_MACHINES]])
        shown = [
            self._view(principal, catalogue, row, identifier, readings, causes.get(row.number))
            for row, identifier, readings in found[:_MACHINES]
        ]
        more = shown[-1].machine if len(found) > _MACHINES else None
        return self.pages.render(request, "process.html", forms=self.forms, machines=shown, more=more)

    def _view(
        self,
        principal: Principal,
        catalogue: Catalogue,
        row: MachineRow,
        identifier: str | None,
        readings: Sequence[document.MachineReading],
        standing: Standing | None,
    ) -> MachineView:
        latest = readings[-1] if readings else None
        return MachineView(
            row.number,
            identifier,
            latest,
            () if latest is None else tuple((name, _decimal(*pair)) for name, pair in sorted(latest.values.items())),
            None if latest is None else datetime.fromtimestamp(latest.time_s, UTC),
            _trends(row.number, readings, catalogue),
            read_proposals(self.store, self.acting, principal, row.number, _PROPOSALS),
            standing,
        )


def read_proposals(
    store: Store, acting: Acting, principal: Principal, machine: int, most: int = 3
) -> tuple[ProposalView, ...]:
    """The latest proposals for a machine, with what the caller may answer: for the pages that show a machine."""
    return tuple(
        ProposalView(
            one,
            tuple(inbox.describe_value(value) for value in one.values),
            acting.offers_on(principal, About.SETPOINT, str(one.setpoint)) if one.state == "open" else (),
        )
        for one in Inbox(store).of_machine(machine, most)
    )


def read_open_proposal(store: Store, acting: Acting, principal: Principal, machine: int) -> tuple[ProposalView, ...]:
    """The proposal that waits for an answer, if there is one: only the latest of a machine can."""
    return tuple(one for one in read_proposals(store, acting, principal, machine, 1) if one.one.state == "open")


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 12 else None


def _find_active(
    reader: Reader, rows: Sequence[MachineRow], wanted: Set[int | None]
) -> Iterator[tuple[MachineRow, str | None, Sequence[document.MachineReading]]]:
    """Machines with a reading or a proposal, and those that are `wanted`, with their readings."""
    reader.name(row.subject for row in rows)
    proposals = repository.SetpointRepository(reader.rows)
    for row in rows:
        readings = _read(reader, row)
        if readings or row.number in wanted or proposals.latest(1, row.number):
            yield row, reader.identifier(row.subject), readings


def _read(reader: Reader, row: MachineRow) -> Sequence[document.MachineReading]:
    streams = [stream.subject for stream in reader.rows.find(StreamRow, machine=row.number)]
    return document.find_readings(reader.book, streams, _READINGS)


def _trends(machine: int, readings: Sequence[document.MachineReading], catalogue: Catalogue) -> tuple[TrendView, ...]:
    """OEE with its two parts, and energy: each with the numbers that are drawn."""
    found = []
    for key in ("oee_ppm", "eta_ppm", "e_ppm", "wh"):
        points = [(one.time_s, value) for one in readings if (value := getattr(one, key)) is not None]
        if len(points) < 2:
            continue
        scale = 1 if key == "wh" else 10_000
        texts = [f"{value}" if key == "wh" else f"{Decimal(value).scaleb(-4):.1f}" for _, value in points]
        rows = tuple((datetime.fromtimestamp(at, UTC), text) for (at, _), text in zip(points, texts, strict=True))
        values = tuple(value / scale for _, value in points)
        mean = sum(values) / len(values)
        title = catalogue.say(f"process.{key}")
        summary = catalogue.say("process.summary", count=len(values), first=texts[0], last=texts[-1])
        lines = (Line("center", catalogue.say("process.mean", value=f"{mean:.1f}"), (mean,) * len(values)),)
        plot = Plot(title, summary, values, lines, frozenset(), f"{key.replace('_', '-')}-{machine}")
        found.append(TrendView(plot.key, title, draw_plot(plot, catalogue.language), rows))
    return tuple(found)


def _decimal(value: int, decimals: int) -> str:
    return f"{Decimal(value).scaleb(-decimals):f}"
