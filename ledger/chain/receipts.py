"""All receipts of a block, checked against the receipts root in its header: none is missing, added or changed.

A receipt is encoded as EIP-2718 and the yellow paper (section 4.3.1) have it, and the root is that of the Merkle
Patricia trie (appendix D) from the RLP of each receipt's place to its encoding. Not established by the root: the hashes
of block and transaction, which are no part of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledger.canonical import keccak256
from ledger.rlp import RlpItem, encode_integer, encode_rlp

__all__ = ["build_root", "encode_receipt"]

_EMPTY_ROOT = keccak256(b"\x80")
_HASH_BYTES = 32
_LEAF, _EXTENSION = 2, 0


def encode_receipt(
    kind: int,
    succeeded: bool,
    cumulative_gas: int,
    logs_bloom: bytes,
    logs: Sequence[tuple[bytes, Sequence[bytes], bytes]],
) -> bytes:
    """A receipt's place in the trie. `kind` is the transaction's type, a log (address, topics, data)."""
    shown: list[RlpItem] = [[address, list(topics), data] for address, topics, data in logs]
    body = encode_rlp([encode_integer(int(succeeded)), encode_integer(cumulative_gas), logs_bloom, shown])
    return body if kind == 0 else bytes([kind]) + body


def build_root(values: Sequence[bytes]) -> bytes:
    """Root of the trie that holds each value, none of them empty, under the RLP of its place."""
    if not values:
        return _EMPTY_ROOT
    entries = [(encode_rlp(encode_integer(place)).hex(), value) for place, value in enumerate(values)]
    return keccak256(encode_rlp(_build(sorted(entries), 0)))


def _build(entries: Sequence[tuple[str, bytes]], depth: int) -> RlpItem:
    """The node over entries, sorted by path, whose paths are equal up to `depth` nibbles. No path is the beginning of
    another one: none of the RLP encodings is."""
    path, value = entries[0]
    if len(entries) == 1:
        return [_pack(path[depth:], _LEAF), value]
    shared = _shared(path, entries[-1][0])
    if shared > depth:
        return [_pack(path[depth:shared], _EXTENSION), _refer(_build(entries, shared))]
    children: list[RlpItem] = []
    for nibble in "0123456789abcdef":
        under = [entry for entry in entries if entry[0][depth] == nibble]
        children.append(_refer(_build(under, depth + 1)) if under else b"")
    return [*children, b""]


def _shared(first: str, last: str) -> int:
    """Nibbles that both paths begin with, and so all those sorted between them."""
    return next(place for place, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1])


def _refer(node: RlpItem) -> RlpItem:
    """What a parent holds of a node: the node itself when that is shorter than its hash."""
    encoded = encode_rlp(node)
    return node if len(encoded) < _HASH_BYTES else keccak256(encoded)


def _pack(nibbles: str, kind: int) -> bytes:
    """Hex-prefix encoding (yellow paper, appendix C)."""
    odd = len(nibbles) % 2
    return bytes.fromhex(f"{kind + odd:x}" + ("" if odd else "0") + nibbles)
