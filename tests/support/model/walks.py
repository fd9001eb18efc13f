"""Random walks, many side by side, in a world too large to search.

Step by step, every walker makes one act that its state allows. Then the parties in standing bring everything to its
end, which shows that they can.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tests.support.model.acts import acts_of, is_judged
from tests.support.model.goals import lot_ended, order_ended
from tests.support.model.layout import Columns, Mask
from tests.support.model.world import Act, Kind, Proposed, World

__all__ = ["LARGE", "Step", "Steps", "bring_to_end", "is_over", "recorded", "walk"]

LARGE = World(lots=5, operations=2, companies=5, coordinator=4, inspector=3, failures=3)
"""Pallets of up to four lots; any three of the companies may be suspended at the same time."""

_SELDOM = {
    Kind.REJECT_ORDER: 30,
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
    (Kind.REJECT_ORDER, None),
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
