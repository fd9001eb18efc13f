"""Draws a forecast as a fan chart: past weeks as a line, coming ones as a line within the band of their intervals, and
what came, where it did. One SVG element for a phone's width; the table beside it has the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT, _LEFT, _FOOT, _PAD = 340, 150, 34, 18, 8
"""In pixels; `_LEFT` and `_FOOT` are the room for the labels of the axes."""
_TICK = 4


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
    scale = _Scale(max([1, *fan.past, *fan.forecast, *(fan.high or ()), *fan.came]), len(fan.past) + len(fan.forecast))
    begin = len(fan.past)
    parts = [
        f'<svg class="fan" role="img" aria-labelledby="{escape(fan.key)}-title {escape(fan.key)}-summary" '
        f'lang="{language}" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}">',
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
class _Scale:
    most: int
    weeks: int

    def x(self, place: int) -> int:
        room = _WIDTH - _LEFT - _PAD
        return _LEFT + (room // 2 if self.weeks < 2 else room * place // (self.weeks - 1))

    def y(self, count: int) -> int:
        room = _HEIGHT - _FOOT - _PAD
        return _HEIGHT - _FOOT - room * count // self.most

    def point(self, place: int, count: int) -> str:
        return f"{self.x(place)} {self.y(count)}"


def _points(scale: _Scale, first: int, counts: Sequence[int]) -> list[str]:
    return [scale.point(first + place, count) for place, count in enumerate(counts)]


def _axes(fan: Fan, scale: _Scale) -> list[str]:
    base, right, now = scale.y(0), _WIDTH - _PAD, scale.x(len(fan.past))
    first, begins, last = (escape(label) for label in fan.labels)
    foot = _HEIGHT - _TICK
    middle = "start" if now < _WIDTH // 3 else "middle"
    # Where there is little or no past, the first two labels would lie on each other.
    named = f'<text x="{_LEFT}" y="{foot}">{first}</text>' if now > _WIDTH // 3 else ""
    return [
        f'<path class="axis" d="M{_LEFT} {scale.y(scale.most)}V{base}H{right}"/>',
        f'<text x="{_LEFT - _TICK}" y="{scale.y(scale.most) + _TICK}" text-anchor="end">{scale.most:,}</text>',
        f'<text x="{_LEFT - _TICK}" y="{base + _TICK}" text-anchor="end">0</text>',
        f'<path class="begin" d="M{now} {_PAD}V{base}"/>',
        named,
        f'<text x="{now}" y="{foot}" text-anchor="{middle}">{begins}</text>',
        f'<text x="{right}" y="{foot}" text-anchor="end">{last}</text>',
    ]
