"""Whatever befalls a company, its goods and orders go on by somebody's recorded act.

A model of the ledger's state machines is searched for states where they do not, and replayed on the contracts.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.proofs.model.acts import acts_of
from tests.proofs.model.checks import ANY_ORDER, FINDINGS, ONE_LOT, ORDERS, TWO_GATES, Finding, search, walk_and_end
from tests.proofs.model.replay import fields_read
from tests.proofs.model.search import LARGE, explore, order_acts_only, order_ended
from tests.proofs.model.world import OF_A_LOT, Kind, World
from tests.support.figures import Tell

NAMES = ("order", "third", "own", "lot", "pallet", "gates")


@pytest.mark.parametrize(
    "world", [*ORDERS, pytest.param(ONE_LOT, marks=pytest.mark.left_out), ANY_ORDER, TWO_GATES], ids=NAMES
)
def test_order_and_lots_can_always_end(world: World, tell: Tell) -> None:
    found = search(world)
    tell(f"{found.states} states, {found.acts} acts between them, at most {found.deepest} acts deep")
    assert {name: [str(act) for act in walk] for name, walk in found.dead.items()} == {}


def test_a_search_that_keeps_no_edges_finds_the_same() -> None:
    """States, acts, and a dead end that the old rules have, as many acts from the start."""
    world = World(operations=1, demands=False, withdrawals=False).without(
        "H8_production_is_ended", "H8_coordinator_is_replaced"
    )
    found, graph = search(world), explore(world)
    assert (found.states, found.acts, found.deepest) == (len(graph.keys), graph.count, graph.distance.max())
    dead = ~graph.can_reach(order_ended(graph.columns), order_acts_only)
    walk = found.dead.pop("an order that cannot end")
    assert len(walk) == len(graph.walk_to(graph.nearest(dead))) > 0
    assert found.dead == {}
    state = np.array([world.layout().pack(world.start())], dtype=np.uint64)
    for act in walk:
        columns = world.layout().unpack(state)
        assert act.guard(columns).all(), act
        state = world.layout().change(state, act.change(columns))
    assert dead[np.searchsorted(graph.keys, state)].all()


@pytest.mark.parametrize("finding", FINDINGS, ids=lambda one: one.name.replace(" ", "-"))
def test_old_rules_have_the_dead_end(finding: Finding, tell: Tell) -> None:
    graph, dead = finding.search(old=True)
    assert dead.any(), "the checker does not find it"
    walk = [str(act) for act in graph.walk_to(graph.nearest(dead))]
    tell(f"{finding.says}: {dead.sum()} of {len(dead)} states, the nearest after {', '.join(walk)}")
    _, dead = finding.search(old=False)
    assert not dead.any()


def test_lots_depend_on_each_other_only_by_packing() -> None:
    """So what holds of one lot and of a packed pair, whatever the order does, holds of any number of lots."""
    world = World(lots=3)
    fields = {lot: {f"{name}{lot}" for name in OF_A_LOT} for lot in range(world.lots)}
    for act in acts_of(world):
        read = fields_read(world, act)
        if act.kind < Kind.COMMISSION and act.kind != Kind.CONFIRM_DELIVERY:
            touched = {f"{name}{lot}" for lot in fields for name in "hswbqk"}  # a new gate asks for new certificates
            assert not touched & read, act
        elif act.actor:
            lot = act.argument >> 4 if act.kind == Kind.OFFER else act.argument
            others = {number for number in fields if number not in (0, lot)}
            assert lot == 0 or not {name for other in others for name in fields[other]} & read, act


def test_random_walks_can_end(tell: Tell) -> None:
    walked = walk_and_end(LARGE, 2000, 40, seed=20)
    tell(f"{walked.walks} walks of {walked.steps} steps in all")
    assert walked.stuck == 0
