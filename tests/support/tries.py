"""Tries built with the reference implementation that py-evm uses, and their proofs."""

from __future__ import annotations

from collections.abc import Mapping

from trie.hexary import HexaryTrie

from ledger.rlp import RlpItem, encode_rlp
from ledger.trie import EMPTY_ROOT


def build_trie(values: Mapping[bytes, bytes]) -> HexaryTrie:
    """A trie with RLP values under 32-byte keys."""
    built = HexaryTrie({})
    for key, value in values.items():
        built[key] = value
    return built


def path_of(built: HexaryTrie, key: bytes) -> list[RlpItem]:
    """All nodes on the path to `key`, as RLP items."""
    return list(built.get_proof(key))  # type: ignore[no-untyped-call]  # py-trie types it in part


def prove(built: HexaryTrie, key: bytes) -> list[bytes]:
    """The nodes on the path to `key` that are not embedded in their parents."""
    if built.root_hash == EMPTY_ROOT:
        return []
    nodes = [encode_rlp(node) for node in path_of(built, key)]
    return [node for place, node in enumerate(nodes) if place == 0 or len(node) >= 32]
