"""Layered graph layout, from left to right.

After Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical system structures" (IEEE
Transactions on Systems, Man, and Cybernetics 11(2), 1981): layers by longest path, wires over several layers bent at
dummy nodes, order within a layer by the mean position of neighbours; then positions by least squares under minimum
distances (pool adjacent violators). Deterministic; meant for up to a few hundred boxes.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from millmark.ledger.errors import GenealogyError
from millmark.ledger.provenance import sort_lots
from millmark.services.pictures.family import Family, Link

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
