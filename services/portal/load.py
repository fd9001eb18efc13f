"""How busy a machine was: assignments under way in each of some spans of time."""

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
    """From `begin` to `end`."""

    begin: datetime
    end: datetime
    under_way: int
    """Assignments that were started, and not ended, at some moment of it."""


def build_load(started: Sequence[tuple[int, int | None]]) -> tuple[Span, ...]:
    """24 spans, of a length that covers all that was started, from its begin to its end; what is still under way counts
    to the last one."""
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
    """One bar for each span. The table beside it says the same."""
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
