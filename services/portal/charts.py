"""Charts of inspections in the portal's languages: measured windows, control charts, drift. Each has the rows of the
table beside it, so that picture and table cannot differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING
from urllib.parse import unquote

from millmark.ledger.provenance import OrderTrace, Trace
from millmark.ledger.provenance.answers import AsOf, Cut, Machine, Party, Transformation
from millmark.ledger.records import CertificateStatus, LotState, Verdict
from millmark.ledger.verify.printable import printable
from millmark.quality.control import ControlChart, ControlPoint, Signal
from millmark.services.inspections import windows
from millmark.services.pictures.genealogy import Words
from millmark.services.pictures.plot import Line, Plot, draw_plot, draw_window
from millmark.services.portal.pages import Catalogue

if TYPE_CHECKING:
    from millmark.quality.drift import Drift

# Texts of the genealogy picture, in the page's language.


class PictureWords(Words):
    """Takes all texts from a catalogue, and words for what statements tell of from those."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._say, self._told = catalogue.say, catalogue.words

    def title(self, trace: Trace | OrderTrace, name: str) -> str:  # noqa: ARG002  # the page says which it is
        return self._say("picture.title", name=name)

    def reach(self) -> str:
        return self._say("recall.tree")

    def name(self, identifier: str | None, subject: bytes) -> str:
        return brief_of(identifier) if identifier else f"0x{subject.hex()}"

    def held(self, holder: Party) -> str:
        return self._say("picture.held", holder=self.party(holder))

    def party(self, party: Party) -> str:
        return party.name or self._say("participant.number", number=party.participant)

    def state(self, quantity: int, unit: str, state: LotState) -> str:
        told = self._told
        return self._say("picture.state", quantity=quantity, unit=told.unit(unit), state=told.member(state))

    def judged(self, verdict: Verdict, status: CertificateStatus) -> str:
        labels = self._told.member(verdict), self._told.member(status)
        return "\n" + self._say("picture.judged", verdict=labels[0], status=labels[1])

    def made_on(self, machine: Machine) -> str:
        return self._say(
            "picture.made_on", machine=brief_of(machine.identifier) if machine.identifier else str(machine.machine)
        )

    def step(self, step: Transformation) -> str:
        return self._say(f"StepKind.{step.kind.name}")

    def summary(self, lots: int, steps: int, as_of: AsOf) -> str:
        return self._say("picture.summary", lots=lots, steps=steps, block=as_of.block_number)

    def cut(self, cut: Cut) -> str:
        return self._say("picture.cut", limit=cut.at)


def brief_of(identifier: str) -> str:
    """The last part of an identifier, where things of one kind differ."""
    return unquote(identifier.rpartition("/")[2].rpartition(":")[2]) or identifier


_MOST_DRIFT = 6
"""Statistics whose drift is drawn: those with the largest index in the latest group."""


@dataclass(frozen=True, slots=True)
class ChartRow:
    """A row of the table beside a chart."""

    name: str
    value: str
    limits: str
    rules: tuple[str, ...]
    """The rules that fired at this point, in words."""


@dataclass(frozen=True, slots=True)
class ChartView:
    key: str
    title: str
    picture: str
    note: str
    rows: tuple[ChartRow, ...]
    fired: tuple[ChartRow, ...]
    """The rows at which a rule fired."""


@dataclass(frozen=True, slots=True)
class ControlView:
    charts: tuple[ChartView, ...]
    missing: tuple[str, ...]
    """Why charts are not drawn."""
    signals: int


@dataclass(frozen=True, slots=True)
class WindowView:
    """A measured window with what was made of it."""

    window: windows.MeasuredWindow
    name: str
    picture: str
    least: str
    greatest: str


def build_window_view(window: windows.MeasuredWindow, catalogue: Catalogue, columns: int = 75) -> WindowView:
    values, one = window.values, window.certificate
    name = printable(brief_of(one.identifier)) if one.identifier else f"0x{one.lot.hex()[:8]}"
    least, greatest = (measured(edge, window.decimals) for edge in (min(values, default=0), max(values, default=0)))
    label = catalogue.say("window.picture", lot=name, count=len(values), least=least, greatest=greatest)
    return WindowView(window, name, draw_window(values, label, columns), least, greatest)


def measured(value: int, decimals: int | None) -> str:
    """A fixed-point sensor value as people write it; the raw integer if the model's scale is not known."""
    return f"{Decimal(value).scaleb(-(decimals or 0)):f}"


def build_control_view(found: windows.ModelControl, catalogue: Catalogue) -> ControlView:
    charts: list[ChartView] = []
    missing: list[str] = []
    if found.scores is None:
        missing.append(catalogue.say("control.scores_missing", needed=windows.REFERENCE, known=found.scored))
    else:
        charts += [_scores(found.scores, catalogue), _ranges(found.scores, catalogue)]
    if found.proportions is None:
        needed = windows.GROUP * windows.REFERENCE_GROUPS
        missing.append(catalogue.say("control.share_missing", needed=needed, known=found.inspections))
    else:
        charts.append(_proportions(found.proportions, catalogue))
    return ControlView(tuple(charts), tuple(missing), found.signals)


def build_drift_view(drift: Drift, catalogue: Catalogue) -> tuple[ChartView, ...]:
    """A chart for each statistic that moved most; empty before the first complete group."""
    from millmark.quality.drift import ALARM_PSI, GROUP as DRIFT_GROUP  # noqa: PLC0415, I001 - needs numpy, which others do not

    most = sorted(drift.latest, key=lambda name: (-drift.latest[name], name))[:_MOST_DRIFT]
    views = []
    for place, name in enumerate(most):
        values = tuple(group[name] for group in drift.history)
        marked = frozenset(at for at, value in enumerate(values) if value > ALARM_PSI)
        rows = tuple(
            ChartRow(
                catalogue.say("drift.group", first=at * DRIFT_GROUP + 1, last=(at + 1) * DRIFT_GROUP),
                f"{value:.2f}",
                f"{ALARM_PSI}",
                (catalogue.say("drift.above"),) if at in marked else (),
            )
            for at, value in enumerate(values)
        )
        title = catalogue.say("drift.title", name=name)
        lines = (Line("limit", catalogue.say("drift.limit"), (ALARM_PSI,) * len(values)),)
        plot = Plot(title, _summary(rows, catalogue), values, lines, marked, f"drift-{place}")
        views.append(_view(plot, catalogue, catalogue.say("drift.note", group=DRIFT_GROUP), rows))
    return tuple(views)


def _scores(found: windows.ScoreChart, catalogue: Catalogue) -> ChartView:
    chart = found.charts.values
    names = [catalogue.say("control.certificate", number=number) for number in found.certificates]
    first, last = found.reference
    note = catalogue.say("control.scores_note", count=windows.REFERENCE, first=first, last=last)
    threshold = Line("threshold", catalogue.say("control.threshold"), (float(found.threshold),) * len(chart.points))
    return _chart("scores", chart, names, (threshold,), note, catalogue, digits=0)


def _ranges(found: windows.ScoreChart, catalogue: Catalogue) -> ChartView:
    names = [catalogue.say("control.certificate", number=number) for number in found.certificates[1:]]
    return _chart("ranges", found.charts.ranges, names, (), catalogue.say("control.ranges_note"), catalogue, digits=0)


def _proportions(found: windows.ProportionChart, catalogue: Catalogue) -> ChartView:
    names = [catalogue.say("control.group", first=first, last=last) for first, last in found.certificates]
    note = catalogue.say("control.share_note", group=windows.GROUP, groups=windows.REFERENCE_GROUPS)
    return _chart("share", found.chart, names, (), note, catalogue, digits=3)


def _chart(
    key: str,
    chart: ControlChart,
    names: Sequence[str],
    more: tuple[Line, ...],
    note: str,
    catalogue: Catalogue,
    *,
    digits: int,
) -> ChartView:
    fired = _fired(chart.signals, catalogue)
    rows = tuple(
        ChartRow(name, _figure(point.value, digits), _limits(point, digits), tuple(fired.get(place, ())))
        for place, (name, point) in enumerate(zip(names, chart.points, strict=True))
    )
    lines = (
        Line("limit", catalogue.say("control.upper"), tuple(point.upper for point in chart.points)),
        Line("center", catalogue.say("control.center"), tuple(point.center for point in chart.points)),
        Line("limit", catalogue.say("control.lower"), tuple(point.lower for point in chart.points)),
    )
    values = tuple(point.value for point in chart.points)
    title = catalogue.say(f"control.{key}")
    plot = Plot(title, _summary(rows, catalogue), values, lines + more, frozenset(fired), f"chart-{key}")
    return _view(plot, catalogue, note, rows)


def _fired(signals: Sequence[Signal], catalogue: Catalogue) -> dict[int, list[str]]:
    """The rules that each point breaks, in words, by the point's place."""
    found: dict[int, list[str]] = {}
    for one in signals:
        found.setdefault(one.place, []).append(catalogue.say(f"rule.{one.rule.name}"))
    return found


def _summary(rows: Sequence[ChartRow], catalogue: Catalogue) -> str:
    return catalogue.say("control.summary", points=len(rows), signals=sum(bool(row.rules) for row in rows))


def _view(plot: Plot, catalogue: Catalogue, note: str, rows: tuple[ChartRow, ...]) -> ChartView:
    picture = draw_plot(plot, catalogue.language)
    return ChartView(plot.key, plot.title, picture, note, rows, tuple(row for row in rows if row.rules))


def _figure(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}"


def _limits(point: ControlPoint, digits: int) -> str:
    return f"{_figure(point.lower, digits)} – {_figure(point.upper, digits)}"
