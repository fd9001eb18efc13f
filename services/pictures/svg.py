"""Draws a genealogy as one self-contained SVG file: no scripts, fonts or external resources.

Screen readers get the title, the summary and the full text of every box. Nothing is conveyed by colour alone: words,
line styles and a cross say the same.
"""

from __future__ import annotations

import itertools
from html import escape
from typing import TypeAlias

from millmark.services.pictures.family import Family, Node, Tone
from millmark.services.pictures.layout import Layout, Wire, place

_BOX_WIDTH, _STEP_WIDTH = 270, 156
_LINE, _PAD, _MARGIN = 16, 10, 24
_GAP, _AISLE = 14, 56
"""Space between the boxes of a layer, and between layers, in pixels."""
_LEAST_WIDTH = 640
_SIGN_WIDTH, _BOLD_SIGN_WIDTH = 7.4, 8.4
"""Average width of a character at 12 pixels."""
_BOLD = ' class="n"'
_Columns: TypeAlias = "list[tuple[int, int]]"
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#1c2733}.n{font-weight:600}.h{font-size:16px;font-weight:600}"
    "rect{stroke:#5b6b7c;fill:#fff}.asked rect{fill:#dbe9ff;stroke:#1f4e9c;stroke-width:2.5}"
    ".bad rect{fill:#ffe3dc;stroke:#a3240c}.x{fill:#a3240c;font-weight:600}"
    ".spent rect{stroke-dasharray:6 3}.step rect{fill:#eef1f4}"
    "path{fill:none;stroke:#5b6b7c;stroke-width:1.3}.packed{stroke-dasharray:3 4}"
)


def draw_svg(family: Family) -> str:
    """The SVG document: time from left to right, lots as boxes, steps as rounded boxes, packing as dashed lines."""
    heights = {key: float(len(node.lines) * _LINE + 2 * _PAD) for key, node in family.nodes.items()}
    layout = place(family, heights, _GAP)
    top = _MARGIN + 2 * _LINE + len(family.summary) * _LINE
    columns = _columns(family, layout)
    width = max(columns[-1][0] + columns[-1][1] + _MARGIN, _LEAST_WIDTH)
    height = top + layout.height + _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" xml:lang="en" role="img" aria-labelledby="title summary" '
        f'viewBox="0 0 {width} {height:.0f}" width="{width}" height="{height:.0f}">',
        f'<title id="title">{_text(family.title)}</title><desc id="summary">{_text(" ".join(family.summary))}</desc>',
        f"<style>{_STYLE}</style>",
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" style="fill:#5b6b7c;stroke:none"/></marker></defs>',
        f'<rect width="{width}" height="{height:.0f}" style="fill:#fff;stroke:none"/>',
        f'<text class="h" x="{_MARGIN}" y="{_MARGIN + 10}">{_text(_shorten(family.title, int(width / 11)))}</text>',
        *(
            f'<text x="{_MARGIN}" y="{_MARGIN + 16 + number * _LINE}">{_text(line)}</text>'
            for number, line in enumerate(family.summary, 1)
        ),
        f'<g transform="translate(0 {top})">',
        *(_wire(family, columns, wire) for wire in layout.wires),
        *(_box(node, columns, layout.places[node.key], heights[node.key]) for node in family.nodes.values()),
        "</g></svg>\n",
    ]
    return "\n".join(parts)


def _columns(family: Family, layout: Layout) -> list[tuple[int, int]]:
    """Left edge and width of each layer, in pixels; a layer is as wide as its widest box."""
    widths = [0] * layout.layers
    for key, (layer, _) in layout.places.items():
        widths[layer] = max(widths[layer], _width(family.nodes[key]))
    columns, edge = [], _MARGIN
    for width in widths:
        columns.append((edge, width))
        edge += width + _AISLE
    return columns


def _width(node: Node) -> int:
    return _STEP_WIDTH if node.tone is Tone.STEP else _BOX_WIDTH


def _wire(family: Family, columns: _Columns, wire: Wire) -> str:
    """A path from the right edge of the left box to the left edge of the right one, straight through layers between."""
    ends = [wire.link.before, wire.link.after]
    first, last = (_width(family.nodes[key]) for key in (ends if wire.onward else ends[::-1]))
    stops: list[tuple[float, float]] = []
    for layer, middle in wire.points:
        edge, width = columns[layer]
        stops += [(edge, middle), (edge + width, middle)]
    # Boxes are centred in their layer, so the ends of a wire move from the layer's edge to that of the box.
    stops = stops[1:-1]
    stops[0] = (columns[wire.points[0][0]][0] + (columns[wire.points[0][0]][1] + first) / 2, stops[0][1])
    stops[-1] = (columns[wire.points[-1][0]][0] + (columns[wire.points[-1][0]][1] - last) / 2, stops[-1][1])
    path = f"M{stops[0][0]:.1f} {stops[0][1]:.1f}"
    for (x, y), (to_x, to_y) in itertools.pairwise(stops):
        half = (x + to_x) / 2
        path += f"C{half:.1f} {y:.1f} {half:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}" if y != to_y else f"H{to_x:.1f}"
    looks = 'class="packed"' if wire.link.packed else 'marker-end="url(#arrow)"'
    return f'<path d="{path}" {looks}/>'


def _box(node: Node, columns: _Columns, at: tuple[int, float], height: float) -> str:
    width = _width(node)
    edge, column = columns[at[0]]
    x, y = edge + (column - width) / 2, at[1] - height / 2
    curve = height / 2 if node.tone is Tone.STEP else 4
    room = width - 2 * _PAD - (_LINE if node.bad else 0)
    mark = f'<text class="x" x="{x + width - _PAD - 8:.1f}" y="{y + _PAD + 12:.1f}">✕</text>' if node.bad else ""
    lines = "".join(
        f'<text{"" if number else _BOLD} x="{x + _PAD:.1f}" y="{y + _PAD + 12 + number * _LINE:.1f}">'
        f"{_text(_shorten(line, int(room / (_SIGN_WIDTH if number else _BOLD_SIGN_WIDTH))))}</text>"
        for number, line in enumerate(node.lines)
    )
    return (
        f'<g class="{node.classes}"><title>{_text(", ".join(node.lines))}</title><rect x="{x:.1f}" y="{y:.1f}" '
        f'width="{width}" height="{height:.0f}" rx="{curve:.0f}"/>{mark}{lines}</g>'
    )


def _shorten(line: str, room: int) -> str:
    """Shortens a line, keeping its end, where serial numbers differ."""
    return line if len(line) <= room else "…" + line[len(line) - room + 1 :]


def _text(line: str) -> str:
    """Escapes text for XML. Characters that XML 1.0 cannot represent become U+FFFD."""
    return escape("".join(sign if sign.isprintable() else "\ufffd" for sign in line))
