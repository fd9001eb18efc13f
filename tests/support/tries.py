"""Tries built with the reference implementation that py-evm uses, and their proofs; and a builder of all nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile

from trie.hexary import HexaryTrie

from millmark.ledger.canonical import keccak256
from millmark.ledger.headers import RlpItem, encode_rlp
from millmark.ledger.trie import EMPTY_ROOT


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


def build_nodes(values: Sequence[tuple[bytes, bytes]]) -> tuple[bytes, dict[bytes, bytes]]:
    """Root and nodes, by hash, of the trie with these values, whose keys ascend.

    In one go, from the keys down: forgeries build hundreds of thousands of tries, and the reference implementation
    rebuilds the path from the root for each value. `test_trie.py` compares the two.
    """
    nodes: dict[bytes, bytes] = {}
    if not values:
        return EMPTY_ROOT, nodes
    top = encode_rlp(_node([(key.hex(), value) for key, value in values], 0, nodes))
    nodes[keccak256(top)] = top
    return keccak256(top), nodes


def _node(values: Sequence[tuple[str, bytes]], depth: int, nodes: dict[bytes, bytes]) -> RlpItem:
    """The node under which values lie whose paths agree in their first `depth` nibbles."""
    first, last = values[0][0], values[-1][0]
    if len(values) == 1:
        return [_path(first[depth:], leaf=True), values[0][1]]
    shared = sum(1 for _ in takewhile(lambda two: two[0] == two[1], zip(first, last, strict=True)))
    if shared > depth:
        return [_path(first[depth:shared], leaf=False), _reference(_node(values, shared, nodes), nodes)]
    children: list[RlpItem] = [b""] * 17
    for digit in range(16):
        below = [one for one in values if int(one[0][depth], 16) == digit]
        if below:
            children[digit] = _reference(_node(below, depth + 1, nodes), nodes)
    return children


def _reference(node: RlpItem, nodes: dict[bytes, bytes]) -> RlpItem:
    encoded = encode_rlp(node)
    if len(encoded) < 32:
        return node
    nodes[keccak256(encoded)] = encoded
    return keccak256(encoded)


def _path(nibbles: str, *, leaf: bool) -> bytes:
    """Yellow paper, appendix C."""
    flag = 2 * leaf + len(nibbles) % 2
    return bytes.fromhex(f"{flag}{nibbles}" if flag % 2 else f"{flag}0{nibbles}")
