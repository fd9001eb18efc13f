"""Draws what a footprint consists of as a waterfall: each contribution begins where the one before ends.

Narrow enough for a phone. The page's style sheet styles the classes; what they mean is in the words as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _ROW, _LINE, _BAR, _MARGIN = 340, 40, 14, 12, 4
_SIGN_WIDTH = 6.2
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
    height = len(bars) * _ROW + 2 * _MARGIN
    summary = "; ".join(f"{bar.name}: {bar.figure}" for bar in bars)
    parts = [
        f'<svg class="waterfall" role="img" aria-labelledby="w-title w-summary" lang="{language}" '
        f'viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}">',
        f'<title id="w-title">{escape(title)}</title><desc id="w-summary">{escape(summary)}</desc>',
    ]
    start = 0
    for number, bar in enumerate(bars):
        parts.append(_row(bar, number * _ROW + _MARGIN, 0 if bar is bars[-1] else start, whole))
        start += bar.amount
    return "".join([*parts, "</svg>"])


def _row(bar: Bar, top: int, start: int, whole: int) -> str:
    room = _WIDTH - 2 * _MARGIN
    left, width = start * room / whole, max(bar.amount * room / whole, 1.0)
    name = _shorten(bar.name, room - _wide(bar.figure) - 12)
    return (
        f'<g class="{bar.tone}"><text x="{_MARGIN}" y="{top + _LINE}">{escape(name)}</text>'
        f'<text class="figure" x="{_WIDTH - _MARGIN}" y="{top + _LINE}">{escape(bar.figure)}</text>'
        f'<rect x="{_MARGIN + left:.1f}" y="{top + _LINE + 5}" width="{width:.1f}" height="{_BAR}"/></g>'
    )


def _wide(text: str) -> float:
    return sum(_SIGN_WIDTH if sign.isascii() else 2 * _SIGN_WIDTH for sign in text)


def _shorten(text: str, room: float) -> str:
    """Shortens a name, keeping its end, where serial numbers differ."""
    if _wide(text) <= room:
        return text
    while text and _wide(text) + _SIGN_WIDTH > room:
        text = text[1:]
    return "…" + text
