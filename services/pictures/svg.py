"""Draws a genealogy as one self-contained SVG file, without scripts, fonts or external resources, or upright as an
element of a web page.

Screen readers get the title, the summary and the full text of every box. Nothing is conveyed by colour alone: words,
line styles and a cross say the same.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TypeAlias

from millmark.ledger.errors import GenealogyError
from millmark.ledger.provenance import sort_lots
from millmark.services.pictures.family import Family, Link, Node, Tone

# Layered graph layout, from left to right.
#
# After Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical system structures" (IEEE
# Transactions on Systems, Man, and Cybernetics 11(2), 1981): layers by longest path, wires over several layers bent at
# dummy nodes, order within a layer by the mean position of neighbours; then positions by least squares under minimum
# distances (pool adjacent violators). Deterministic; meant for up to a few hundred boxes.

_SWEEPS = 12
_DUMMY_PX = 8.0
"""Height of a dummy node, in pixels."""


@dataclass(frozen=True, slots=True)
class Wire:
    """A link, and the points it passes from left to right: for each, its layer and its position there in pixels."""

    link: Link
    onward: bool
    """Whether the link starts on the left."""
    points: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """Positions of boxes: layer counted from the left, and middle of the box in pixels from the top."""

    layers: int
    height: float
    places: dict[str, tuple[int, float]]
    wires: tuple[Wire, ...]


@dataclass(slots=True)
class _Grid:
    """Boxes and dummy nodes layer by layer, with their neighbours on either side."""

    layers: list[list[str]]
    left: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    right: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


def place(family: Family, heights: dict[str, float], gap: float) -> Layout:
    """Computes the layout. `heights` are those of the boxes by key, `gap` the space between boxes, in pixels."""
    links = _oriented(family)
    layers = _layers(list(family.nodes), links)
    grid, bends = _build_grid(layers, links)
    _order(grid)
    middles = _settle(grid, heights, gap)
    size = max(middles[key] + heights[key] / 2 for key in family.nodes)
    at = {key: (layers[key], middles[key]) for key in family.nodes}
    return Layout(max(layers.values()) + 1, size, at, _wires(family, links, layers, bends, middles))


def _oriented(family: Family) -> list[tuple[str, str]]:
    """The links as (left, right). If packing or late rework makes a cycle, because a lot is packed in what it was made
    from, these are oriented along the steps, so that some links run leftwards."""
    plain = [(link.before, link.after) for link in family.links]
    if _is_sortable(plain):
        return plain
    made = [(link.before, link.after) for link in family.links if not (link.packed or link.late)]
    rank = _longest(list(family.nodes), made)
    return [(left, right) if rank[left] <= rank[right] else (right, left) for left, right in plain]


def _is_sortable(links: Sequence[tuple[str, str]]) -> bool:
    try:
        sort_lots(links)
    except GenealogyError:
        return False
    return True


def _longest(keys: Collection[str], links: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Length of the longest path to each key, in links."""
    before: dict[str, list[str]] = defaultdict(list)
    for left, right in links:
        before[right].append(left)
    rank = dict.fromkeys(keys, 0)
    for key in sort_lots(links):
        rank[key] = max((rank[left] + 1 for left in before[key]), default=0)
    return rank


def _layers(keys: Collection[str], links: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Layers by longest path. Sources move right, next to the first node that they lead to."""
    layers = _longest(keys, links)
    reached = {right for _, right in links}
    after: dict[str, list[str]] = defaultdict(list)
    for left, right in links:
        after[left].append(right)
    for key in keys:
        if key not in reached and after[key]:
            layers[key] = min(layers[right] for right in after[key]) - 1
    return layers


def _build_grid(
    layers: dict[str, int], links: Sequence[tuple[str, str]]
) -> tuple[_Grid, dict[tuple[str, str], list[str]]]:
    grid = _Grid([[] for _ in range(max(layers.values()) + 1)])
    for key, layer in layers.items():
        grid.layers[layer].append(key)
    bends: dict[tuple[str, str], list[str]] = {}
    # A pair of boxes may have two links, a step and a packing; they share their dummies.
    for left, right in dict.fromkeys(links):
        between = range(layers[left] + 1, layers[right])
        bends[left, right] = [f"{left} {right} {layer}" for layer in between]
        for layer, dummy in zip(between, bends[left, right], strict=True):
            grid.layers[layer].append(dummy)
        way = [left, *bends[left, right], right]
        for one, other in itertools.pairwise(way):
            grid.right[one].append(other)
            grid.left[other].append(one)
    return grid, bends


def _order(grid: _Grid) -> None:
    """Sorts each layer by the mean position of the neighbours in the previous layer, in sweeps to and fro."""
    for sweep in range(_SWEEPS):
        forth = sweep % 2 == 0
        neighbours = grid.left if forth else grid.right
        layers = grid.layers if forth else grid.layers[::-1]
        for before, layer in itertools.pairwise(layers):
            at = {key: place for place, key in enumerate(before)}
            mean = {key: _mean([at[other] for other in neighbours[key]], place) for place, key in enumerate(layer)}
            layer.sort(key=mean.__getitem__)  # stable: ties keep the order of the previous sweep


def _settle(grid: _Grid, heights: dict[str, float], gap: float) -> dict[str, float]:
    """Middles in pixels: each box as close to the mean of its neighbours as order and distances allow."""
    middles: dict[str, float] = {}
    offsets = {}
    for number, layer in enumerate(grid.layers):
        offsets[number] = _stack([heights.get(key, _DUMMY_PX) for key in layer], gap)
        middles.update(zip(layer, offsets[number], strict=True))
    for sweep in range(_SWEEPS):
        order = range(len(grid.layers)) if sweep % 2 == 0 else range(len(grid.layers) - 1, -1, -1)
        for number in order:
            layer = grid.layers[number]
            wished = [
                _mean([middles[other] for other in grid.left[key] + grid.right[key]], middles[key]) for key in layer
            ]
            middles.update(zip(layer, _apart(wished, offsets[number]), strict=True))
    top = min(middles[key] - heights.get(key, _DUMMY_PX) / 2 for key in middles)
    return {key: middle - top for key, middle in middles.items()}


def _stack(heights: Sequence[float], gap: float) -> list[float]:
    """Middles of boxes stacked from zero."""
    found, edge = [], 0.0
    for height in heights:
        found.append(edge + height / 2)
        edge += height + gap
    return found


def _apart(wished: Sequence[float], offsets: Sequence[float]) -> list[float]:
    """The positions closest to the wished ones (least squares) whose distances are at least those of `offsets`."""
    # Pool adjacent violators: with the offsets subtracted, positions must not decrease. Neighbouring pools whose means
    # are out of order are merged, and every member of a pool gets its mean.
    pools: list[tuple[float, int]] = []
    for wish, offset in zip(wished, offsets, strict=True):
        total, count = wish - offset, 1
        while pools and pools[-1][0] / pools[-1][1] > total / count:
            before = pools.pop()
            total, count = total + before[0], count + before[1]
        pools.append((total, count))
    level = [total / count for total, count in pools for _ in range(count)]
    return [one + offset for one, offset in zip(level, offsets, strict=True)]


def _wires(
    family: Family,
    links: Sequence[tuple[str, str]],
    layers: dict[str, int],
    bends: dict[tuple[str, str], list[str]],
    middles: dict[str, float],
) -> tuple[Wire, ...]:
    wires = []
    for link, (left, right) in zip(family.links, links, strict=True):
        way = [left, *bends[left, right], right]
        onward = left == link.before
        wires.append(Wire(link, onward, tuple((layers[left] + step, middles[key]) for step, key in enumerate(way))))
    return tuple(wires)


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


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


# Draws a genealogy from top to bottom, as a narrow SVG element for a web page: ancestors above, the part below.
#
# The page's style sheet styles the classes of the tones.

_UPRIGHT_BOX, _UPRIGHT_STEP = 138, 116
_UPRIGHT_LINE, _UPRIGHT_PAD, _UPRIGHT_MARGIN = 15, 8, 4
_UPRIGHT_GAP, _UPRIGHT_AISLE = 12, 26
"""Space between the boxes of a layer, and between layers, in pixels."""
_UPRIGHT_SIGN = 6.2
"""Average width of an ASCII character at 11 pixels; other characters count twice."""
_Rows: TypeAlias = "list[tuple[float, float]]"


def draw_upright(family: Family, language: str) -> str:
    """The SVG element: lots as boxes, steps as rounded boxes, packing as dashed lines. Long texts are shortened."""
    layout = place(family, {key: float(_upright_width(node)) for key, node in family.nodes.items()}, _UPRIGHT_GAP)
    rows = _upright_rows(family, layout)
    width, height = layout.height + 2 * _UPRIGHT_MARGIN, rows[-1][0] + rows[-1][1] + _UPRIGHT_MARGIN
    title, summary = escape(family.title), escape(" ".join(family.summary))
    return "".join(
        [
            f'<svg class="genealogy" role="img" aria-labelledby="g-title g-summary" lang="{language}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}">',
            f'<title id="g-title">{title}</title><desc id="g-summary">{summary}</desc>',
            *(_upright_wire(family, rows, wire) for wire in layout.wires),
            *(
                _upright_box(node, rows[layout.places[key][0]], layout.places[key][1])
                for key, node in family.nodes.items()
            ),
            "</svg>",
        ]
    )


def _upright_rows(family: Family, layout: Layout) -> _Rows:
    """Upper edge and height of each layer; a layer is as high as its highest box."""
    heights = [0.0] * layout.layers
    for key, (layer, _) in layout.places.items():
        heights[layer] = max(heights[layer], _upright_height(family.nodes[key]))
    edges = itertools.accumulate((height + _UPRIGHT_AISLE for height in heights), initial=float(_UPRIGHT_MARGIN))
    return list(zip(edges, heights, strict=False))


def _upright_width(node: Node) -> int:
    return _UPRIGHT_STEP if node.tone is Tone.STEP else _UPRIGHT_BOX


def _upright_height(node: Node) -> float:
    return len(node.lines) * _UPRIGHT_LINE + 2 * _UPRIGHT_PAD


def _upright_wire(family: Family, rows: _Rows, wire: Wire) -> str:
    """A path from the upper box's lower edge to the lower box's upper edge, straight through layers between."""
    ends = [wire.link.before, wire.link.after]
    first, last = (_upright_height(family.nodes[key]) for key in (ends if wire.onward else ends[::-1]))
    stops: list[tuple[float, float]] = []
    for layer, middle in wire.points:
        edge, height = rows[layer]
        stops += [(middle + _UPRIGHT_MARGIN, edge), (middle + _UPRIGHT_MARGIN, edge + height)]
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


def _upright_box(node: Node, row: tuple[float, float], middle: float) -> str:
    width, height = _upright_width(node), _upright_height(node)
    x, y = middle + _UPRIGHT_MARGIN - width / 2, row[0] + (row[1] - height) / 2
    curve = height / 2 if node.tone is Tone.STEP else 6
    mark = f'<text class="mark" x="{x + width - 9:.1f}" y="{y + 14:.1f}">✕</text>' if node.bad else ""
    rooms = (
        width - (4 if node.bad else 2) * _UPRIGHT_PAD,
        width - 2 * _UPRIGHT_PAD,
    )  # for the name, and for what follows
    lines = "".join(
        f'<text class="{"line" if number else "name"}" x="{x + width / 2:.1f}" '
        f'y="{y + _UPRIGHT_PAD + 11 + number * _UPRIGHT_LINE:.1f}">'
        f"{escape(_cut(line, rooms[number > 0], name=not number))}</text>"
        for number, line in enumerate(node.lines)
    )
    return (
        f'<g class="{node.classes}"><title>{escape(", ".join(node.lines))}</title><rect x="{x:.1f}" y="{y:.1f}" '
        f'width="{width}" height="{height:.0f}" rx="{curve:.0f}"/>{mark}{lines}</g>'
    )


def _cut(line: str, room: float, *, name: bool) -> str:
    """Shortens a line. A name keeps its end, where serial numbers differ; other text keeps its beginning."""
    for kept, sign in enumerate(reversed(line) if name else line):
        room -= _UPRIGHT_SIGN if sign.isascii() else 2 * _UPRIGHT_SIGN
        if room < _UPRIGHT_SIGN and kept + 1 < len(line):
            return f"…{line[len(line) - kept :]}" if name else f"{line[:kept]}…"
    return line
