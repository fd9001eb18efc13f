"""What an order and its lots should always be able to come to; and all states of a world, with those from which that
can be reached: searched as a graph, as a space whose acts are worked out again, or by random walks side by side.

In a space, a state is one number, and one byte beside it says which goals it can come to: 12 bytes a state in all, and
as much again for a while. On a walk, every walker makes one act that its state allows, step by step; then the parties
in standing bring everything to its end, which shows that they can.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tests.proofs.model.acts import acts_of, is_judged
from tests.proofs.model.world import BUYER, TROUBLE, Act, Columns, Keys, Kind, Layout, Lot, Mask, Order, Proposed, World

_FIRST_OF_LOTS = Kind.COMMISSION


def order_ended(s: Columns) -> Mask:
    return (s["os"] == Order.DELIVERED) | (s["os"] == Order.ENDED) | (s["os"] == Order.CLOSED)


def order_delivered(s: Columns) -> Mask:
    return s["os"] == Order.DELIVERED


def lot_ended(s: Columns, lot: int) -> Mask:
    """Never made, scrapped, sold, or delivered with its order."""
    state = s[f"s{lot}"]
    gone = (state == Lot.NONE) | (state == Lot.SPENT) | (state == Lot.SOLD)
    return gone | at_the_buyer(s, lot) & (s["os"] == Order.DELIVERED)


def lot_kept(s: Columns, lot: int) -> Mask:
    """Not lost, that is: sold, or free at the buyer; also what was scrapped long ago."""
    state = s[f"s{lot}"]
    return (state == Lot.NONE) | (state == Lot.SPENT) | (state == Lot.SOLD) | at_the_buyer(s, lot)


def at_the_buyer(s: Columns, lot: int) -> Mask:
    return (s[f"h{lot}"] == BUYER) & (s[f"s{lot}"] == Lot.HELD) & (s[f"k{lot}"] == 0)


def in_standing(act: Act) -> bool:
    """Acts of companies that may act now, of the council in their aid, and time. No guard lets a suspended one act."""
    return act.kind not in TROUBLE


def order_acts_only(act: Act) -> bool:
    """Of those, what no lot is needed for."""
    alone = act.kind < _FIRST_OF_LOTS and act.kind != Kind.CONFIRM_DELIVERY
    return alone or act.kind in (Kind.WAIT, Kind.END_ABANDONED)


def lot_acts_only(act: Act) -> bool:
    """Of those, what no side of the order is needed for in its order."""
    of_lots = _FIRST_OF_LOTS <= act.kind < Kind.ORDER_MOVES or act.kind in (Kind.PASS_SECOND, Kind.FAIL_SECOND)
    return in_standing(act) and of_lots


def without_scrapping(act: Act) -> bool:
    return in_standing(act) and act.kind != Kind.SCRAP


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


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


LARGE = World(lots=5, operations=2, companies=5, coordinator=4, inspector=3, failures=3)
"""Pallets of up to four lots; any three of the companies may be suspended at the same time."""

_SELDOM = {
    Kind.CANCEL_ORDER: 30,
    Kind.SUSPEND: 20,
    Kind.WITHDRAW_MODEL: 20,
    Kind.AGREE: 10,
    Kind.WAIT: 5,
    Kind.PROPOSE: 5,
    Kind.DECLINE_ASSIGNMENT: 5,
    Kind.CANCEL_ASSIGNMENT: 5,
    Kind.SCRAP: 5,
    Kind.SELL: 5,
    Kind.QUARANTINE: 3,
}
"""So many times, roughly, more seldom than others; else few walks would come to deliveries and pallets."""
_USEFUL = (
    (Kind.AGREE, Proposed.END),
    (Kind.PROPOSE, Proposed.END),
    (Kind.CANCEL_ORDER, None),
    (Kind.END_ABANDONED, None),
    (Kind.SCRAP, None),
    (Kind.UNPACK, None),
    (Kind.WITHDRAW, None),
    (Kind.RECLAIM, None),
    (Kind.RECLAIM_ENTRUSTED, None),
    (Kind.WAIT, None),
)
"""What brings an order and its lots to an end, before what is made only when nothing else can be."""


@dataclass(frozen=True, slots=True)
class Step:
    act: Act
    key: int
    """The state after the act."""
    refused: Act | None
    """Another act, when the state before refuses it."""


@dataclass(frozen=True, slots=True)
class Steps:
    """What the walkers did, and where they are."""

    acts: Sequence[Act]
    taken: list[np.ndarray]
    """By step, the act of each walker."""
    state: dict[str, np.ndarray]


def start(world: World, walkers: int) -> dict[str, np.ndarray]:
    begun = world.start()
    return {name: np.full(walkers, begun.get(name, 0), dtype=np.uint8) for name in world.layout().shifts}


def walk(world: World, walkers: int, steps: int, seed: int) -> Steps:
    """Each act that is allowed is as likely as any other, but for those that come seldom."""
    random = np.random.default_rng(seed)
    acts = acts_of(world)
    state = start(world, walkers)
    taken = []
    for _ in range(steps):
        chosen = _draw(acts, Columns(state), walkers, random)
        for number, act in enumerate(acts):
            _make(act, np.flatnonzero(chosen == number), state)
        taken.append(chosen)
    return Steps(acts, taken, state)


def _draw(acts: Sequence[Act], columns: Columns, walkers: int, random: np.random.Generator) -> np.ndarray:
    best = np.full(walkers, -1, dtype=np.float32)
    chosen = np.full(walkers, -1, dtype=np.int16)
    for number, act in enumerate(acts):
        allowed = np.flatnonzero(act.guard(columns))
        ticket = random.random(len(allowed), dtype=np.float32)
        if act.kind in _SELDOM:
            ticket **= _SELDOM[act.kind]
        better = ticket > best[allowed]
        rows = allowed[better]
        best[rows], chosen[rows] = ticket[better], number
    return chosen


def _make(act: Act, rows: np.ndarray, state: dict[str, np.ndarray]) -> None:
    if not len(rows):
        return
    for name, value in act.change(Columns(state).at(rows)).items():
        state[name][rows] = value


def bring_to_end(world: World, state: dict[str, np.ndarray], most: int = 60) -> Mask:
    """Lets the parties in standing act until all is over; says where it is not in the end."""
    acts = acts_of(world)
    useful = [
        act for kind, argument in _USEFUL for act in acts if act.kind == kind and argument in (None, act.argument)
    ]
    for _ in range(most):
        waiting = ~is_over(world, Columns(state))
        if not waiting.any():
            break
        _step(useful, waiting, state)
    return ~is_over(world, Columns(state))


def _step(useful: Sequence[Act], waiting: Mask, state: dict[str, np.ndarray]) -> None:
    """Everywhere the most useful act that is allowed is made."""
    columns = Columns(state)
    made = []
    for act in useful:
        helps = act.guard(columns) & waiting
        if act.kind == Kind.PROPOSE:
            helps &= columns["pk"] != Proposed.END
        made.append((act, np.flatnonzero(helps)))
        waiting &= ~helps
    for act, rows in made:
        _make(act, rows, state)


def is_over(world: World, s: Columns) -> Mask:
    over = order_ended(s)
    for lot in range(world.lots):
        over &= lot_ended(s, lot)
    return over


def recorded(world: World, walkers: int, steps: int, seed: int) -> list[list[Step]]:
    """Walks with the state after each step, and acts that the states before refuse."""
    random = np.random.default_rng(seed)
    acts, layout = acts_of(world), world.layout()
    state = start(world, walkers)
    walks: list[list[Step]] = [[] for _ in range(walkers)]
    for _ in range(steps):
        columns = Columns(state)
        refused = _refused(acts, columns, walkers, random)
        chosen = _draw(acts, columns, walkers, random)
        for number in np.unique(chosen).tolist():
            _make(acts[number], np.flatnonzero(chosen == number), state)
        for walker, done in enumerate(walks):
            key = layout.pack({name: int(values[walker]) for name, values in state.items()})
            done.append(Step(acts[chosen[walker]], key, refused[walker]))
    return walks


def _refused(acts: Sequence[Act], columns: Columns, walkers: int, random: np.random.Generator) -> list[Act | None]:
    """For each walker an act drawn from all, when its state refuses that."""
    drawn = random.integers(len(acts), size=walkers)
    refused: list[Act | None] = [None] * walkers
    for number in np.unique(drawn).tolist():
        act = acts[number]
        judged = ~act.guard(columns) & is_judged(act, columns)
        for walker in np.flatnonzero(judged & (drawn == number)).tolist():
            refused[walker] = act
    return refused
