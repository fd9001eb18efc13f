"""Spectral projected gradient (Birgin, Martinez and Raydan, 2000) within bounds and rates, for few starts at once.

Needs numpy. Every point that is evaluated is within bounds and rates; what is returned is the best of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from millmark.quality.process.floats import Floats

_ROUNDS: Final = 14
_SHARES: Final = np.array([1.0, 0.3, 0.05])
"""Parts of a step that are tried together: one evaluation of three is cheaper than three."""
_DYKSTRA: Final = 12
_STILL: Final = 1e-5
"""Largest move, in standard deviations, at which the search has arrived."""


@dataclass(frozen=True, slots=True)
class Box:
    """Bounds and rates of p setpoints, (p,) each, in words."""

    low: Floats
    high: Floats
    rate: Floats
    """Largest change from one move to the next."""
    present: Floats
    """What the first move starts from."""


def project(moves: Floats, box: Box) -> Floats:
    """The nearest moves (b, k, p) within bounds and rates, by Dykstra's algorithm; exactly within them in any case."""
    point = np.clip(moves, box.low, box.high)
    first_low, first_high = np.maximum(box.low, box.present - box.rate), np.minimum(box.high, box.present + box.rate)
    low, high = (np.repeat(bound[np.newaxis], moves.shape[1], axis=0) for bound in (box.low, box.high))
    low[0], high[0] = first_low, first_high
    point = np.clip(moves, low, high)
    if moves.shape[1] > 1 and (np.abs(np.diff(point, axis=1)) > box.rate).any():
        point = _dykstra(moves, low, high, box.rate)
    return _follow(point, low, high, box.rate)


def _dykstra(moves: Floats, low: Floats, high: Floats, rate: Floats) -> Floats:
    """Alternates between the bounds, the rates after even moves and those after odd ones; each is simple alone."""
    point, owed = moves, [np.zeros_like(moves) for _ in range(3)]
    for _ in range(_DYKSTRA):
        for kind in range(3):
            shifted = point + owed[kind]
            point = np.clip(shifted, low, high) if kind == 0 else _ease(shifted, kind - 1, rate)
            owed[kind] = shifted - point
    return point


def _ease(moves: Floats, offset: int, rate: Floats) -> Floats:
    """Nearest moves whose changes between 2 i + offset and the next are at most the rate."""
    eased = moves.copy()
    pairs = (moves.shape[1] - offset) // 2
    one, two = slice(offset, offset + 2 * pairs, 2), slice(offset + 1, offset + 2 * pairs, 2)
    change = moves[:, two] - moves[:, one]
    excess = (change - np.clip(change, -rate, rate)) / 2
    eased[:, one] += excess
    eased[:, two] -= excess
    return eased


def _follow(moves: Floats, low: Floats, high: Floats, rate: Floats) -> Floats:
    """Each move clipped to what the one before allows."""
    followed = moves.copy()
    followed[:, 0] = np.clip(moves[:, 0], low[0], high[0])
    for place in range(1, moves.shape[1]):
        before = followed[:, place - 1]
        followed[:, place] = np.clip(
            moves[:, place], np.maximum(low[place], before - rate), np.minimum(high[place], before + rate)
        )
    return followed


def descend(evaluate: Callable[[Floats], tuple[Floats, Floats]], box: Box, start: Floats) -> Floats:
    """The best moves (k, p) found from `start` (k, p), from both ends of the bounds and from their middle.

    `evaluate`: costs (b,) and gradients (b, k, p) of moves (b, k, p).
    """
    starts = np.stack([start, start * 0 + box.low, start * 0 + box.high, start * 0 + (box.low + box.high) / 2])
    points = project(starts, box)
    costs, slopes = evaluate(points)
    # The first step crosses the bounds, whatever the unit of cost is.
    width = float(np.maximum(box.high - box.low, 1e-9).max())
    longest = lengths = width / np.maximum(np.abs(slopes).max(axis=(1, 2)), 1e-300)
    for _ in range(_ROUNDS):
        ways = project(points - lengths[:, np.newaxis, np.newaxis] * slopes, box) - points
        if np.abs(ways).max() < _STILL:
            break
        new, new_costs, new_slopes = _try(evaluate, points, ways)
        lower = new_costs < costs
        lengths = _next_lengths(new - points, new_slopes - slopes, lengths, longest)
        lengths = np.where(lower, lengths, lengths / 50)
        kept = lower[:, np.newaxis, np.newaxis]
        points, slopes, costs = (
            np.where(kept, new, points),
            np.where(kept, new_slopes, slopes),
            np.minimum(new_costs, costs),
        )
    best: Floats = points[int(costs.argmin())]
    return best


def _try(
    evaluate: Callable[[Floats], tuple[Floats, Floats]], points: Floats, ways: Floats
) -> tuple[Floats, Floats, Floats]:
    """The cheapest of the points that are tried on each point's way, with costs and gradients. All of them are in the
    set, since it is convex."""
    tried = (points + _SHARES[:, np.newaxis, np.newaxis, np.newaxis] * ways).reshape(-1, *points.shape[1:])
    costs, slopes = evaluate(tried)
    rows = costs.reshape(len(_SHARES), -1).argmin(axis=0) * len(points) + np.arange(len(points))
    return tried[rows], costs[rows], slopes[rows]


def _next_lengths(change: Floats, bend: Floats, lengths: Floats, longest: Floats) -> Floats:
    """Barzilai and Borwein's length where the cost is convex along the step, else a longer one."""
    change, bend = change.reshape(len(change), -1), bend.reshape(len(bend), -1)
    curved, squared = (change * bend).sum(axis=1), (change**2).sum(axis=1)
    usable = curved > 1e-12 * squared
    found = np.where(usable, squared / np.where(usable, curved, 1), lengths * 4)
    clipped: Floats = np.clip(found, longest * 1e-6, longest * 1e3)
    return clipped
