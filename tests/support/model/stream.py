"""Writes acts, and what the model says of them, as contracts/test/model/Walks.t.sol reads them.

A stream is a tree. An act that the model accepts is followed by the state after it and by what is tried from
there, up to a mark that goes back; one that it refuses is marked as refused.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tests.support.model.acts import is_judged
from tests.support.model.layout import Column, Columns, Mask
from tests.support.model.search import Graph
from tests.support.model.walks import Step
from tests.support.model.world import Act, World

__all__ = ["Choice", "cover", "everything", "fields_read", "write_tree", "write_walks"]

UP = 0xFF
REFUSED = 0x80


@dataclass(frozen=True, slots=True)
class Choice:
    """Acts to try, by the row of the state that they are tried in."""

    accepted: dict[int, list[tuple[Act, int]]]
    """With the row of the state after."""
    refused: dict[int, list[Act]]


class _Reading(Columns):
    """Notes which fields are read."""

    def __init__(self, fields: Mapping[str, Column], read: set[str]) -> None:
        super().__init__(fields)
        self._read = read

    def __getitem__(self, name: str) -> Column:
        self._read.add(name)
        return super().__getitem__(name)


def fields_read(world: World, act: Act) -> set[str]:
    """What an act reads, in its guard or for what it changes, and what it changes."""
    read: set[str] = set()
    one = _Reading({name: np.zeros(1, dtype=np.uint8) for name in world.layout().shifts}, read)
    act.guard(one)
    return read | set(act.change(one))


def cover(graph: Graph, *, every: int = 1) -> Choice:
    """Each act, in each combination of values of what it reads or changes, at one state nearest to the start; of the
    combinations in which it is refused, every so many."""
    choice = Choice(defaultdict(list), defaultdict(list))
    nearest = np.argsort(graph.distance, kind="stable")
    keys = graph.keys[nearest]
    for act in graph.acts:
        mask = np.uint64(graph.layout.mask(fields_read(graph.world, act)))
        _, first = np.unique(keys & mask, return_index=True)
        _choose(graph, act, nearest[first], choice, every)
    return choice


def everything(graph: Graph) -> Choice:
    """Each act at each state."""
    choice = Choice(defaultdict(list), defaultdict(list))
    for act in graph.acts:
        _choose(graph, act, np.arange(len(graph.keys)), choice, 1)
    return choice


def _choose(graph: Graph, act: Act, rows: np.ndarray, choice: Choice, every: int) -> None:
    columns = graph.columns.at(rows)
    accepted: Mask = act.guard(columns)
    for row in rows[~accepted & is_judged(act, columns)][::every].tolist():
        choice.refused[row].append(act)
    sources = rows[accepted]
    after = graph.layout.change(graph.keys[sources], act.change(graph.columns.at(sources)))
    for row, target in zip(sources.tolist(), np.searchsorted(graph.keys, after).tolist(), strict=True):
        choice.accepted[row].append((act, target))


def head_of(world: World, width: int) -> bytes:
    parties = (world.coordinator, world.inspector, world.second)
    return bytes([world.lots, world.operations, world.companies, *parties, world.waivers, width])


def write_tree(graph: Graph, choice: Choice) -> bytes:
    children = _children(graph, [*choice.accepted, *choice.refused])
    written = bytearray(head_of(graph.world, 8))
    start = int(np.flatnonzero(graph.distance == 0)[0])
    stack: list[Iterator[int]] = []
    written += _tries(graph, choice, start)
    stack.append(iter(children[start]))
    while stack:
        row = next(stack[-1], None)
        if row is None:
            written.append(UP)
            stack.pop()
            continue
        act = graph.acts[graph.by[row]]
        written += bytes([act.kind, act.actor, act.argument]) + int(graph.keys[row]).to_bytes(8, "big")
        written += _tries(graph, choice, row)
        stack.append(iter(children[row]))
    return bytes(written)


def _children(graph: Graph, rows: list[int]) -> dict[int, list[int]]:
    """The tree of shortest walks to the rows."""
    children: dict[int, list[int]] = defaultdict(list)
    seen: set[int] = set()
    for row in rows:
        while row not in seen and graph.distance[row]:
            seen.add(row)
            before = int(graph.came[row])
            children[before].append(row)
            row = before
    return children


def _tries(graph: Graph, choice: Choice, row: int) -> bytes:
    written = bytearray()
    for act in choice.refused.get(row, ()):
        written += bytes([act.kind | REFUSED, act.actor, act.argument])
    for act, target in choice.accepted.get(row, ()):
        if graph.came[target] == row and graph.acts[graph.by[target]] is act:
            continue  # follows as a branch
        written += bytes([act.kind, act.actor, act.argument]) + int(graph.keys[target]).to_bytes(8, "big") + bytes([UP])
    return bytes(written)


def write_walks(world: World, walks: Iterable[list[Step]]) -> bytes:
    """Walks from the start, one after the other."""
    width = (world.layout().bits + 7) // 8
    written = bytearray(head_of(world, width))
    for steps in walks:
        for step in steps:
            if step.refused:
                written += bytes([step.refused.kind | REFUSED, step.refused.actor, step.refused.argument])
            written += bytes([step.act.kind, step.act.actor, step.act.argument]) + step.key.to_bytes(width, "big")
        written += bytes([UP]) * len(steps)
    return bytes([*written, UP])
