"""Draws a measured window as a line: one small SVG element, of bounded size however long the window is.

A window that is longer than the drawing is wide is drawn by the least and the greatest value of each column, so that no
spike is lost. The values themselves are not in the picture: the page has them as text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

COLUMNS = 150
"""Most columns of a drawing."""
_HEIGHT, _PAD = 60, 3


def draw_window(values: Sequence[int], label: str, columns: int = COLUMNS) -> str:
    """The SVG element. `label` is its text for screen readers. An empty window has no line, a constant one a level line
    in the middle."""
    width = 2 * columns
    path = _path(values, columns)
    line = f'<path d="{path}"/>' if path else ""
    return (
        f'<svg class="window" role="img" aria-label="{escape(label)}" viewBox="0 0 {width} {_HEIGHT}" '
        f'width="{width}" height="{_HEIGHT}" preserveAspectRatio="none">{line}</svg>'
    )


def _path(values: Sequence[int], columns: int) -> str:
    if not values:
        return ""
    low, high = min(values), max(values)
    if len(values) == 1 or low == high:
        return f"M0 {_HEIGHT // 2}H{2 * columns}"
    # Integers all the way: values have up to 53 bits.
    room, span, last = _HEIGHT - 2 * _PAD, high - low, len(values) - 1
    points = [
        (2 * columns * place // last, _PAD + room - room * (values[place] - low) // span)
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
