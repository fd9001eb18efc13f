"""What is asked of a world: that every order and every lot can still come to an end."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from tests.support.model.goals import (
    in_standing,
    lot_acts_only,
    lot_ended,
    order_acts_only,
    order_delivered,
    order_ended,
)
from tests.support.model.layout import Columns, Mask
from tests.support.model.space import Goal, Space
from tests.support.model.walks import bring_to_end, walk
from tests.support.model.world import BUYER, MAKER, Act, Lot, World, active

__all__ = ["ANY_ORDER", "ONE_LOT", "ORDERS", "TWO_GATES", "Searched", "Walked", "search", "walk_and_end"]

ORDERS = (
    World(lots=0),
    World(lots=0, coordinator=3, inspector=0),
    World(lots=0, coordinator=1),
)
"""The order by itself: coordinated by its maker, by a third company, by the buyer itself."""
ONE_LOT = World(demands=False, withdrawals=False)
"""An order of two operations and a lot of it; scripts/prove adds demands, revocations and models withdrawn."""
TWO_GATES = World(operations=1, demands=False, revisions=False, second=BUYER, waivers=True)
"""An order with two gates, one of which its buyer may waive, and inspects the other itself."""
ANY_ORDER = World(lots=2, operations=1, inspector=0, any_order=True)
"""Two lots, one of which may be packed in the other, whatever becomes of their order."""


@dataclass(frozen=True, slots=True)
class Searched:
    """`dead` are shortest walks to states from which something cannot come to an end any more."""

    states: int
    acts: int
    deepest: int
    dead: dict[str, list[Act]]


@dataclass(frozen=True, slots=True)
class Walked:
    walks: int
    steps: int
    stuck: int


def search(world: World) -> Searched:
    """All states of a world."""
    space, goals, dead = Space(world), goals_of(world), {}
    for goal, states in zip(goals, space.unmet(goals), strict=True):
        if states.any():
            dead[goal.unmet] = space.walk_to_nearest(states)
    return Searched(len(space.keys), space.acts_accepted, int(space.distance.max()), dead)


def goals_of(world: World) -> list[Goal]:
    """What every state of a world should be able to come to."""
    goals = []
    if not world.any_order:
        goals.append(Goal("an order that cannot end", order_ended, order_acts_only, _every))
    if world.lots and not world.any_order:
        unmet = "an order that cannot be delivered, though nobody is gone"
        goals.append(Goal(unmet, order_delivered, in_standing, partial(_deliverable, world)))
    for lot in range(world.lots):
        unmet = f"lot {lot} that cannot end by acts on lots"
        goals.append(Goal(unmet, partial(lot_ended, lot=lot), lot_acts_only, _every))
    return goals


def _every(s: Columns) -> Mask:
    return np.ones(len(s["os"]), dtype=bool)


def _deliverable(world: World, s: Columns) -> Mask:
    return _is_whole(world, s) & _has_lots(world, s) & ~order_ended(s)


def _is_whole(world: World, s: Columns) -> Mask:
    whole = s["gi"] != MAKER
    for number in world.numbers():
        whole &= active(s, number)
    return whole


def _has_lots(world: World, s: Columns) -> Mask:
    """Whether a lot is left to deliver: the world makes no more."""
    left = np.zeros(len(s["os"]), dtype=bool)
    for lot in range(world.lots):
        left |= (s[f"s{lot}"] != Lot.SPENT) & (s[f"s{lot}"] != Lot.SOLD)
    return left


def walk_and_end(world: World, walkers: int, steps: int, seed: int) -> Walked:
    """Random walks, after each of which the parties in standing bring order and lots to their ends."""
    state = walk(world, walkers, steps, seed).state
    stuck = bring_to_end(world, state)
    return Walked(walkers, walkers * steps, int(np.count_nonzero(stuck)))
