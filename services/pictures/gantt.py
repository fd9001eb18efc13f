"""Draws a plan as a Gantt chart: one SVG element that fits any width without distorting its text.

All horizontal positions are percentages, so that the same element serves a phone and a desktop; heights are pixels. The
page's style sheet styles the classes of the tones. Nothing is conveyed by colour alone: every bar's title says its
state, and the table beside the chart has the same rows.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_TOP, _LANE, _LABEL, _BAR = 22, 44, 16, 22
"""Heights in pixels: of the time axis, a lane, its label, a bar."""
_BASELINE = 15


class BarTone(enum.Enum):
    """What became of a row of the plan; the values are classes of the style sheet."""

    PLANNED = "planned"
    AGREED = "agreed"
    NOW = "now"
    DONE = "done"
    FAILED = "failed"
    REWORKED = "reworked"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True)
class Bar:
    """A row of the plan, on a machine or on the way; `start` and `end` in slots."""

    start: int
    end: int
    label: str
    """Short, drawn as far as it fits."""
    title: str
    """All that is known, for pointers and screen readers."""
    tone: BarTone
    moved: bool = False
    """Whether it is not where the plan before had it."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment on a lane, such as when an order is due, in slots."""

    at: int
    title: str


@dataclass(frozen=True, slots=True)
class Lane:
    """A machine, or the transport of a carrier."""

    name: str
    bars: tuple[Bar, ...]
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled moment of the time axis, in slots."""

    at: int
    label: str


@dataclass(frozen=True, slots=True)
class Gantt:
    """A chart of the slots from `first` to `last`."""

    title: str
    summary: str
    first: int
    last: int
    lanes: tuple[Lane, ...]
    ticks: tuple[Tick, ...]
    now: int | None = None
    """The present slot; None if it is not shown."""


def draw_gantt(chart: Gantt, language: str) -> str:
    """The SVG element: a strip per lane, with its name above it."""
    height = _TOP + len(chart.lanes) * _LANE
    parts = [
        f'<svg class="gantt" role="img" aria-labelledby="gantt-title gantt-summary" lang="{language}" width="100%" '
        f'height="{height}">',
        f'<title id="gantt-title">{escape(chart.title)}</title>',
        f'<desc id="gantt-summary">{escape(chart.summary)}</desc>',
        *(_tick(chart, tick, height) for tick in chart.ticks),
        *(_lane(chart, lane, _TOP + place * _LANE) for place, lane in enumerate(chart.lanes)),
        *_present(chart, height),
        # Last, so that no line strikes a name through.
        *(
            f'<text class="lane" x="0" y="{_TOP + place * _LANE + 12}">{escape(lane.name)}</text>'
            for place, lane in enumerate(chart.lanes)
            if lane.name
        ),
        "</svg>",
    ]
    return "".join(parts)


def _percent(chart: Gantt, slot: int) -> str:
    """The position of a slot's beginning, with two decimals, computed in integers so that it never varies."""
    span = max(chart.last - chart.first, 1)
    hundredths = min(max((slot - chart.first) * 10_000 // span, 0), 10_000)
    return f"{hundredths // 100}.{hundredths % 100:02d}%"


def _tick(chart: Gantt, tick: Tick, height: int) -> str:
    at = _percent(chart, tick.at)
    anchor = {chart.first: "start", chart.last: "end"}.get(tick.at, "middle")
    return (
        f'<line class="tick" x1="{at}" x2="{at}" y1="{_TOP - 4}" y2="{height}"/>'
        f'<text class="tick" x="{at}" y="12" text-anchor="{anchor}">{escape(tick.label)}</text>'
    )


def _lane(chart: Gantt, lane: Lane, top: int) -> str:
    bars = "".join(_bar(chart, bar, top + _LABEL) for bar in lane.bars)
    return (
        f'<rect class="strip" x="0" y="{top + _LABEL}" width="100%" height="{_BAR}"/>{bars}'
        f"{''.join(_mark(chart, mark, top + _LABEL) for mark in lane.marks)}"
    )


def _mark(chart: Gantt, mark: Mark, top: int) -> str:
    """Wide enough to be pointed at; one outside of the chart is not drawn."""
    if not chart.first <= mark.at <= chart.last:
        return ""
    at = _percent(chart, mark.at)
    return (
        f'<g class="due"><title>{escape(mark.title)}</title>'
        f'<line x1="{at}" x2="{at}" y1="{top - 3}" y2="{top + _BAR + 3}"/></g>'
    )


def _bar(chart: Gantt, bar: Bar, top: int) -> str:
    """An inner SVG element clips the label to the bar."""
    begin, span = max(bar.start, chart.first), max(min(bar.end, chart.last) - max(bar.start, chart.first), 0)
    width = _percent(chart, chart.first + span)
    classes = f"{bar.tone.value} moved" if bar.moved else bar.tone.value
    return (
        f'<svg class="{classes}" x="{_percent(chart, begin)}" y="{top}" width="{width}" height="{_BAR}">'
        f'<title>{escape(bar.title)}</title><rect width="100%" height="100%"/>'
        f'<text x="3" y="{_BASELINE}">{escape(bar.label)}</text></svg>'
    )


def _present(chart: Gantt, height: int) -> Sequence[str]:
    if chart.now is None or not chart.first <= chart.now <= chart.last:
        return ()
    at = _percent(chart, chart.now)
    return (f'<line class="present" x1="{at}" x2="{at}" y1="{_TOP - 4}" y2="{height}"/>',)
