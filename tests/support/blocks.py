"""Blocks and receipts in a node's JSON form, hashed with rlp, py-trie and eth_utils, independently of our code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import rlp
from eth_utils.crypto import keccak
from trie.hexary import HexaryTrie

_EMPTY = "0x"


def receipts_root(receipts: Sequence[dict[str, Any]]) -> str:
    """Receipts root of receipts in JSON-RPC form."""
    trie = HexaryTrie({})
    for place, receipt in enumerate(receipts):
        logs = [
            [_raw(log["address"]), [_raw(topic) for topic in log["topics"]], _raw(log["data"])]
            for log in receipt["logs"]
        ]
        body = rlp.encode(
            [int(receipt["status"], 16), int(receipt["cumulativeGasUsed"], 16), _raw(receipt["logsBloom"]), logs]
        )
        kind = int(receipt.get("type", "0x0"), 16)
        trie[rlp.encode(place)] = (bytes([kind]) if kind else b"") + body
    return "0x" + trie.root_hash.hex()


def block(receipts: Sequence[dict[str, Any]] = (), **changed: str) -> dict[str, Any]:
    """A block of the London fork with these receipts. `changed` replaces header fields before the block is hashed."""
    fields = {
        "parentHash": "0x" + "33" * 32,
        "sha3Uncles": "0x" + "44" * 32,
        "miner": "0x" + "55" * 20,
        "stateRoot": "0x" + "66" * 32,
        "transactionsRoot": "0x" + "77" * 32,
        "receiptsRoot": receipts_root(receipts),
        "logsBloom": "0x" + "00" * 256,
        "difficulty": "0x1",
        "number": "0x5",
        "gasLimit": "0x1c9c380",
        "gasUsed": "0x5208",
        "timestamp": "0x64",
        "extraData": _EMPTY,
        "mixHash": "0x" + "88" * 32,
        "nonce": "0x" + "00" * 8,
        "baseFeePerGas": "0x7",
    } | changed
    return {**fields, "hash": "0x" + keccak(rlp.encode([_item(name, value) for name, value in fields.items()])).hex()}


_NUMBERS = ("difficulty", "number", "gasLimit", "gasUsed", "timestamp", "baseFeePerGas")


def _item(name: str, value: str) -> int | bytes:
    return int(value, 16) if name in _NUMBERS else _raw(value)


def _raw(value: str) -> bytes:
    return bytes.fromhex(value[2:])
