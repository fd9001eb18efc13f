"""Four companies record on validators while one is killed, the network is cut, and a company asks two nodes of
different height. `scripts/prove network` runs all kinds, many times."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.network.part import Pace, disturb
from tests.support.figures import Tell
from tests.support.networks import SEED, SharedNetwork

pytestmark = pytest.mark.network
KINDS = ("kill", "cut-half", "two-back-ends")


def test_nothing_is_lost_doubled_or_made_up(network: SharedNetwork, tmp_path: Path, tell: Tell) -> None:
    part = disturb(network.linked, tmp_path, KINDS, SEED, Pace(least_s=3.0, most_s=3.0))
    check = part.check
    times = ", ".join(f"{one.kind} {one.engine_s:.1f}+{one.final_s:.1f} s" for one in part.injected)
    tell(f"network: {check.acknowledged} records, {network.describe()}; engine's and own recovery: {times}")
    assert [one.kind for one in part.injected] == list(KINDS)
    assert check.acknowledged > 100
    assert (check.lost, check.duplicate, check.phantom, check.misordered) == (0, 0, 0, 0)
    assert check.replay_equal, "each company's index is a fresh replay's"
    assert check.heads_equal, "and has the contracts' heads"
    assert part.broken == (), "how long it takes is for the long run to say"
