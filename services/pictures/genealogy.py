"""Draws genealogies: the graph of lots and steps in a trace, as one SVG element for a web page, ancestors above.

draw_genealogy(build_family(trace(store, identifier), words), "en")

Screen readers get the title, the summary and the full text of every box. Nothing is conveyed by colour alone: words,
line styles and a cross say the same.
"""

from __future__ import annotations

import enum
import itertools
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from typing import Protocol, TypeAlias

from millmark.ledger.errors import GenealogyError
from millmark.ledger.provenance import OrderTrace, Trace, sort_lots
from millmark.ledger.provenance.answers import AsOf, Cut, Machine, Party, RelatedLot, Transformation
from millmark.ledger.records import CertificateStatus, LotState, Verdict
from millmark.ledger.store.rows import StepKind


class Tone(enum.Enum):
    """Kind of a node, which determines its border."""

    ASKED = "asked"
    LOT = "lot"
    STEP = "step"
    OWN = "own"
    """In a recall: a lot that the company itself has."""
    AWAY = "away"
    """In a recall: a lot that another company has."""


@dataclass(frozen=True, slots=True)
class Node:
    """A lot or a transformation."""

    key: str
    lines: tuple[str, ...]
    """Name, followed by the description."""
    tone: Tone
    bad: bool = False
    """Whether it failed, or must not be used as it stands: drawn in red, with a cross."""
    spent: bool = False
    """Whether nothing is left of it: drawn with a dashed border."""

    @property
    def classes(self) -> str:
        """The classes of its box."""
        return self.tone.value + " bad" * self.bad + " spent" * self.spent


@dataclass(frozen=True, slots=True)
class Link:
    """A link between two nodes: the first goes into the second or, if `packed`, is packed in it."""

    before: str
    after: str
    packed: bool = False
    late: bool = False
    """Whether it belongs to a rework of a lot that kept its identifier, for which that lot may have given material."""


@dataclass(frozen=True, slots=True)
class Family:
    """The graph of one trace. Links of steps form no cycle, except late ones. Late links and those of packing may run
    against the others."""

    title: str
    summary: tuple[str, ...]
    """Sentences with counts and block, then with what was cut off."""
    roots: tuple[str, ...]
    """Keys of the traced lots."""
    nodes: dict[str, Node]
    links: tuple[Link, ...]


class Words(Protocol):
    """The texts of a picture, in the reader's language."""

    def title(self, trace: Trace | OrderTrace, name: str) -> str: ...

    def reach(self) -> str:
        """The title of what a recall reached."""

    def name(self, identifier: str | None, subject: bytes) -> str: ...

    def held(self, holder: Party) -> str: ...

    def party(self, party: Party) -> str: ...

    def state(self, quantity: int, unit: str, state: LotState) -> str: ...

    def judged(self, verdict: Verdict, status: CertificateStatus) -> str:
        """The text about a certificate, which follows the lot's state; a line feed in it starts a new line."""

    def made_on(self, machine: Machine) -> str: ...

    def step(self, step: Transformation) -> str: ...

    def summary(self, lots: int, steps: int, as_of: AsOf) -> str: ...

    def cut(self, cut: Cut) -> str: ...


_WITHDRAWN = (
    CertificateStatus.REVOKED,
    CertificateStatus.FALLEN,
    CertificateStatus.REFUTED,
    CertificateStatus.UNOPENED,
)
"""What also counts against a lot that is used up: it never should have passed. To expire, or to be voided by a rework,
does not."""


def build_family(trace: Trace | OrderTrace, words: Words, stopped: Collection[bytes] = frozenset()) -> Family:
    """Builds the graph of a trace. Lots that the trace lacks are left out, as are steps without any lot on one side.
    `stopped`: lots that were called back, which are drawn like those in quarantine."""
    asked, lots = _lots(trace, words)
    nodes = {node.key: node for node in [*asked, *lots]}
    for key in map(_key, stopped):
        if key in nodes:
            nodes[key] = replace(nodes[key], bad=True)
    steps, links = _steps(trace.transformations, nodes, words)
    nodes.update(steps)
    links.extend(_packings(trace, nodes))
    name = trace.lot.identifier if isinstance(trace, Trace) else trace.order.identifier
    subject = trace.lot.subject if isinstance(trace, Trace) else trace.order.subject
    title = words.title(trace, name or _key(subject))
    counted = words.summary(len(nodes) - len(steps), len(steps), trace.as_of)
    summary = (counted, *(words.cut(cut) for cut in trace.cuts))
    return Family(title, summary, tuple(node.key for node in asked), nodes, tuple(links))


def build_reach(
    lots: Sequence[RelatedLot],
    as_of: AsOf,
    steps: Iterable[Transformation],
    company: int | None,
    words: Words,
    most: int = 60,
) -> Family:
    """Builds the graph of what a recall reached, by who has it: `company` itself, another company, or nobody any more.
    Only the `most` lots nearest to the cause are in it, and the steps between them."""
    shown = lots[:most]
    nodes = {_key(lot.subject): _reached(lot, company, words) for lot in shown}
    made, links = _steps(steps, nodes, words)
    parents = {lot.subject: lot.parent for lot in shown if lot.parent is not None}
    links += [Link(_key(lot), _key(parent), packed=True) for lot, parent in parents.items() if _key(parent) in nodes]
    roots = tuple(_key(lot.subject) for lot in shown if not lot.depth)
    counted = words.summary(len(nodes), len(made), as_of)
    cuts = (Cut("lots", "lots", most),) if len(lots) > most else ()
    summary = (counted, *(words.cut(cut) for cut in cuts))
    return Family(words.reach(), summary, roots, {**nodes, **made}, tuple(links))


def _reached(lot: RelatedLot, company: int | None, words: Words) -> Node:
    tone = Tone.OWN if lot.holder.participant == company else Tone.AWAY
    return _related(lot, Tone.LOT if lot.state is LotState.SPENT else tone, words)


def _lots(trace: Trace | OrderTrace, words: Words) -> tuple[list[Node], list[Node]]:
    if isinstance(trace, OrderTrace):
        asked = [_related(lot, Tone.ASKED, words) for lot in trace.lots]
        around: Iterable[RelatedLot] = (*trace.upstream, *trace.downstream)
    else:
        asked = [_asked(trace, words)]
        around = (*trace.packed_in, *trace.contents, *trace.upstream, *trace.downstream)
    known = {one.key for one in asked}
    return asked, [_related(lot, Tone.LOT, words) for lot in around if _key(lot.subject) not in known]


def _steps(
    transformations: Iterable[Transformation], lots: dict[str, Node], words: Words
) -> tuple[dict[str, Node], list[Link]]:
    nodes: dict[str, Node] = {}
    links: list[Link] = []
    for step in transformations:
        taken = [key for key in (_key(item.lot) for item in step.inputs) if key in lots]
        made = [key for key in (_key(item.lot) for item in step.outputs) if key in lots]
        if not taken or not made:
            continue
        key = f"step-{step.sequence}"
        nodes[key] = Node(key, (words.step(step), words.party(step.participant)), Tone.STEP)
        late = step.kind is StepKind.REWORK
        links += [*(Link(lot, key, late=late) for lot in taken), *(Link(key, lot, late=late) for lot in made)]
    return nodes, links


def _packings(trace: Trace | OrderTrace, lots: dict[str, Node]) -> Iterator[Link]:
    """Links from each lot to the lot it is packed in, if the trace has both."""
    if isinstance(trace, OrderTrace):
        pairs = {lot.subject: lot.parent for lot in trace.lots}
    else:
        pairs = {lot.subject: lot.parent for lot in (*trace.packed_in, *trace.contents)}
        pairs[trace.lot.subject] = trace.lot.parent
    for lot, parent in pairs.items():
        if parent is not None and _key(parent) in lots:
            yield Link(_key(lot), _key(parent), packed=True)


def _asked(trace: Trace, words: Words) -> Node:
    lot = trace.lot
    what = words.state(lot.quantity, lot.unit, lot.state)
    latest = [one for one in trace.certificates if one.latest]
    what += "".join(words.judged(one.verdict, one.status) for one in latest)
    return Node(
        _key(lot.subject),
        (words.name(lot.identifier, lot.subject), *what.split("\n"), words.held(lot.holder)),
        Tone.ASKED,
        bad=lot.state.is_quarantined or any(_is_bad(one.verdict, one.status, lot.state) for one in latest),
        spent=lot.state is LotState.SPENT,
    )


def _related(lot: RelatedLot, tone: Tone, words: Words) -> Node:
    what = words.state(lot.quantity, lot.unit, LotState.QUARANTINED if lot.quarantined else lot.state)
    if lot.verdict is not Verdict.NONE:
        what += words.judged(lot.verdict, lot.status)
    made = () if lot.machine is None else (words.made_on(lot.machine),)
    lines = (words.name(lot.identifier, lot.subject), *what.split("\n"), words.held(lot.holder), *made)
    bad = lot.quarantined or _is_bad(lot.verdict, lot.status, lot.state)
    return Node(_key(lot.subject), lines, tone, bad=bad, spent=lot.state is LotState.SPENT)


def _is_bad(verdict: Verdict, status: CertificateStatus, state: LotState) -> bool:
    """Whether a lot's latest certificate is against it: a fail, used up or not; of what is left, also a pass that does
    not count any more for whatever reason."""
    if verdict is Verdict.FAIL or status in _WITHDRAWN:
        return True
    return state is not LotState.SPENT and status not in (CertificateStatus.NONE, CertificateStatus.VALID)


def _key(subject: bytes) -> str:
    return "0x" + subject.hex()


# Layered graph layout. Its layers run from left to right; the picture turns it, so that they run from top to bottom.
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


# The drawing, as narrow as a phone. The page's style sheet styles the classes of the tones.

_BOX, _STEP = 138, 116
_LINE, _PAD, _MARGIN = 15, 8, 4
_GAP, _AISLE = 12, 26
"""Space between the boxes of a layer, and between layers, in pixels."""
_SIGN = 6.2
"""Average width of an ASCII character at 11 pixels; other characters count twice."""
_UNFIT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_Rows: TypeAlias = "list[tuple[float, float]]"


def draw_genealogy(family: Family, language: str) -> str:
    """The SVG element: lots as boxes, steps as rounded boxes, packing as dashed lines. Long texts are shortened."""
    layout = place(family, {key: float(_width(node)) for key, node in family.nodes.items()}, _GAP)
    rows = _rows(family, layout)
    width, height = layout.height + 2 * _MARGIN, rows[-1][0] + rows[-1][1] + _MARGIN
    title, summary = _text(family.title), _text(" ".join(family.summary))
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
    return _STEP if node.tone is Tone.STEP else _BOX


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
        f'y="{y + _PAD + 11 + number * _LINE:.1f}">'
        f"{_text(_cut(line, rooms[number > 0], name=not number))}</text>"
        for number, line in enumerate(node.lines)
    )
    return (
        f'<g class="{node.classes}"><title>{_text(", ".join(node.lines))}</title><rect x="{x:.1f}" y="{y:.1f}" '
        f'width="{width}" height="{height:.0f}" rx="{curve:.0f}"/>{mark}{lines}</g>'
    )


def _cut(line: str, room: float, *, name: bool) -> str:
    """Shortens a line. A name keeps its end, where serial numbers differ; other text keeps its beginning."""
    for kept, sign in enumerate(reversed(line) if name else line):
        room -= _SIGN if sign.isascii() else 2 * _SIGN
        if room < _SIGN and kept + 1 < len(line):
            return f"…{line[len(line) - kept :]}" if name else f"{line[:kept]}…"
    return line


def _text(line: str) -> str:
    """Escapes text for XML. Characters that XML 1.0 cannot represent become U+FFFD."""
    return escape(_UNFIT.sub("\ufffd", line))
