"""A gateway that starts before its node answers serves what needs no node, and goes on by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from millmark.ledger.chain import Node
from millmark.ledger.chain.chain import LateChain, connect_or_wait
from millmark.ledger.errors import ChainUnreachableError, WrongChainError
from millmark.services.gateway import GatewayParts, build_policy, create_gateway
from tests.support.gateway_client import running
from tests.support.ledger_world import LedgerWorld, build_world
from tests.support.patience import wait_until
from tests.support.rpc import lost
from tests.support.stores import new_store


@pytest.fixture(scope="module")
def world() -> LedgerWorld:
    return build_world()


def silence(world: LedgerWorld) -> None:
    def fail(_: list[Any]) -> Any:
        raise lost()

    world.line.handlers["eth_chainId"] = fail


def connect(world: LedgerWorld) -> Any:
    return connect_or_wait(Node(world.line), world.chain.profile, world.chain.deployment)


def test_a_chain_connects_when_its_node_answers(world: LedgerWorld) -> None:
    silence(world)
    late = connect(world)
    assert isinstance(late, LateChain)
    assert (late.ledger, late.chain_id) == (world.chain.ledger, world.chain.chain_id)
    for _ in range(2):
        with pytest.raises(ChainUnreachableError):
            late.header(0)
    world.line.handlers.clear()
    assert late.header(0) == world.chain.header(0)
    world.line.passed.clear()
    assert late.contracts == world.chain.contracts
    assert world.line.passed == [], "connected once"
    assert not hasattr(late, "nothing")
    assert not isinstance(connect(world), LateChain)


def test_another_network_is_refused_at_once_and_late(world: LedgerWorld) -> None:
    silence(world)
    late = connect(world)
    world.line.handlers["eth_chainId"] = lambda _: "0x7"
    with pytest.raises(WrongChainError, match="the node serves chain 7"):
        late.header(0)
    with pytest.raises(WrongChainError, match="the node serves chain 7"):
        connect(world)
    world.line.handlers.clear()


def test_a_gateway_starts_before_its_node(world: LedgerWorld, tmp_path: Path) -> None:
    silence(world)
    with new_store(tmp_path) as store:
        parts = GatewayParts(store, build_policy("loopback-open"), chain=connect(world), follow_interval_s=0.01)
        with running(create_gateway(parts)) as caller:
            assert caller.ask("/health").status_code == 200
            wait_until(lambda: caller.ask("/v1/status").json()["chain_failure"] is not None)
            assert caller.ask("/ready").status_code == 503
            world.line.handlers.clear()
            wait_until(lambda: caller.ask("/ready").status_code == 200)
            assert caller.ask("/v1/lots").status_code == 200
