"""The contracts do what the model of tests/contracts/test_no_dead_end.py says.

They accept and refuse the same acts, and are in the same state after each.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.proofs.model.replay import cover, replay, write_tree, write_walks
from tests.proofs.model.search import LARGE, explore, recorded
from tests.proofs.model.world import World
from tests.support.figures import Tell

ORDER = World(lots=0, coordinator=1)
EVERY_ACT = World(operations=1, demands=False, withdrawals=False, revisions=False)
DOUBTS = World(operations=1, revisions=False, failures=0)
GATES = World(operations=1, demands=False, withdrawals=False, revisions=False, failures=0, second=1, waivers=True)


@pytest.mark.contracts
def test_contracts_do_what_the_model_says(forge_build: Path, tell: Tell) -> None:
    order = explore(ORDER)
    every, doubts, gates = explore(EVERY_ACT), explore(DOUBTS), explore(GATES)
    streams = {
        "order": (ORDER, write_tree(order, cover(order, every=2))),
        "everyAct": (EVERY_ACT, write_tree(every, cover(every, every=5))),
        "doubts": (DOUBTS, write_tree(doubts, cover(doubts, every=5))),
        "gates": (GATES, write_tree(gates, cover(gates, every=20))),
        "random": (LARGE, write_walks(LARGE, recorded(LARGE, 60, 60, seed=21))),
    }
    for name, done in replay(streams, build=forge_build.parent).items():
        tell(f"{name}: {done.accepted} acts accepted and {done.refused} refused, as the model says")
