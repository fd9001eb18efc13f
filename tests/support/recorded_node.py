"""Recorded answers of chain nodes, and observations that differ from a healthy one in what a test is about."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from millmark.ledger.chain import RpcError
from millmark.services.network import Consensus
from millmark.services.network.observing import Observation, SealedBy
from tests.support.local_network import unsafe_test_key

_RECORDED = Path(__file__).parents[1] / "vectors" / "network_status.json"
"""What a node of four QBFT validators, and one of five Clique signers, answered `observe` while one was down."""


class RecordedNode:
    """A transport that gives a node's recorded answers."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers

    def request(self, method: str, params: list[Any]) -> Any:
        found = self.answers.get(f"{method} {json.dumps(params)}", {"error": {"code": -32601, "message": "not found"}})
        if isinstance(found, dict) and "error" in found:
            raise RpcError(found["error"]["code"], found["error"]["message"])
        return {"logsBloom": "0x" + "0" * 512, **found} if method == "eth_getBlockByNumber" else found


def recorded(name: str) -> tuple[RecordedNode, float]:
    """The node's answers, and when they were given, Unix time."""
    found = json.loads(_RECORDED.read_text())[name]
    return RecordedNode(found["answers"]), found["taken_at"]


VALIDATORS = tuple(sorted(unsafe_test_key(number).address for number in range(7)))


def healthy(count: int = 4, consensus: Consensus = Consensus.QBFT, **changed: Any) -> Observation:
    """A network in which every validator proposes in turn, seen through the first one's node."""
    validators = VALIDATORS[:count]
    window = tuple(
        SealedBy(
            number=100 - age,
            hash=bytes([age]) * 32,
            timestamp=10_000 - age,
            consensus=consensus,
            proposer=validators[-age % count],
            sealers=validators if consensus is Consensus.QBFT else (validators[-age % count],),
            validators=validators if consensus is Consensus.QBFT else (),
            round=0,
            vote=None,
        )
        for age in range(2 * count)
    )
    seen = Observation(
        url="http://127.0.0.1:8545",
        chain_id=4711,
        consensus=consensus,
        number=100,
        hash=window[0].hash,
        head_age_s=1,
        highest_block=None,
        peers=count - 1,
        connected=frozenset(validators[1:]),
        validators=validators,
        window=window,
        votes=(),
        votes_since=None,
    )
    return replace(seen, **changed)


def without(seen: Observation, *gone: bytes) -> Observation:
    """The same network, in which some validators take no part."""
    there = [one for one in seen.validators if one not in gone]
    window = tuple(
        replace(
            block,
            proposer=block.proposer if block.proposer in there else there[0],
            sealers=tuple(one for one in block.sealers if one in there),
        )
        for block in seen.window
    )
    connected = None if seen.connected is None else seen.connected.difference(gone)
    return replace(seen, window=window, connected=connected, peers=seen.peers - len(gone))
