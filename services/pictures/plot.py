"""Draws points in order with level lines: control charts, and indices of drift. One SVG element for a phone's width.

Nothing is conveyed by colour alone: marked points are larger and ringed, lines have labels, and the table beside the
picture has the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT, _LABELS, _PAD = 340, 120, 64, 8
"""In pixels; `_LABELS` is the room for the labels of lines."""
_LEAST_APART = 11
"""Least distance of labels, so that they do not overlap."""


@dataclass(frozen=True, slots=True)
class Line:
    """A limit or centre line, with a value for each point."""

    tone: str
    """Class of the line: `limit`, `center` or `threshold`."""
    label: str
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """Points in order."""

    title: str
    summary: str
    values: tuple[float, ...]
    """All finite, of a magnitude below 1e300."""
    lines: tuple[Line, ...]
    marked: frozenset[int]
    """Indices of the points that a rule named."""
    key: str
    """Tells this picture's element identifiers from those of others on the page."""


def draw_plot(plot: Plot, language: str) -> str:
    """The SVG element. Without points there are only the title and the summary."""
    scale = _Scale.of([*plot.values, *(value for line in plot.lines for value in line.values)], len(plot.values))
    path = "M" + "L".join(f"{scale.x(place)} {scale.y(value)}" for place, value in enumerate(plot.values))
    names = f"{plot.key}-title {plot.key}-summary"
    parts = [
        f'<svg class="plot" role="img" aria-labelledby="{escape(names)}" lang="{language}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}">',
        f'<title id="{escape(plot.key)}-title">{escape(plot.title)}</title>',
        f'<desc id="{escape(plot.key)}-summary">{escape(plot.summary)}</desc>',
    ]
    if plot.values:
        parts += [_line(line, scale) for line in plot.lines]
        parts += [_labels(plot.lines, scale), f'<path class="values" d="{path}"/>']
        parts += [_point(place, value, place in plot.marked, scale) for place, value in enumerate(plot.values)]
    return "".join([*parts, "</svg>"])


@dataclass(frozen=True, slots=True)
class _Scale:
    low: float
    span: float
    last: int

    @classmethod
    def of(cls, values: Sequence[float], points: int) -> _Scale:
        low, high = min(values, default=0.0), max(values, default=0.0)
        return cls(low - 1, 2.0, points - 1) if low == high else cls(low, high - low, points - 1)

    def x(self, place: int) -> int:
        room = _WIDTH - _LABELS - 2 * _PAD
        return _PAD + (room // 2 if self.last < 1 else room * place // self.last)

    def y(self, value: float) -> int:
        return round(_HEIGHT - _PAD - (value - self.low) / self.span * (_HEIGHT - 2 * _PAD))


def _line(line: Line, scale: _Scale) -> str:
    """Level where its value does not change; a step in the middle between two points."""
    right = _WIDTH - _LABELS
    path = f"M0 {scale.y(line.values[0])}"
    for place in range(1, len(line.values)):
        if line.values[place] != line.values[place - 1]:
            path += f"H{(scale.x(place - 1) + scale.x(place)) // 2}V{scale.y(line.values[place])}"
    return f'<path class="{line.tone}" d="{path}H{right}"/>'


def _labels(lines: Sequence[Line], scale: _Scale) -> str:
    """At the right end of each line, moved down where two would overlap."""
    placed: list[str] = []
    before = -_LEAST_APART
    for line in sorted(lines, key=lambda line: -line.values[-1]):
        before = min(max(scale.y(line.values[-1]) + 4, before + _LEAST_APART), _HEIGHT)
        placed.append(f'<text class="{line.tone}" x="{_WIDTH - _LABELS + 4}" y="{before}">{escape(line.label)}</text>')
    return "".join(placed)


def _point(place: int, value: float, marked: bool, scale: _Scale) -> str:
    x, y = scale.x(place), scale.y(value)
    if marked:
        return f'<circle class="marked" cx="{x}" cy="{y}" r="5"/><circle cx="{x}" cy="{y}" r="2"/>'
    return f'<circle cx="{x}" cy="{y}" r="2"/>'
