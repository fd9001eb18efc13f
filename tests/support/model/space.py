"""All states of a world, and what each can still come to, where the acts between them are too many to keep.

A state is one number, and one byte beside it says which goals it can come to. What acts lead to is worked out again
whenever it is needed, a block of states at a time: 12 bytes a state in all, and as much again for a while.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.support.model.acts import acts_of
from tests.support.model.layout import Columns, Keys, Mask
from tests.support.model.world import Act, World

__all__ = ["Goal", "Space"]

_BLOCK = 1 << 20
"""States at a time: their fields take some 50 MB."""
_GATHERED = 1 << 25
"""New states, some of them several times, before what is double is taken out."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What the states that are `asked` for should be able to come to by acts that `may` be made.

    No act that may be made leads from a state outside `asked` to the goal; so those are not followed."""

    unmet: str
    """What a state is called that cannot come to it."""
    met: Callable[[Columns], Mask]
    may: Callable[[Act], bool]
    asked: Callable[[Columns], Mask]


class Space:
    """The reachable states of a world, sorted by key."""

    def __init__(self, world: World) -> None:
        self.world, self.layout, self.acts = world, world.layout(), acts_of(world)
        self.keys: Keys = np.array([self.layout.pack(world.start())], dtype=np.uint64)
        self.acts_accepted = 0
        levels = [self.keys]
        while len(levels[-1]):
            levels.append(self._next(levels[-1]))
            # Two sorted runs, which this kind of sort merges.
            self.keys = np.sort(np.concatenate([self.keys, levels[-1]]), kind="stable")
            _tell(f"{len(levels) - 1} acts deep: {len(self.keys):,} states, {self.acts_accepted:,} acts")
        self.distance = np.zeros(len(self.keys), dtype=np.uint8)
        for number, level in enumerate(levels):
            for block in _blocks(len(level)):
                self.distance[np.searchsorted(self.keys, level[block])] = number

    def _next(self, frontier: Keys) -> Keys:
        found, gathered = [self.keys[:0]], 0
        for block in _blocks(len(frontier)):
            new = []
            for _, rows, after in self._steps(frontier[block], self.acts):
                self.acts_accepted += len(rows)
                new.append(after[~_is_in(self.keys, after)])
            found.append(_distinct(np.concatenate(new)))
            gathered += len(found[-1])
            if gathered > _GATHERED:
                found, gathered = [_distinct(np.concatenate(found))], 0
        return _distinct(np.concatenate(found))

    def _steps(self, keys: Keys, acts: Sequence[Act]) -> Iterator[tuple[Act, NDArray[np.intp], Keys]]:
        """Of each act, in which of the states it is accepted, and the states after it."""
        columns = self.layout.unpack(keys)
        for act in acts:
            rows = np.flatnonzero(act.guard(columns))
            if len(rows):
                yield act, rows, self.layout.change(keys[rows], act.change(columns.at(rows)))

    def unmet(self, goals: Sequence[Goal]) -> list[Mask]:
        """Of each goal, the states that are asked to come to it and cannot."""
        met, missing = self._judge(goals)
        bits = {act: sum(int(goal.may(act)) << number for number, goal in enumerate(goals)) for act in self.acts}
        rows, changed = self._from_the_deepest(missing), True
        while changed and len(rows):
            _tell(f"{len(rows):,} states are not known to come to every end")
            changed = False
            for block in _blocks(len(rows)):
                changed |= self._come(rows[block], bits, met)
            rows = rows[missing[rows] & ~met[rows] != 0]
        return [missing & ~met & np.uint8(1 << number) != 0 for number in range(len(goals))]

    def _from_the_deepest(self, missing: NDArray[np.uint8]) -> NDArray[np.uint32]:
        """Most ends lie deep, so what is looked at later finds them."""
        found = [
            np.flatnonzero(missing * (self.distance == number)) for number in range(int(self.distance.max()), -1, -1)
        ]
        return np.concatenate([rows.astype(np.uint32) for rows in found])

    def _judge(self, goals: Sequence[Goal]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """By state, a bit for each goal that it is, and one for each that it should still be able to come to."""
        met, asked = np.zeros(len(self.keys), dtype=np.uint8), np.zeros(len(self.keys), dtype=np.uint8)
        for block in _blocks(len(self.keys)):
            columns = self.layout.unpack(self.keys[block])
            for number, goal in enumerate(goals):
                met[block] |= goal.met(columns).astype(np.uint8) << np.uint8(number)
                asked[block] |= goal.asked(columns).astype(np.uint8) << np.uint8(number)
        return met, asked & ~met

    def _come(self, rows: NDArray[np.uint32], bits: Mapping[Act, int], met: NDArray[np.uint8]) -> bool:
        """Notes what some states come to by one act, or by several between them. False if there is nothing new."""
        before = met[rows]
        for act, chosen, after in self._steps(self.keys[rows], [act for act in self.acts if bits[act]]):
            met[rows[chosen]] |= met[np.searchsorted(self.keys, after)] & np.uint8(bits[act])
        return bool((met[rows] != before).any())

    def walk_to_nearest(self, states: Mask) -> list[Act]:
        """A shortest walk to one of the states that are the fewest acts away."""
        rows = np.flatnonzero(states)
        row = int(rows[np.argmin(self.distance[rows])])
        walk: list[Act] = []
        while self.distance[row]:
            act, row = self._before(row)
            walk.append(act)
        return walk[::-1]

    def _before(self, row: int) -> tuple[Act, int]:
        """An act that leads to a state, and a state one act nearer to the start where it is accepted."""
        nearer = np.flatnonzero(self.distance == self.distance[row] - 1)
        for block in _blocks(len(nearer)):
            for act, rows, after in self._steps(self.keys[nearer[block]], self.acts):
                found = np.flatnonzero(after == self.keys[row])
                if len(found):
                    return act, int(nearer[block][rows[found[0]]])
        raise AssertionError("no act leads to a state that was reached")


def _blocks(count: int) -> Iterator[slice]:
    for start in range(0, count, _BLOCK):
        yield slice(start, start + _BLOCK)


def _distinct(keys: Keys) -> Keys:
    """Sorted; several times as fast as numpy's own, which looks each key up in a table."""
    keys = np.sort(keys)
    first = np.ones(len(keys), dtype=bool)
    first[1:] = keys[1:] != keys[:-1]
    return keys[first]


def _is_in(known: Keys, keys: Keys) -> Mask:
    place = np.searchsorted(known, keys)
    place[place == len(known)] = 0
    return known[place] == keys


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
