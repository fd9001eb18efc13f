"""Draws figures as SVG elements of a phone's width: points in order with level lines (control charts, and indices of
drift), forecasts, footprints and measured windows.

Nothing is conveyed by colour alone: marked points are larger and ringed, lines have labels, and the table beside the
picture has the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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


# Draws a forecast as a fan chart: past weeks as a line, coming ones as a line within the band of their intervals, and
# what came, where it did. The table beside it has the same numbers.

_FAN_WIDTH, _FAN_HEIGHT, _FAN_LEFT, _FAN_FOOT, _FAN_PAD = 340, 150, 34, 18, 8
"""In pixels; `_FAN_LEFT` and `_FAN_FOOT` are the room for the labels of the axes."""
_FAN_TICK = 4


@dataclass(frozen=True, slots=True)
class Fan:
    """Weeks in order: first those of the past, then those that were forecast."""

    key: str
    """Tells this picture's element identifiers from those of others on the page."""
    title: str
    summary: str
    past: tuple[int, ...]
    forecast: tuple[int, ...]
    low: tuple[int, ...] | None
    high: tuple[int, ...] | None
    came: tuple[int, ...] = ()
    """What came in the first of the forecast weeks, those that have ended."""
    labels: tuple[str, str, str] = ("", "", "")
    """Labels of the first week, the first forecast one, and the last."""


def draw_fan(fan: Fan, language: str) -> str:
    """The SVG element."""
    scale = _FanScale(
        max([1, *fan.past, *fan.forecast, *(fan.high or ()), *fan.came]), len(fan.past) + len(fan.forecast)
    )
    begin = len(fan.past)
    parts = [
        f'<svg class="fan" role="img" aria-labelledby="{escape(fan.key)}-title {escape(fan.key)}-summary" '
        f'lang="{language}" viewBox="0 0 {_FAN_WIDTH} {_FAN_HEIGHT}" width="{_FAN_WIDTH}" height="{_FAN_HEIGHT}">',
        f'<title id="{escape(fan.key)}-title">{escape(fan.title)}</title>',
        f'<desc id="{escape(fan.key)}-summary">{escape(fan.summary)}</desc>',
        *_axes(fan, scale),
    ]
    if fan.low is not None and fan.high is not None:
        upper = _points(scale, begin, fan.high)
        lower = _points(scale, begin, fan.low)
        parts.append(f'<path class="band" d="M{"L".join([*upper, *reversed(lower)])}Z"/>')
    if fan.past:
        parts.append(f'<path class="past" d="M{"L".join(_points(scale, 0, fan.past))}"/>')
        joined = [scale.point(begin - 1, fan.past[-1]), *_points(scale, begin, fan.forecast)]
    else:
        joined = _points(scale, begin, fan.forecast)
    parts.append(f'<path class="forecast" d="M{"L".join(joined)}"/>')
    parts += [
        f'<circle class="came" cx="{scale.x(begin + place)}" cy="{scale.y(count)}" r="3"/>'
        for place, count in enumerate(fan.came)
    ]
    return "".join([*parts, "</svg>"])


@dataclass(frozen=True, slots=True)
class _FanScale:
    most: int
    weeks: int

    def x(self, place: int) -> int:
        room = _FAN_WIDTH - _FAN_LEFT - _FAN_PAD
        return _FAN_LEFT + (room // 2 if self.weeks < 2 else room * place // (self.weeks - 1))

    def y(self, count: int) -> int:
        room = _FAN_HEIGHT - _FAN_FOOT - _FAN_PAD
        return _FAN_HEIGHT - _FAN_FOOT - room * count // self.most

    def point(self, place: int, count: int) -> str:
        return f"{self.x(place)} {self.y(count)}"


def _points(scale: _FanScale, first: int, counts: Sequence[int]) -> list[str]:
    return [scale.point(first + place, count) for place, count in enumerate(counts)]


def _axes(fan: Fan, scale: _FanScale) -> list[str]:
    top, base, right, now = scale.y(scale.most), scale.y(0), _FAN_WIDTH - _FAN_PAD, scale.x(len(fan.past))
    first, begins, last = (escape(label) for label in fan.labels)
    foot = _FAN_HEIGHT - _FAN_TICK
    middle = "start" if now < _FAN_WIDTH // 3 else "middle"
    # Where there is little or no past, the first two labels would lie on each other.
    named = f'<text x="{_FAN_LEFT}" y="{foot}">{first}</text>' if now > _FAN_WIDTH // 3 else ""
    return [
        f'<path class="axis" d="M{_FAN_LEFT} {top}V{base}H{right}"/>',
        f'<text x="{_FAN_LEFT - _FAN_TICK}" y="{top + _FAN_TICK}" text-anchor="end">{scale.most:,}</text>',
        f'<text x="{_FAN_LEFT - _FAN_TICK}" y="{base + _FAN_TICK}" text-anchor="end">0</text>',
        f'<path class="begin" d="M{now} {_FAN_PAD}V{base}"/>',
        named,
        f'<text x="{now}" y="{foot}" text-anchor="{middle}">{begins}</text>',
        f'<text x="{right}" y="{foot}" text-anchor="end">{last}</text>',
    ]


# Draws what a footprint consists of as a waterfall: each contribution begins where the one before ends.
#
# Narrow enough for a phone. The page's style sheet styles the classes; what they mean is in the words as well.

_FALL_WIDTH, _FALL_ROW, _FALL_LINE, _FALL_BAR, _FALL_MARGIN = 340, 40, 14, 12, 4
_FALL_SIGN = 6.2
"""Average width of an ASCII character at 11 pixels; other characters count twice."""


@dataclass(frozen=True, slots=True)
class Bar:
    name: str
    figure: str
    """The amount in words."""
    amount: int
    tone: str
    """Class of the bar: `metered`, `stated` or `whole`."""


def draw_waterfall(bars: Sequence[Bar], title: str, language: str) -> str:
    """The SVG element: a row for each contribution, and one for their sum, which is the last of `bars`. Long names are
    shortened; screen readers get them whole."""
    whole = max(bars[-1].amount, 1)
    height = len(bars) * _FALL_ROW + 2 * _FALL_MARGIN
    summary = "; ".join(f"{bar.name}: {bar.figure}" for bar in bars)
    parts = [
        f'<svg class="waterfall" role="img" aria-labelledby="w-title w-summary" lang="{language}" '
        f'viewBox="0 0 {_FALL_WIDTH} {height}" width="{_FALL_WIDTH}" height="{height}">',
        f'<title id="w-title">{escape(title)}</title><desc id="w-summary">{escape(summary)}</desc>',
    ]
    start = 0
    for number, bar in enumerate(bars):
        parts.append(_row(bar, number * _FALL_ROW + _FALL_MARGIN, 0 if bar is bars[-1] else start, whole))
        start += bar.amount
    return "".join([*parts, "</svg>"])


def _row(bar: Bar, top: int, start: int, whole: int) -> str:
    room = _FALL_WIDTH - 2 * _FALL_MARGIN
    left, width = start * room / whole, max(bar.amount * room / whole, 1.0)
    name = _shorten(bar.name, room - _wide(bar.figure) - 12)
    return (
        f'<g class="{bar.tone}"><text x="{_FALL_MARGIN}" y="{top + _FALL_LINE}">{escape(name)}</text>'
        f'<text class="figure" x="{_FALL_WIDTH - _FALL_MARGIN}" y="{top + _FALL_LINE}">{escape(bar.figure)}</text>'
        f'<rect x="{_FALL_MARGIN + left:.1f}" y="{top + _FALL_LINE + 5}" width="{width:.1f}" height="{_FALL_BAR}"/></g>'
    )


def _wide(text: str) -> float:
    return sum(_FALL_SIGN if sign.isascii() else 2 * _FALL_SIGN for sign in text)


def _shorten(text: str, room: float) -> str:
    """Shortens a name, keeping its end, where serial numbers differ."""
    if _wide(text) <= room:
        return text
    while text and _wide(text) + _FALL_SIGN > room:
        text = text[1:]
    return "…" + text


# Draws a measured window as a line: one small SVG element, of bounded size however long the window is.
#
# A window that is longer than the drawing is wide is drawn by the least and the greatest value of each column, so that
# no spike is lost. The values themselves are not in the picture: the page has them as text.

COLUMNS = 150
"""Most columns of a drawing."""
_WINDOW_HEIGHT, _WINDOW_PAD = 60, 3


def draw_window(values: Sequence[int], label: str, columns: int = COLUMNS) -> str:
    """The SVG element. `label` is its text for screen readers. An empty window has no line, a constant one a level line
    in the middle."""
    width = 2 * columns
    path = _path(values, columns)
    line = f'<path d="{path}"/>' if path else ""
    return (
        f'<svg class="window" role="img" aria-label="{escape(label)}" viewBox="0 0 {width} {_WINDOW_HEIGHT}" '
        f'width="{width}" height="{_WINDOW_HEIGHT}" preserveAspectRatio="none">{line}</svg>'
    )


def _path(values: Sequence[int], columns: int) -> str:
    if not values:
        return ""
    low, high = min(values), max(values)
    if len(values) == 1 or low == high:
        return f"M0 {_WINDOW_HEIGHT // 2}H{2 * columns}"
    # Integers all the way: values have up to 53 bits.
    room, span, last = _WINDOW_HEIGHT - 2 * _WINDOW_PAD, high - low, len(values) - 1
    points = [
        (2 * columns * place // last, _WINDOW_PAD + room - room * (values[place] - low) // span)
        for place in _places(values, columns)
    ]
    return "M" + "L".join(f"{x} {y}" for x, y in points)


def _places(values: Sequence[int], columns: int) -> Iterator[int]:
    """Indices of the values to draw, in order."""
    if len(values) <= 2 * columns:
        yield from range(len(values))
        return
    for column in range(columns):
        part = range(column * len(values) // columns, (column + 1) * len(values) // columns)
        least, greatest = min(part, key=values.__getitem__), max(part, key=values.__getitem__)
        yield from sorted({least, greatest})
