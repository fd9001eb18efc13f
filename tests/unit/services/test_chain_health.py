"""What a node's answers about itself say: the chain stands, the node is cut off, catching up, or behind."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from ledger.chain import Chain, Node, RpcError
from services.text.chain_health import ChainHealth, observe_chain
from tests.support.ledger_world import build_world
from tests.support.rpc import lost

WELL = ChainHealth(block_number=90, head_age_s=29, peers=3, highest_block=None, seen_block=90, timed_blocks=True)
ALARMS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    ({"peers": 0}, []),
    ({"seen_block": -1}, []),
    (
        {"head_age_s": 30},
        ["no block for 30 s: the chain stands, or this node is cut off from its validators (net_peerCount 3)"],
    ),
    (
        {"head_age_s": 30, "peers": None},
        ["no block for 30 s: the chain stands, or this node is cut off from its validators (net_peerCount unknown)"],
    ),
    (
        {"head_age_s": 99, "peers": 0},
        ["no block for 99 s: this node is cut off (net_peerCount 0), or the network has no other node"],
    ),
    ({"head_age_s": 9999, "timed_blocks": False}, []),
    ({"seen_block": 91}, ["this node is behind: its latest block is 90, block 91 is known"]),
    ({"highest_block": 99, "seen_block": 95}, ["this node is catching up: block 90 of 99"]),
]


@pytest.mark.parametrize(("found", "alarms"), ALARMS, ids=str)
def test_each_alarm_says_what_is_known(found: dict[str, Any], alarms: list[str]) -> None:
    health = dataclasses.replace(WELL, **found)
    assert health.alarms() == alarms
    assert health.to_json()["stalls"] is any(line.startswith("no block") for line in alarms)


def test_a_node_is_asked_about_itself() -> None:
    world = build_world()
    profile = dataclasses.replace(world.chain.profile, timed_blocks=True)
    chain = Chain(world.chain.node, profile, world.chain.deployment)
    time_s = chain.node.header().timestamp
    assert observe_chain(chain, 4, time_s + 7) == ChainHealth(6, 7, None, None, 4, timed_blocks=True)
    assert observe_chain(chain, 4, time_s - 7).head_age_s == 0, "this machine's clock is wrong"
    world.line.handlers |= {
        "net_peerCount": lambda _: "0x0",
        "eth_syncing": lambda _: {"currentBlock": "0x6", "highestBlock": "0x63"},
    }
    assert observe_chain(chain, 4, time_s) == ChainHealth(6, 0, 0, 99, 4, timed_blocks=True)
    world.line.handlers["eth_syncing"] = lambda _: False
    assert chain.node.syncing() is None


def test_a_node_that_does_not_answer_is_not_one_that_does_not_tell() -> None:
    world = build_world()

    def fail(_: list[Any]) -> Any:
        raise lost()

    def refuse(_: list[Any]) -> Any:
        raise RpcError(-32601, "the method net_peerCount is not available")

    world.line.handlers["net_peerCount"] = refuse
    assert Node(world.line).peer_count() is None
    world.line.handlers["net_peerCount"] = fail
    with pytest.raises(type(lost())):
        Node(world.line).peer_count()
