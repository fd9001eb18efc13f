"""What a node's answers about itself say: the chain stands, the node is cut off, catching up, or behind."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from millmark.ledger.chain import Chain, EmbeddedChain, Node, RpcError
from millmark.ledger.keys import LocalSigner
from millmark.services.text.chain_health import ROUNDS_REMEDY, STANDS_REMEDY, ChainHealth, observe_chain
from tests.support.ledger_world import build_world
from tests.support.rpc import lost

WELL = ChainHealth(block_number=90, head_age_s=29, peers=3, highest_block=None, seen_block=90, timed_blocks=True)
ALARMS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    ({"peers": 0}, []),
    ({"seen_block": -1}, []),
    (
        {"head_age_s": 30},
        [
            "no block for 30 s: the chain stands, or this node is cut off from its validators (net_peerCount 3); "
            + STANDS_REMEDY
        ],
    ),
    (
        {"head_age_s": 30, "peers": None},
        [
            "no block for 30 s: the chain stands, or this node is cut off from its validators (net_peerCount unknown); "
            + STANDS_REMEDY
        ],
    ),
    (
        {"head_age_s": 99, "peers": 0},
        [
            "no block for 99 s: this node is cut off (net_peerCount 0), or the network has no other node; "
            + STANDS_REMEDY
        ],
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


@pytest.mark.parametrize(
    ("rounds", "late"),
    [((), 0), ((0,) * 8, 0), ((0, 0, 0, 0, 0, 0, 0, 3), 1), ((0, 1, 0, 0, 0, 2, 0, 0), 2), ((1, 1), 2)],
)
def test_later_rounds_are_a_warning_with_its_remedy(rounds: tuple[int, ...], late: int) -> None:
    health = dataclasses.replace(WELL, rounds=rounds)
    expected = f"{late} of the last {len(rounds)} blocks took more than one round: {ROUNDS_REMEDY}"
    assert health.warnings() == ([expected] if late >= 2 else [])
    assert health.alarms() == [], "the chain goes on"
    assert health.to_json()["late_rounds"] == late


def test_the_rounds_of_a_sealed_chain_are_read_from_its_latest_blocks() -> None:
    keys = [LocalSigner.generate() for _ in range(4)]
    node = Node(EmbeddedChain(validators=keys))
    for _ in range(3):
        node.wait(1)
    assert node.header().round == 0
    world = build_world()
    assert world.chain.node.header().round is None, "no seals"
    chain = Chain(world.chain.node, world.chain.profile, world.chain.deployment)
    chain.node = node
    assert observe_chain(chain, -1, 0).rounds == (0,) * (node.block_number() + 1)


def test_a_node_is_asked_about_itself() -> None:
    world = build_world()
    chain = world.chain_with(timed_blocks=True)
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
