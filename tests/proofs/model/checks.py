"""What is asked of a world: that every order and every lot can still come to an end. And the dead ends of earlier
rules, by the audit's names: which rules ended them, and where they show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np

from tests.proofs.model.search import (
    Goal,
    Graph,
    Space,
    bring_to_end,
    explore,
    in_standing,
    lot_acts_only,
    lot_ended,
    lot_kept,
    order_acts_only,
    order_delivered,
    order_ended,
    walk,
    without_scrapping,
)
from tests.proofs.model.world import BUYER, MAKER, Act, Columns, Lot, Mask, Operation, Order, World, active

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


INSPECTOR = COORDINATOR = CARRIER = 3

_GATED = World(operations=1, demands=False, withdrawals=False)
_UNREVISED = World(operations=1, demands=False, withdrawals=False, revisions=False)
_LIFECYCLE = World(lots=0, coordinator=COORDINATOR, inspector=0)
_PALLET = World(lots=2, operations=1, inspector=0, any_order=True)


@dataclass(frozen=True, slots=True)
class Finding:
    """Under the old rules there are states `where` no acts that `may` be made lead to the `goal`."""

    name: str
    says: str
    world: World
    old: tuple[str, ...]
    where: Callable[[Columns], Mask]
    goal: Callable[[Columns], Mask]
    may: Callable[[Act], bool] = in_standing

    def search(self, *, old: bool) -> tuple[Graph, Mask]:
        """The states of the world, and which of them are dead ends of that kind."""
        graph = explore(self.world.without(*self.old)) if old else _kept(self.world)
        reached = graph.can_reach(self.goal(graph.columns), self.may)
        return graph, self.where(graph.columns) & ~reached


@lru_cache(maxsize=1)
def _kept(world: World) -> Graph:
    """Several findings are looked for in one world."""
    return explore(world)


def _has_all_three(s: Columns) -> Mask:
    return active(s, 1) & active(s, 2) & active(s, 3)


def _with_maker(s: Columns) -> Mask:
    return (s["h0"] == MAKER) & (s["s0"] == Lot.HELD) & (s["b0"] == 1)


def _reworkable(s: Columns) -> Mask:
    apart = (s["s0"] == Lot.QUARANTINED) & (s["h0"] == MAKER) & (s["a0"] == Operation.STARTED)
    return apart | (s["s0"] == Lot.HELD)


def _apart_by_gone(s: Columns, holder: int) -> Mask:
    """The lot is set apart by the inspector, which is gone."""
    return (s["s0"] == Lot.QUARANTINED) & (s["w0"] == INSPECTOR) & (s["h0"] == holder) & ~active(s, INSPECTOR)


def _free(s: Columns) -> Mask:
    return (s["s0"] == Lot.HELD) | (s["s0"] == Lot.SOLD)


FINDINGS = (
    Finding(
        "H5 S1",
        "an order is complete and the model of its gate withdrawn: no revision is taken, no lot gets through",
        World(operations=1, demands=False),
        ("H5_completed_is_revised", "H5_completed_is_assigned", "M15_lot_leaves_its_order", "goods_are_sold"),
        lambda s: _has_all_three(s) & (s["os"] == Order.COMPLETED) & (s["wd"] == 1) & _with_maker(s),
        lambda s: lot_kept(s, 0),
        without_scrapping,
    ),
    Finding(
        "H5 S1b",
        "an order is complete and its inspector gone: no other one is taken",
        _GATED,
        ("H5_completed_is_revised", "H5_completed_is_assigned", "M15_lot_leaves_its_order", "goods_are_sold"),
        lambda s: ~active(s, INSPECTOR) & (s["os"] == Order.COMPLETED) & _with_maker(s) & (s["v0"] == 0),
        lambda s: lot_kept(s, 0),
        without_scrapping,
    ),
    Finding(
        "H5 S2",
        "a lot fails after its order was completed: it cannot be reworked, only scrapped",
        _UNREVISED,
        ("H5_completed_is_assigned", "M5_lapsed_is_released", "M15_lot_leaves_its_order"),
        lambda s: (s["os"] == Order.COMPLETED) & _apart_by_gone(s, MAKER) & (s["b0"] == 1),
        lambda s: _reworkable(s) & (s["s0"] == Lot.QUARANTINED),
    ),
    Finding(
        "F2",
        "who had a lot set it apart and is gone: whoever took it over could only rework, return or scrap it",
        _UNREVISED,
        ("F2_gone_is_lifted",),
        lambda s: (
            (s["s0"] == Lot.QUARANTINED)
            & (s["w0"] == CARRIER)
            & ~active(s, CARRIER)
            & (s["q0"] == 0)
            & (s["h0"] == BUYER)
            & (s["b0"] == 0)
        ),
        _free,
        without_scrapping,
    ),
    Finding(
        "H6 S3",
        "a lot failed at the buyer and the inspector is gone: it cannot go back to its maker",
        _UNREVISED,
        ("H6_failed_goes_back", "M4_delivered_is_released", "M5_lapsed_is_released"),
        lambda s: _apart_by_gone(s, BUYER) & (s["os"] == Order.DELIVERED),
        lambda s: s["h0"] == MAKER,
    ),
    Finding(
        "H7 S4",
        "any inspector fails a pallet and is gone: what is packed in it stays there",
        _PALLET,
        ("H7_quarantined_is_unpacked", "H7_only_the_gate_sets_apart", "F2_gone_is_lifted"),
        lambda s: (s["k1"] == 1) & _apart_by_gone(s, MAKER),
        lambda s: s["k1"] == 0,
    ),
    Finding(
        "H8 S5",
        "a carrier is suspended: nobody can take the goods that it has",
        _UNREVISED,
        ("H8_absent_is_reclaimed",),
        lambda s: (s["h0"] == CARRIER) & ~active(s, CARRIER),
        lambda s: lot_ended(s, 0),
    ),
    Finding(
        "H8 S6",
        "the coordinator is gone during production: the order can never be completed, revised or ended",
        _LIFECYCLE,
        ("H8_coordinator_is_replaced", "H8_production_is_ended"),
        lambda s: ~active(s, COORDINATOR) & (s["os"] == Order.IN_PRODUCTION),
        order_ended,
    ),
    Finding(
        "H8 S7",
        "the only maker is gone during production: buyer and coordinator together cannot end the order",
        _LIFECYCLE,
        ("H8_production_is_ended",),
        lambda s: ~active(s, MAKER) & (s["os"] == Order.IN_PRODUCTION),
        order_ended,
    ),
    Finding(
        "H8 both gone",
        "the buyer coordinates its order itself, and is gone: nobody can end the order (found by the model)",
        World(lots=0, coordinator=BUYER),
        ("H8_abandoned_is_ended",),
        lambda s: ~active(s, BUYER) & (s["co"] == BUYER),
        order_ended,
    ),
    Finding(
        "H8 S8",
        "the inspector is gone during production: who might make something does not replace it, whatever it made",
        _GATED,
        ("H8_inspector_is_who_made_nothing", "M15_lot_leaves_its_order", "goods_are_sold"),
        lambda s: ~active(s, INSPECTOR) & (s["os"] == Order.IN_PRODUCTION) & _with_maker(s) & (s["v0"] == 0),
        lambda s: lot_kept(s, 0),
        without_scrapping,
    ),
    Finding(
        "M4 S3b",
        "an inspector sets apart what was delivered long ago, and is gone",
        _UNREVISED,
        ("M4_delivered_is_released", "M5_lapsed_is_released"),
        lambda s: _apart_by_gone(s, BUYER) & (s["os"] == Order.DELIVERED) & (s["b0"] == 1),
        _free,
        without_scrapping,
    ),
    Finding(
        "M5 K11",
        "a failing certificate does not count any more, its quarantine stays",
        _GATED,
        ("M5_lapsed_is_released",),
        lambda s: _apart_by_gone(s, MAKER) & (s["os"] == Order.ENDED) & (s["q0"] == 2),
        _free,
        without_scrapping,
    ),
    Finding(
        "M15 D4",
        "a delivered lot never leaves its order",
        _UNREVISED,
        ("M15_lot_leaves_its_order",),
        lambda s: _has_all_three(s) & (s["os"] == Order.DELIVERED) & (s["h0"] == BUYER) & (s["b0"] == 1),
        lambda s: (s["b0"] == 0) & (s["s0"] == Lot.HELD),
    ),
)
"""H4 is not among them: that an acceptance did not name its offer was no dead end."""
