"""Draws a genealogy from top to bottom, as a narrow SVG element for a web page: ancestors above, the part below.

The page's style sheet styles the classes of the tones. Screen readers get the title, the summary and the full text of
every box.
"""

from __future__ import annotations

import itertools
from html import escape
from typing import TypeAlias

from millmark.services.pictures.family import Family, Node, Tone
from millmark.services.pictures.layout import Layout, Wire, place

_BOX_WIDTH, _STEP_WIDTH = 138, 116
_LINE, _PAD, _MARGIN = 15, 8, 4
_GAP, _AISLE = 12, 26
"""Space between the boxes of a layer, and between layers, in pixels."""
_SIGN_WIDTH = 6.2
"""Average width of an ASCII character at 11 pixels; other characters count twice."""
_Rows: TypeAlias = "list[tuple[float, float]]"


def draw_upright(family: Family, language: str) -> str:
    """The SVG element: lots as boxes, steps as rounded boxes, packing as dashed lines. Long texts are shortened."""
    layout = place(family, {key: float(_width(node)) for key, node in family.nodes.items()}, _GAP)
    rows = _rows(family, layout)
    width, height = layout.height + 2 * _MARGIN, rows[-1][0] + rows[-1][1] + _MARGIN
    title, summary = escape(family.title), escape(" ".join(family.summary))
    return "".join(
        [
            f'<svg class="genealogy" role="img" aria-labelledby="g-title g-summary" lang="{language}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}">',
            f'<title id="g-title">{title}</title><desc id="g-summary">{summary}</desc>',
            *(_wire(family, rows, wire) for wire in layout.wires),
            *(_box(node, rows[layout.places[key][0]], layout.places[key][1]) for key, node in family.nodes.items()),
            "</svg>",
        ]
    )


def _rows(family: Family, layout: Layout) -> _Rows:
    """Upper edge and height of each layer; a layer is as high as its highest box."""
    heights = [0.0] * layout.layers
    for key, (layer, _) in layout.places.items():
        heights[layer] = max(heights[layer], _height(family.nodes[key]))
    edges = itertools.accumulate((height + _AISLE for height in heights), initial=float(_MARGIN))
    return list(zip(edges, heights, strict=False))


def _width(node: Node) -> int:
    return _STEP_WIDTH if node.tone is Tone.STEP else _BOX_WIDTH


def _height(node: Node) -> float:
    return len(node.lines) * _LINE + 2 * _PAD


def _wire(family: Family, rows: _Rows, wire: Wire) -> str:
    """A path from the upper box's lower edge to the lower box's upper edge, straight through layers between."""
    ends = [wire.link.before, wire.link.after]
    first, last = (_height(family.nodes[key]) for key in (ends if wire.onward else ends[::-1]))
    stops: list[tuple[float, float]] = []
    for layer, middle in wire.points:
        edge, height = rows[layer]
        stops += [(middle + _MARGIN, edge), (middle + _MARGIN, edge + height)]
    # Boxes are centred in their layer, so the ends of a wire move from the layer's edge to that of the box.
    stops = stops[1:-1]
    upper, lower = rows[wire.points[0][0]], rows[wire.points[-1][0]]
    stops[0] = (stops[0][0], upper[0] + (upper[1] + first) / 2)
    stops[-1] = (stops[-1][0], lower[0] + (lower[1] - last) / 2)
    path = f"M{stops[0][0]:.1f} {stops[0][1]:.1f}"
    for (x, y), (to_x, to_y) in itertools.pairwise(stops):
        half = (y + to_y) / 2
        path += f"C{x:.1f} {half:.1f} {to_x:.1f} {half:.1f} {to_x:.1f} {to_y:.1f}" if x != to_x else f"V{to_y:.1f}"
    return f'<path class="{"packed" if wire.link.packed else "flow"}" d="{path}"/>'


def _box(node: Node, row: tuple[float, float], middle: float) -> str:
    width, height = _width(node), _height(node)
    x, y = middle + _MARGIN - width / 2, row[0] + (row[1] - height) / 2
    curve = height / 2 if node.tone is Tone.STEP else 6
    mark = f'<text class="mark" x="{x + width - 9:.1f}" y="{y + 14:.1f}">✕</text>' if node.bad else ""
    rooms = (width - (4 if node.bad else 2) * _PAD, width - 2 * _PAD)  # for the name, and for what follows
    lines = "".join(
        f'<text class="{"line" if number else "name"}" x="{x + width / 2:.1f}" '
        f'y="{y + _PAD + 11 + number * _LINE:.1f}">{escape(_cut(line, rooms[number > 0], name=not number))}</text>'
        for number, line in enumerate(node.lines)
    )
    return (
        f'<g class="{node.classes}"><title>{escape(", ".join(node.lines))}</title><rect x="{x:.1f}" y="{y:.1f}" '
        f'width="{width}" height="{height:.0f}" rx="{curve:.0f}"/>{mark}{lines}</g>'
    )


def _cut(line: str, room: float, *, name: bool) -> str:
    """Shortens a line. A name keeps its end, where serial numbers differ; other text keeps its beginning."""
    for kept, sign in enumerate(reversed(line) if name else line):
        room -= _SIGN_WIDTH if sign.isascii() else 2 * _SIGN_WIDTH
        if room < _SIGN_WIDTH and kept + 1 < len(line):
            return f"…{line[len(line) - kept :]}" if name else f"{line[:kept]}…"
    return line
