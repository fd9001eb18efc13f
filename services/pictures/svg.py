"""A genealogy as one SVG file that stands alone: no script, no font, nothing loaded.

Title, summary and the full text of every box are there for screen readers; what colour says, words and line styles say
as well.
"""

from __future__ import annotations

import itertools
from xml.sax.saxutils import escape, quoteattr

from services.pictures.family import Family, Node, Tone
from services.pictures.layout import Layout, Wire, place

__all__ = ["draw_svg"]

_BOX_WIDTH, _STEP_WIDTH = 250, 110
_COLUMN = 300
"""From the left edge of one layer's boxes to that of the next, in pixels."""
_LINE, _PAD, _GAP, _MARGIN, _HEADER = 16, 10, 14, 24, 64
_SIGN_WIDTH = 6.6
"""Of a character at 12 pixels, on average."""
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#1c2733}.n{font-weight:600}.h{font-size:16px;font-weight:600}"
    "rect{stroke:#5b6b7c;fill:#fff}.asked rect{fill:#dbe9ff;stroke:#1f4e9c;stroke-width:2.5}"
    ".stopped rect{fill:#ffe3dc;stroke:#a3240c;stroke-width:2;stroke-dasharray:6 3}.step rect{fill:#eef1f4}"
    "path{fill:none;stroke:#5b6b7c;stroke-width:1.3}.packed{stroke-dasharray:3 4}"
)


def draw_svg(family: Family) -> str:
    """Time runs from left to right: lots as boxes, steps as rounded ones, packing as dashed lines."""
    heights = {key: float(len(node.lines) * _LINE + 2 * _PAD) for key, node in family.nodes.items()}
    layout = place(family, heights, _GAP)
    width = max(layout.layers * _COLUMN + 2 * _MARGIN, 640)
    height = layout.height + _HEADER + 2 * _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" xml:lang="en" role="img" aria-labelledby="title summary" '
        f'viewBox="0 0 {width} {height:.0f}" width="{width}" height="{height:.0f}">',
        f'<title id="title">{_text(family.title)}</title><desc id="summary">{_text(family.summary)}</desc>',
        f"<style>{_STYLE}</style>",
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" style="fill:#5b6b7c;stroke:none"/></marker></defs>',
        f'<rect width="{width}" height="{height:.0f}" style="fill:#fff;stroke:none"/>',
        f'<text class="h" x="{_MARGIN}" y="{_MARGIN + 10}">{_text(family.title)}</text>',
        f'<text x="{_MARGIN}" y="{_MARGIN + 32}">{_text(family.summary)}</text>',
        *(_wire(family, layout, wire) for wire in layout.wires),
        *(_box(node, layout.places[node.key], heights[node.key]) for node in family.nodes.values()),
        "</svg>\n",
    ]
    return "\n".join(parts)


def _left(node_width: float, layer: int) -> float:
    return _MARGIN + layer * _COLUMN + (_BOX_WIDTH - node_width) / 2


def _width(node: Node) -> int:
    return _STEP_WIDTH if node.tone is Tone.STEP else _BOX_WIDTH


def _wire(family: Family, layout: Layout, wire: Wire) -> str:
    """From the right edge of the left box to the left edge of the right one, level at each bend."""
    ends = (wire.link.before, wire.link.after)
    if layout.places[ends[0]][0] > layout.places[ends[1]][0]:
        ends = ends[::-1]
    first, last = (_width(family.nodes[key]) for key in ends)
    stops = [(_left(0, layer), middle + _HEADER + _MARGIN) for layer, middle in wire.points]
    stops[0] = (stops[0][0] + first / 2, stops[0][1])
    stops[-1] = (stops[-1][0] - last / 2, stops[-1][1])
    path = f"M{stops[0][0]:.1f} {stops[0][1]:.1f}"
    for (x, y), (to_x, to_y) in itertools.pairwise(stops):
        half = (x + to_x) / 2
        path += f"C{half:.1f} {y:.1f} {half:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}"
    looks = 'class="packed"' if wire.link.packed else 'marker-end="url(#arrow)"'
    return f'<path d="{path}" {looks}/>'


def _box(node: Node, at: tuple[int, float], height: float) -> str:
    width = _width(node)
    x, y = _left(width, at[0]), at[1] - height / 2 + _HEADER + _MARGIN
    round_ = f' rx="{height / 2:.0f}"' if node.tone is Tone.STEP else ' rx="4"'
    room = int((width - 2 * _PAD) / _SIGN_WIDTH)
    lines = "".join(
        f'<text {"class=" + quoteattr("n") if number == 0 else ""} x="{x + _PAD:.1f}" '
        f'y="{y + _PAD + 12 + number * _LINE:.1f}">{_text(_shorten(line, room))}</text>'
        for number, line in enumerate(node.lines)
    )
    whole = _text(", ".join(node.lines))
    return (
        f'<g class="{node.tone.value}"><title>{whole}</title><rect x="{x:.1f}" y="{y:.1f}" width="{width}" '
        f'height="{height:.0f}"{round_}/>{lines}</g>'
    )


def _shorten(line: str, room: int) -> str:
    """Keeps the end: it tells serial numbers apart."""
    return line if len(line) <= room else "…" + line[len(line) - room + 1 :]


def _text(line: str) -> str:
    """As XML text. Signs that XML 1.0 has no way to write become U+FFFD."""
    return escape("".join(sign if sign.isprintable() else "\ufffd" for sign in line))
