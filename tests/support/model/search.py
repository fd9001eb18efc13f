"""All states that a world can come to, and those from which a goal can still be reached."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tests.support.model.acts import acts_of
from tests.support.model.layout import Columns, Keys, Layout, Mask
from tests.support.model.world import Act, World

__all__ = ["Edges", "Graph", "explore"]

Rows = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Edges:
    """Of one act: the states where it is accepted, and those that it leads to, both as rows of the graph."""

    act: Act
    source: Rows
    target: Rows


@dataclass(frozen=True, slots=True)
class Level:
    """What is so many acts away from the start. `came` are rows of the level before, and `by` the acts from there."""

    keys: Keys
    came: Rows
    by: NDArray[np.int16]


class Graph:
    """The reachable states of a world, sorted by key, and the acts between them."""

    def __init__(self, world: World, acts: Sequence[Act], levels: Sequence[Level]) -> None:
        self.world, self.acts, self.layout = world, acts, world.layout()
        found = np.concatenate([level.keys for level in levels])
        starts = np.cumsum([0, *(len(level.keys) for level in levels)])
        came = np.concatenate([level.came + starts[max(0, i - 1)] for i, level in enumerate(levels)])
        order = np.argsort(found)
        place = np.empty(len(order), dtype=np.int32)
        place[order] = np.arange(len(order), dtype=np.int32)
        self.keys = found[order]
        self.came: Rows = place[came[order]]
        """By row, the row of the state before it on a shortest walk."""
        self.by = np.concatenate([level.by for level in levels])[order]
        self.distance = np.repeat(np.arange(len(levels), dtype=np.int16), np.diff(starts))[order]

    @cached_property
    def columns(self) -> Columns:
        return self.layout.unpack(self.keys)

    @cached_property
    def edges(self) -> list[Edges]:
        return [self.edges_of(act) for act in self.acts]

    def edges_of(self, act: Act) -> Edges:
        source = np.flatnonzero(act.guard(self.columns)).astype(np.int32)
        after = self.layout.change(self.keys[source], act.change(self.columns.at(source)))
        return Edges(act, source, np.searchsorted(self.keys, after).astype(np.int32))

    @property
    def count(self) -> int:
        return sum(len(one.source) for one in self.edges)

    def can_reach(self, goal: Mask, may: Callable[[Act], bool]) -> Mask:
        """The states from which acts that `may` be made lead to the goal."""
        reached = goal.copy()
        edges = [one for one in self.edges if may(one.act)]
        while True:
            before = np.count_nonzero(reached)
            for one in edges:
                reached[one.source[reached[one.target]]] = True
            if np.count_nonzero(reached) == before:
                return reached

    def nearest(self, states: Mask) -> int:
        """Row of one of the states that are the fewest acts away."""
        rows = np.flatnonzero(states)
        return int(rows[np.argmin(self.distance[rows])])

    def walk_to(self, row: int) -> list[Act]:
        """A shortest walk to a state."""
        walk: list[Act] = []
        while self.distance[row]:
            walk.append(self.acts[self.by[row]])
            row = int(self.came[row])
        return walk[::-1]


def explore(world: World) -> Graph:
    """Breadth first from the start."""
    layout, acts = world.layout(), acts_of(world)
    start = np.array([layout.pack(world.start())], dtype=np.uint64)
    levels = [Level(start, np.zeros(1, dtype=np.int32), np.zeros(1, dtype=np.int16))]
    known = start
    while len(levels[-1].keys):
        levels.append(_next(levels[-1].keys, known, layout, acts))
        known = np.sort(np.concatenate([known, levels[-1].keys]), kind="stable")
    return Graph(world, acts, levels[:-1])


def _next(frontier: Keys, known: Keys, layout: Layout, acts: Sequence[Act]) -> Level:
    columns = layout.unpack(frontier)
    keys, came, by = [known[:0]], [np.zeros(0, dtype=np.int32)], [np.zeros(0, dtype=np.int16)]
    for number, act in enumerate(acts):
        rows = np.flatnonzero(act.guard(columns))
        after = layout.change(frontier[rows], act.change(columns.at(rows)))
        new = np.flatnonzero(~_is_in(known, after))
        keys.append(after[new])
        came.append(rows[new].astype(np.int32))
        by.append(np.full(len(new), number, dtype=np.int16))
    found, first = np.unique(np.concatenate(keys), return_index=True)
    return Level(found, np.concatenate(came)[first], np.concatenate(by)[first])


def _is_in(known: Keys, keys: Keys) -> Mask:
    place = np.searchsorted(known, keys)
    place[place == len(known)] = 0
    return known[place] == keys
