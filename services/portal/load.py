"""The workload of a machine: assignments in progress per period of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

from services.portal.language import Catalogue

__all__ = ["Span", "build_load", "draw_load"]

_SPANS = 24
_LENGTHS_S = (10, 60, 300, 900, 3600, 6 * 3600, 86_400, 7 * 86_400, 28 * 86_400)
_WIDTH, _HEIGHT, _GAP = 18, 72, 3


@dataclass(frozen=True, slots=True)
class Span:
    """A period from `begin` to `end`."""

    begin: datetime
    end: datetime
    under_way: int
    """Assignments that were in progress at some time in the period."""


def build_load(started: Sequence[tuple[int, int | None]]) -> tuple[Span, ...]:
    """Divides the time of all started assignments into 24 equal periods. Assignments that have not ended count up to
    the last period."""
    if not started:
        return ()
    first, last = min(begin for begin, _ in started), max(end or begin for begin, end in started)
    length = next((span for span in _LENGTHS_S if (last // span - first // span) < _SPANS), _LENGTHS_S[-1])
    numbers = range(last // length - _SPANS + 1, last // length + 1)
    return tuple(
        Span(
            _moment(number * length),
            _moment((number + 1) * length),
            sum(begin < (number + 1) * length and (end is None or end >= number * length) for begin, end in started),
        )
        for number in numbers
    )


def draw_load(load: Sequence[Span], catalogue: Catalogue) -> str:
    """A bar chart, with one bar per period. The table next to it has the same data."""
    most = max(max(span.under_way for span in load), 1)
    bars = []
    for place, span in enumerate(load):
        height = span.under_way / most * _HEIGHT
        title = escape(f"{span.begin:%Y-%m-%d %H:%M} UTC: {span.under_way}")
        bars.append(
            f'<rect x="{place * (_WIDTH + _GAP)}" y="{_HEIGHT - height:.1f}" width="{_WIDTH}" height="{height:.1f}">'
            f"<title>{title}</title></rect>"
        )
    width = len(load) * (_WIDTH + _GAP)
    label = escape(catalogue.say("load.picture", most=most))
    return (
        f'<svg class="bars" role="img" aria-label="{label}" viewBox="0 0 {width} {_HEIGHT + 1}" width="{width}" '
        f'height="{_HEIGHT + 1}">{"".join(bars)}<path d="M0 {_HEIGHT + 0.5}H{width}"/></svg>'
    )


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
