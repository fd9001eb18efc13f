"""Proofs in Ethereum's state and storage tries (yellow paper, appendix D; "secure" tries, whose keys are hashes).

Every key is 32 bytes, so every value sits 64 nibbles below the root. That rules out most of what a trie node could
otherwise be: a branch has no value of its own, an extension leads to a branch, a leaf's path is as long as what is
left. Whatever no honest trie contains is refused, even where it could do no harm: it did not come from one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ledger.canonical import keccak256
from ledger.errors import ProofError
from ledger.rlp import RlpItem, decode_integer, decode_rlp, encode_rlp

__all__ = [
    "EMPTY_ROOT",
    "MAX_NODE_BYTES",
    "MAX_PROOF_NODES",
    "Account",
    "parse_account",
    "parse_word",
    "verify_in",
    "verify_proof",
]

EMPTY_ROOT = keccak256(b"\x80")
"""Root of a trie without keys: the hash of RLP's empty byte string."""
MAX_NODE_BYTES = 532
"""The largest node: a branch with sixteen hashes (16 x 33, one empty value, three bytes of prefix)."""
MAX_PROOF_NODES = 65
"""64 branches and a leaf."""

_HASH_BYTES = 32
_NIBBLES = 64
_BRANCH, _SHORT_NODE = 17, 2
"""Items of a branch; of a leaf and an extension."""
_NODE_DEPTH = 4
"""Lists in lists: what is shorter than a hash is written into its parent, and at most an extension fits there that
leads to a branch of leaves."""
_Node: TypeAlias = "Sequence[RlpItem]"
_Take: TypeAlias = Callable[[bytes], bytes]
"""Gives the node that a hash names."""


@dataclass(frozen=True, slots=True)
class Account:
    """What the state trie says of an address."""

    nonce: int
    balance: int
    """In wei."""
    storage_root: bytes
    """32 bytes; EMPTY_ROOT when nothing is stored."""
    code_hash: bytes
    """Keccak-256 of the code, 32 bytes."""


def verify_proof(root: bytes, key: bytes, nodes: Sequence[bytes]) -> bytes | None:
    """Return the RLP value under `key`, or None when the trie with `root` provably has none.

    `key` is the hashed path, 32 bytes; `nodes` are the RLP nodes from the root down that are not written into their
    parents, as `eth_getProof` gives them (EIP-1186); none at all for a trie without keys. Raises ProofError, also for
    a node that is not needed. Not established: that anybody stands by the root.
    """
    if not isinstance(nodes, (list, tuple)):
        raise ProofError("a trie proof is a list of nodes")
    if len(nodes) > MAX_PROOF_NODES:
        raise ProofError(f"a trie proof has {len(nodes)} nodes, more than {MAX_PROOF_NODES}")
    rest: Iterator[bytes] = iter(nodes)

    def take(wanted: bytes) -> bytes:
        node = next(rest, None)
        if node is None:
            raise ProofError(f"the trie proof lacks node 0x{wanted.hex()}")
        return node

    value = _walk(root, key, take)
    left = sum(1 for _ in rest)
    if left:
        raise ProofError(f"the trie proof has {left} nodes that it does not need")
    return value


def verify_in(nodes: Mapping[bytes, bytes], root: bytes, key: bytes, used: set[bytes] | None = None) -> bytes | None:
    """As `verify_proof`, with nodes found by hash, for many proofs that share them. Raises ProofError.

    Adds the hashes of the nodes on the way to `used`: whoever must not have a superfluous one compares afterwards.
    """

    def take(wanted: bytes) -> bytes:
        node = nodes.get(wanted)
        if node is None:
            raise ProofError(f"the trie proof lacks node 0x{wanted.hex()}")
        if used is not None:
            used.add(wanted)
        return node

    return _walk(root, key, take)


def parse_account(value: bytes) -> Account:
    """Parse the state trie's value of an address. Raises ProofError."""
    item = decode_rlp(value, max_depth=1)
    if isinstance(item, bytes) or len(item) != 4:
        raise ProofError("an account has four fields")
    nonce, balance, storage_root, code_hash = item
    return Account(
        nonce=decode_integer(nonce, 8),
        balance=decode_integer(balance, 32),
        storage_root=_hash("storage root", storage_root),
        code_hash=_hash("code hash", code_hash),
    )


def parse_word(value: bytes | None) -> bytes:
    """The 32 bytes of a storage slot from the storage trie's value: zeros where there is none. Raises ProofError.

    A written zero is taken: anvil commits to slots that were read and never written. It says what absence says.
    """
    if value is None:
        return bytes(32)
    return decode_integer(decode_rlp(value, max_depth=0), 32).to_bytes(32, "big")


def _walk(root: bytes, key: bytes, take: _Take) -> bytes | None:
    _hash("root", root)
    path = _hash("key", key).hex()  # one hexadecimal digit a nibble
    if root == EMPTY_ROOT:
        return None
    node, position = _parse_node(_taken(root, take)), 0
    while True:
        if position >= _NIBBLES and len(node) == _BRANCH:
            raise ProofError("the trie is deeper than its keys are long")
        if len(node) == _BRANCH:
            reference, position = _child(node, int(path[position], 16)), position + 1
            if reference == b"":
                return None
            node = _resolve(reference, take)
            continue
        is_leaf, part = _parse_path(node[0])
        if is_leaf:
            return _leaf_value(node[1], path[position:], part)
        if position + len(part) >= _NIBBLES:
            raise ProofError("the trie is deeper than its keys are long")
        if not path.startswith(part, position):
            return None
        node, position = _resolve(node[1], take), position + len(part)
        if len(node) != _BRANCH:
            raise ProofError("a trie extension leads to no branch")


def _taken(wanted: bytes, take: _Take) -> bytes:
    node = take(wanted)
    if not isinstance(node, bytes) or len(node) > MAX_NODE_BYTES:
        raise ProofError(f"a trie node is not at most {MAX_NODE_BYTES} bytes")
    if keccak256(node) != wanted:
        raise ProofError(f"a trie node does not have the hash 0x{wanted.hex()} that leads to it")
    return node


def _parse_node(data: bytes) -> _Node:
    node = decode_rlp(data, max_depth=_NODE_DEPTH)
    return _checked_shape(node)


def _checked_shape(node: RlpItem) -> _Node:
    if isinstance(node, bytes) or len(node) not in (_SHORT_NODE, _BRANCH):
        raise ProofError("a trie node has neither two items nor seventeen")
    return node


def _resolve(reference: RlpItem, take: _Take) -> _Node:
    """The node behind a reference: its hash, or, where that is shorter than one, the node itself."""
    if not isinstance(reference, bytes):
        if len(encode_rlp(reference)) >= _HASH_BYTES:
            raise ProofError("a trie node is written into its parent though it is longer than its hash")
        return _checked_shape(reference)
    if len(reference) != _HASH_BYTES:
        raise ProofError(f"a trie node is referred to by {len(reference)} bytes")
    data = _taken(reference, take)
    if len(data) < _HASH_BYTES:
        raise ProofError("a trie node is referred to by its hash though it is shorter")
    return _parse_node(data)


def _child(branch: _Node, nibble: int) -> RlpItem:
    *children, value = branch
    if value != b"":
        raise ProofError("a trie branch has a value: no key ends there")
    if sum(child != b"" for child in children) < 2:
        raise ProofError("a trie branch has fewer than two children")
    return children[nibble]


def _parse_path(item: RlpItem) -> tuple[bool, str]:
    """Whether the node is a leaf, and its nibbles (yellow paper, appendix C: hex-prefix)."""
    if not isinstance(item, bytes) or not item or len(item) > _HASH_BYTES + 1:
        raise ProofError("a trie path is not 1 to 33 bytes")
    flag, nibbles = item[0] >> 4, item.hex()[1:]
    if flag > 3 or (not flag & 1 and nibbles[0] != "0"):
        raise ProofError("a trie path has an unknown prefix")
    part = nibbles if flag & 1 else nibbles[1:]
    if flag < 2 and not part:
        raise ProofError("a trie extension has no path")
    return flag >= 2, part


def _leaf_value(value: RlpItem, rest: str, part: str) -> bytes | None:
    if len(part) != len(rest):
        raise ProofError("a trie leaf is not at the depth of its key")
    if not isinstance(value, bytes) or not value:
        raise ProofError("a trie leaf has no value")
    return value if part == rest else None


def _hash(name: str, item: object) -> bytes:
    if not isinstance(item, bytes) or len(item) != _HASH_BYTES:
        raise ProofError(f"{name} is not {_HASH_BYTES} bytes")
    return item
