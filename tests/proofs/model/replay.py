"""Lets forge replay on the contracts what the model says of its acts, and shows the walk that leads to a place where
both differ.

A stream, as contracts/test/model/Walks.t.sol reads it, is a tree. An act that the model accepts is followed by the
state after it and by what is tried from there, up to a mark that goes back; one that it refuses is marked as refused.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.proofs.model.acts import acts_of, is_judged
from tests.proofs.model.search import Graph, Step
from tests.proofs.model.world import Act, Column, Columns, Mask, World
from tests.support import toolchain

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


HEAD = 8


def walk_to_place(stream: bytes, place: int, world: World) -> list[str]:
    """The acts on the way to that place, the state before it, and the act at it."""
    names = {(int(act.kind), act.actor, act.argument): str(act) for act in acts_of(world)}
    layout, width = world.layout(), stream[HEAD - 1]
    walk: list[tuple[str, int]] = []
    at = HEAD
    while at < place:
        kind = stream[at]
        if kind == UP:
            walk.pop()
            at += 1
        elif kind & REFUSED:
            at += 3
        else:
            key = int.from_bytes(stream[at + 3 : at + 3 + width], "big")
            walk.append((names[kind, stream[at + 1], stream[at + 2]], key))
            at += 3 + width
    last = (stream[place] & ~REFUSED & 0xFF, stream[place + 1], stream[place + 2])
    before = {name: value for name, value in layout.describe(walk[-1][1]).items() if value} if walk else {}
    return [*(name for name, _ in walk), str(before), names[last]]


_STREAMS = toolchain.PROJECT / "out-walks"
"""The one folder that contracts/foundry.toml lets a test read."""
_DIFFERS = re.compile(r"Differs\((\d+)[^,]*, \d+[^,]*, \d+[^,]*, \d+[^,]*, (\d+)[^,]*, (\d+)")


@dataclass(frozen=True, slots=True)
class Replayed:
    accepted: int
    """Acts after which the contracts were in the state that the model says."""
    refused: int


def replay(streams: Mapping[str, tuple[World, bytes]], *, build: Path) -> dict[str, Replayed]:
    """Streams by the name of the test in Walks.t.sol. `build` is a folder of forge's, where it finds what it compiled
    before. Raises AssertionError with the walk to the first act on which contracts and model differ."""
    _STREAMS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_STREAMS) as folder:
        for name, (_, stream) in streams.items():
            (Path(folder) / f"{name}.bin").write_bytes(stream)
        arguments = ["test", "--match-contract", "WalksTest", "--json", "-vv"]
        environment = {"MILLMARK_WALKS": f"{_STREAMS.name}/{Path(folder).name}"}
        done = toolchain.run_forge(arguments, output=build, environment=environment)
    try:
        ((_, suite),) = json.loads(done.stdout).items()
    except ValueError:
        raise AssertionError(done.stdout + done.stderr) from None
    results = {test.removeprefix("test_").removesuffix("()"): result for test, result in suite["test_results"].items()}
    return {name: _read(results[name], *streams[name]) for name in streams}


def _read(result: Mapping[str, Any], world: World, stream: bytes) -> Replayed:
    if result["status"] != "Success":
        raise AssertionError(_explain(result["reason"], stream, world))
    told = dict(line.split(": ") for line in result["decoded_logs"])
    return Replayed(int(told["accepted"]), int(told["refused"]))


def _explain(reason: str, stream: bytes, world: World) -> str:
    found = _DIFFERS.match(reason)
    if found is None:
        return reason
    place, expected, observed = (int(value) for value in found.groups())
    told = [reason, *walk_to_place(stream, place, world)]
    if expected > 1 or observed > 1:
        layout = world.layout()
        told += [f"the model: {layout.describe(expected)}", f"the contracts: {layout.describe(observed)}"]
    return "\n".join(told)
