"""What the profile `sockets` judges: a machine with other work does not decide it, a server that serves worse does."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from tests.faults.sockets import MAX_RATIO, Waits

TURNS, REQUESTS = 15, 25


def waits(calm: float, disturbed: float, loads: Sequence[float]) -> Waits:
    """Times around `calm` and `disturbed`, each block at a load of its own: calm, disturbed, calm ..."""
    dice = random.Random(1)  # noqa: S311 - a sample, not a secret
    blocks = [
        [(calm, disturbed)[place % 2] * load * dice.uniform(0.8, 1.2) for _ in range(REQUESTS)]
        for place, load in enumerate(loads)
    ]
    return Waits(blocks[::2], blocks[1::2], calm_processor_s=calm, disturbed_processor_s=disturbed)


@pytest.mark.parametrize("seed", range(5))
def test_other_work_on_the_machine_decides_nothing(seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - as above
    loads = [dice.choice([1, 1, 1, 1, 40]) for _ in range(2 * TURNS)]
    assert waits(0.01, 0.012, loads).broken("node") == []


def test_a_server_that_serves_others_worse_is_found() -> None:
    told = waits(0.01, 0.01 * (MAX_RATIO + 1), [1] * 2 * TURNS).broken("node")
    assert [line.split(" at the node")[0] for line in told] == [
        "others waited 4.0 times as long",
        "the slowest of others waited 4.0 times as long",
        "requests of others took 4.0 times the CPU time",
    ]


def test_a_few_that_wait_in_each_block_are_found() -> None:
    found = waits(0.01, 0.01, [1] * 2 * TURNS)
    for block in found.disturbed:
        block[3] = 1.0
    assert [line.split(" waited")[0] for line in found.broken("node")] == ["the slowest of others"]


def test_one_refused_request_is_told() -> None:
    found = waits(0.01, 0.01, [1] * 2 * TURNS)
    found.refused = 1
    assert found.broken("gateway") == ["1 requests of others were refused at the gateway"]
