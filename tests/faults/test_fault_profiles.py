"""The short profiles of faults: every kind, a little of each. `scripts/prove faults NAME` runs the long ones."""

from __future__ import annotations

import pytest

from tests.faults.chains import find_anvil
from tests.faults.runs import RUNS, run_faults
from tests.support import cluster

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(find_anvil() is None, reason="anvil is absent; run `npm ci --ignore-scripts` in contracts/"),
]
SEED = 20
COUNTS = {"rpc": 150, "kill": 8, "nonce": 12, "reorg": 10, "disk": 12, "clock": 2, "offline": 200, "rotate": 3}
COUNTS |= {"handover": 8, "node": 4, "sockets": 260, "soak": 4, "failover": 3}


_LEFT_OUT = {"node", "sockets", "handover", "failover", "soak"}


@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=pytest.mark.left_out) if one in _LEFT_OUT else one for one in RUNS]
)
def test_nothing_is_lost_doubled_or_made_up(name: str) -> None:
    if name == "failover" and (missing := cluster.describe_missing()) is not None:
        pytest.skip(missing)
    report = run_faults(name, COUNTS[name], SEED)
    found = report.outcome.check
    assert found.acknowledged > 0
    assert (found.lost, found.duplicate, found.phantom, found.misordered) == (0, 0, 0, 0)
    assert found.replay_equal, "the index is a fresh replay's"
    assert found.heads_equal, "and has the contracts' heads"
    told = [line for line in report.outcome.broken if not line.startswith("memory grows")]
    assert told == [], "what it comes to need in time is for the long run to say"
    assert sum(report.outcome.injected.values()) >= min(COUNTS[name], 3)
