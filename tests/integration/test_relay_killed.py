"""A factory behind a relay that is killed right before or right after a move of its records, and started again."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from millmark.ledger.canonical import sha256
from millmark.ledger.records import Contract, ReceiveLot
from millmark.ledger.store import open_store as open_own
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.submit.submitter import Lease
from millmark.services.store import open_store
from tests.faults.agent import CRASH_POINTS, RELAY, CrashingOutbox, KillPoint
from tests.support.ledger_world import NOTHING
from tests.support.relay_world import RelayWorld, open_relay_world

pytestmark = pytest.mark.integration
MOST_TURNS = 10


@pytest.fixture
def world(tmp_path: Path) -> Iterator[RelayWorld]:
    with open_relay_world(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", CRASH_POINTS[RELAY])
def test_records_are_on_the_ledger_once_wherever_their_factory_is_killed(
    world: RelayWorld, step: str, after: bool
) -> None:
    chain = world.world.chain
    before, nonce = chain.sequence(Contract.LEDGER), chain.forward_nonce(world.factory.address)
    world.submitter().submit([(name, ReceiveLot(sha256(name.encode()), 5, b"H87", NOTHING)) for name in ("one", "two")])
    point = KillPoint(step, after)
    turns = 0
    while not is_killed_in_its_turn(world, point):
        turns += 1
        assert turns < MOST_TURNS, "it never came to that step"
        world.gateway_relay.step()
    world.settle(world.submitter())
    assert chain.sequence(Contract.LEDGER) == before + 2
    assert chain.forward_nonce(world.factory.address) == nonce + 1
    assert Outbox(world.own, relayed=True).is_idle(world.factory.address)


def is_killed_in_its_turn(world: RelayWorld, point: KillPoint) -> bool:
    """Whether the factory, which takes a step in a process of its own, was killed at the point."""
    child = os.fork()
    if child == 0:
        _take_turn(world, point)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.waitstatus_to_exitcode(status) == 0
    return False


def _take_turn(world: RelayWorld, point: KillPoint) -> None:
    """With its own handles on both databases; never returns."""
    try:
        own, store = open_own(world.own.url), open_store(world.store.url)
        alone = RelayWorld(world.world, store, own, world.factory, world.stranger, world.relayer)
        lease = Lease(CrashingOutbox(own, point, relayed=True), world.factory.address)
        alone.submitter(lease=lease).step()
        os._exit(0)
    finally:
        os._exit(1)
