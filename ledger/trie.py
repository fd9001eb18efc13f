"""Proofs in Ethereum's state and storage tries (yellow paper, appendix D; "secure" tries, whose keys are hashes).

Every key has 32 bytes, so every value is 64 nibbles below the root. That excludes most of what a trie node could
otherwise be: branches have no values, an extension leads to a branch, and a leaf's path is exactly the rest of the key.
Everything that cannot occur in an honestly built trie is refused, even where it would be harmless.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from millmark.ledger.canonical import keccak256
from millmark.ledger.errors import ProofError
from millmark.ledger.headers import RlpItem, decode_integer, decode_rlp, encode_rlp

EMPTY_ROOT = keccak256(b"\x80")
"""Root of a trie without keys: the hash of the RLP of an empty byte string."""
MAX_NODE_BYTES = 532
"""Size of the largest node: a branch with sixteen hashes (16 x 33, one empty value, three bytes of prefix)."""
MAX_PROOF_NODES = 65
"""64 branches and a leaf."""

_HASH_BYTES = 32
_NIBBLES = 64
_BRANCH, _SHORT_NODE = 17, 2
"""Number of items in a branch, and in a leaf or extension."""
_NODE_DEPTH = 4
"""Nested lists in a node. A node shorter than a hash is embedded in its parent; the deepest that fits is an extension
with a branch of leaves."""
_Items: TypeAlias = "Sequence[RlpItem]"


@dataclass(frozen=True, slots=True)
class TrieNode:
    """A node that has the hash by which it is referenced."""

    items: _Items
    size: int
    """Size of its encoding, in bytes."""


_Take: TypeAlias = Callable[[bytes], TrieNode]
"""Returns the node with a hash. Raises ProofError."""


@dataclass(frozen=True, slots=True)
class Account:
    """The state trie's entry of an address."""

    nonce: int
    balance: int
    """Wei."""
    storage_root: bytes
    """32 bytes; EMPTY_ROOT if the account has no storage."""
    code_hash: bytes
    """Keccak-256 of the code, 32 bytes."""


def verify_proof(root: bytes, key: bytes, nodes: Sequence[bytes]) -> bytes | None:
    """Return the RLP value under `key`, or None if the trie with `root` provably has none.

    `key` is the hashed key, 32 bytes. `nodes` are the RLP nodes from the root down that are not embedded in their
    parents, as returned by `eth_getProof` (EIP-1186); none for a trie without keys. Raises ProofError, also for a node
    that is not needed. Not established: that anybody committed to the root.
    """
    if not isinstance(nodes, (list, tuple)):
        raise ProofError("a trie proof must be a list of nodes")
    if len(nodes) > MAX_PROOF_NODES:
        raise ProofError(f"a trie proof has {len(nodes)} nodes, more than {MAX_PROOF_NODES}")
    rest: Iterator[bytes] = iter(nodes)

    def take(wanted: bytes) -> TrieNode:
        node = next(rest, None)
        if node is None:
            raise ProofError(f"the trie proof lacks node 0x{wanted.hex()}")
        return _parse_node(wanted, node)

    value = _walk(root, key, take)
    left = sum(1 for _ in rest)
    if left:
        raise ProofError(f"the trie proof has {left} superfluous nodes")
    return value


def verify_in(nodes: Mapping[bytes, bytes], root: bytes, key: bytes, used: dict[bytes, TrieNode]) -> bytes | None:
    """Like `verify_proof`, with nodes looked up by hash, for proofs that share nodes. Raises ProofError.

    Adds the nodes that it needed to `used`, by hash: the next proof need not parse them again, and the caller can
    refuse superfluous nodes afterwards.
    """

    def take(wanted: bytes) -> TrieNode:
        node = used.get(wanted)
        if node is None:
            data = nodes.get(wanted)
            if data is None:
                raise ProofError(f"the trie proof lacks node 0x{wanted.hex()}")
            node = used[wanted] = _parse_node(wanted, data)
        return node

    return _walk(root, key, take)


def parse_account(value: bytes) -> Account:
    """Parse a value of the state trie. Raises ProofError."""
    item = decode_rlp(value, max_depth=1)
    if isinstance(item, bytes) or len(item) != 4:
        raise ProofError("an account does not have four fields")
    nonce, balance, storage_root, code_hash = item
    return Account(
        nonce=decode_integer(nonce, 8),
        balance=decode_integer(balance, 32),
        storage_root=_hash("storage root", storage_root),
        code_hash=_hash("code hash", code_hash),
    )


def parse_word(value: bytes | None) -> bytes:
    """Return the 32 bytes of a storage slot from the storage trie's value; zeros for None. Raises ProofError. An
    explicit zero is accepted, although Ethereum deletes such keys: anvil commits to slots that were only read."""
    if value is None:
        return bytes(32)
    return decode_integer(decode_rlp(value, max_depth=0), 32).to_bytes(32, "big")


def _walk(root: bytes, key: bytes, take: _Take) -> bytes | None:
    _hash("root", root)
    path = _hash("key", key).hex()  # one hexadecimal digit per nibble
    if root == EMPTY_ROOT:
        return None
    node, position = take(root).items, 0
    while True:  # ends: every round but the last moves on by at least one nibble, of at most 64
        if position >= _NIBBLES and len(node) == _BRANCH:
            raise ProofError("the trie has a path that is longer than its keys")
        if len(node) == _BRANCH:
            reference, position = node[int(path[position], 16)], position + 1
            if reference == b"":
                return None
            node = _resolve(reference, take)
            continue
        is_leaf, part = _parse_path(node[0])
        if is_leaf:
            return _leaf_value(node[1], path[position:], part)
        if position + len(part) >= _NIBBLES:
            raise ProofError("the trie has a path that is longer than its keys")
        if not path.startswith(part, position):
            return None
        node, position = _resolve(node[1], take), position + len(part)
        if len(node) != _BRANCH:
            raise ProofError("a trie extension does not lead to a branch")


def _parse_node(wanted: bytes, data: bytes) -> TrieNode:
    if not isinstance(data, bytes) or len(data) > MAX_NODE_BYTES:
        raise ProofError(f"a trie node has more than {MAX_NODE_BYTES} bytes")
    if keccak256(data) != wanted:
        raise ProofError(f"a trie node does not have the hash 0x{wanted.hex()} by which it is referenced")
    return TrieNode(_checked_shape(decode_rlp(data, max_depth=_NODE_DEPTH)), len(data))


def _checked_shape(node: RlpItem) -> _Items:
    if isinstance(node, bytes) or len(node) not in (_SHORT_NODE, _BRANCH):
        raise ProofError("a trie node has neither two nor seventeen items")
    if len(node) == _BRANCH:
        if node[-1] != b"":
            raise ProofError("a trie branch has a value, although no key ends there")
        # With fewer, an honest trie has a leaf or an extension in its place.
        if len(node) - node.count(b"") < 2:
            raise ProofError("a trie branch has fewer than two children")
    return node


def _resolve(reference: RlpItem, take: _Take) -> _Items:
    """Return the referenced node. A reference is the node's hash or, if the node is shorter than that, the node itself.
    The other way round is refused, since it would give a trie a second root."""
    if not isinstance(reference, bytes):
        if len(encode_rlp(reference)) >= _HASH_BYTES:
            raise ProofError("a trie node is embedded in its parent although it is not shorter than a hash")
        return _checked_shape(reference)
    if len(reference) != _HASH_BYTES:
        raise ProofError(f"a trie node is referenced by {len(reference)} bytes")
    node = take(reference)
    if node.size < _HASH_BYTES:
        raise ProofError("a trie node is referenced by its hash although it is shorter than a hash")
    return node.items


def _parse_path(item: RlpItem) -> tuple[bool, str]:
    """Whether a node with this path is a leaf, and its nibbles as hexadecimal digits (yellow paper, appendix C)."""
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
        raise ProofError(f"{name} does not have {_HASH_BYTES} bytes")
    return item
