"""Computes the receipts root of a block, to show that none of its receipts is missing, added or changed.

Receipts are encoded as in EIP-2718 and the yellow paper (section 4.3.1). The root is that of the Merkle Patricia trie
(appendix D) from the RLP of each receipt's index to its encoding. It covers no hashes of blocks or transactions.
"""

from __future__ import annotations

from collections.abc import Sequence

from millmark.ledger.canonical import keccak256
from millmark.ledger.rlp import RlpItem, encode_integer, encode_list, encode_rlp

__all__ = ["EMPTY_ROOT", "build_root", "encode_receipt"]

EMPTY_ROOT = keccak256(b"\x80")
"""Root of a block without transactions."""
_HASH_BYTES = 32
_LEAF, _EXTENSION = 2, 0


_ADDRESS, _WORD = b"\x94", b"\xa0"
"""RLP's prefixes of 20 and of 32 bytes."""


def encode_receipt(
    kind: int,
    succeeded: bool,
    cumulative_gas: int,
    logs_bloom: bytes,
    logs: Sequence[tuple[bytes, Sequence[bytes], bytes]],
) -> bytes:
    """Encode a receipt. `kind` is the transaction's type (EIP-2718), a log is (address of 20 bytes, topics of 32 bytes,
    data)."""
    # Piece by piece, because most of what a follower encodes is logs: as one nested item they take half as long again.
    start = map(encode_rlp, (encode_integer(int(succeeded)), encode_integer(cumulative_gas), logs_bloom))
    body = encode_list([*start, encode_list(_encode_log(*log) for log in logs)])
    return body if kind == 0 else bytes([kind]) + body


def _encode_log(address: bytes, topics: Sequence[bytes], data: bytes) -> bytes:
    # The prefixes of addresses and words are written out: a follower encodes them more often than all else.
    words = _WORD.join((b"", *topics))
    return encode_list((_ADDRESS, address, encode_list((words,)), encode_rlp(data)))


def build_root(values: Sequence[bytes]) -> bytes:
    """Return the root of the trie that maps the RLP of each index to its value. No value may be empty."""
    if not values:
        return EMPTY_ROOT
    entries = [(encode_rlp(encode_integer(place)).hex(), value) for place, value in enumerate(values)]
    return keccak256(encode_rlp(_build(sorted(entries), 0)))


def _build(entries: Sequence[tuple[str, bytes]], depth: int) -> RlpItem:
    """Return the node for entries, sorted by path, whose paths agree up to `depth` nibbles.

    No path is a prefix of another, since no RLP encoding is. So no branch has a value.
    """
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
    """Number of nibbles in the common prefix of two paths, and hence of all paths sorted between them."""
    return next(place for place, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1])


def _refer(node: RlpItem) -> RlpItem:
    """Return a parent's reference to a node: the node's hash, or the node itself if that is shorter."""
    encoded = encode_rlp(node)
    return node if len(encoded) < _HASH_BYTES else keccak256(encoded)


def _pack(nibbles: str, kind: int) -> bytes:
    """Hex-prefix encoding (yellow paper, appendix C)."""
    odd = len(nibbles) % 2
    return bytes.fromhex(f"{kind + odd:x}" + ("" if odd else "0") + nibbles)
