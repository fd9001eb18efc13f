"""Evidence: salted entries in one append-only Merkle log per stream (DESIGN "Evidence leaf").

Leaf data = tag, 32-byte salt of that entry, canonical JSON of the entry; the tree is RFC 9162 section 2.1 over SHA-256.
What is on chain is the tree's size and root; an entry is shown by its salt, its bytes and an inclusion proof. The salt
keeps a stranger from guessing measured values out of their hashes.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from ledger.canonical import Json, canonical_json, sha256
from ledger.errors import RecordError
from ledger.merkle import Tree, leaf_hash

__all__ = [
    "EVIDENCE_TAG",
    "SALT_BYTES",
    "EvidenceEntry",
    "EvidenceLog",
    "build_inference_context",
    "build_leaf_data",
    "build_leaf_data_of",
]

EVIDENCE_TAG = b"millmark.evidence.v1\0"
CONTEXT_TAG = b"millmark.inference-context.v1\0"
SALT_BYTES = 32


def build_leaf_data(salt: bytes, entry: Json) -> bytes:
    """The bytes under a leaf. Raises CanonicalError when the entry has no canonical form, RecordError when the salt has
    not 32 bytes: one of another length could be read as the beginning of another entry."""
    return build_leaf_data_of(salt, canonical_json(entry))


def build_leaf_data_of(salt: bytes, text: bytes) -> bytes:
    """As `build_leaf_data`, of an entry that is canonical JSON already."""
    _verify_size("salt", salt, SALT_BYTES)
    return EVIDENCE_TAG + salt + text


def build_inference_context(
    *, chain_id: int, ledger: bytes, lot: bytes, stream: bytes, leaf_index: int, leaf: bytes
) -> bytes:
    """32 bytes that bind an inference to one ledger, one lot and one measured entry, so that a verdict cannot be shown
    for another part. All numbers are 32-byte big-endian words; `ledger` is an address, padded on the left.

    Raises RecordError when a part has another length: put one behind the other, two contexts could become the same."""
    _verify_size("ledger", ledger, 20)
    for name, part in (("lot", lot), ("stream", stream), ("leaf", leaf)):
        _verify_size(name, part, 32)
    words = (
        chain_id.to_bytes(32, "big"),
        ledger.rjust(32, b"\0"),
        lot,
        stream,
        leaf_index.to_bytes(32, "big"),
        leaf,
    )
    return sha256(CONTEXT_TAG + b"".join(words))


def _verify_size(name: str, part: bytes, size: int) -> None:
    if len(part) != size:
        raise RecordError(f"{name} has {len(part)} bytes", hint=f"give {size} bytes")


@dataclass(frozen=True, slots=True)
class EvidenceEntry:
    """One entry as the stream's owner keeps it."""

    index: int
    salt: bytes
    entry: Json
    leaf_hash: bytes
    """RFC 9162 leaf hash, 32 bytes."""


@dataclass(slots=True)
class EvidenceLog:
    """A stream's log in memory."""

    entries: list[EvidenceEntry] = field(default_factory=list)
    tree: Tree = field(default_factory=Tree)

    def append(self, entry: Json, salt: bytes | None = None) -> EvidenceEntry:
        """Adds an entry under a new random salt, or the one given. Raises CanonicalError, and then adds nothing."""
        salt = secrets.token_bytes(SALT_BYTES) if salt is None else salt
        leaf = leaf_hash(build_leaf_data(salt, entry))
        added = EvidenceEntry(self.tree.append(leaf), salt, entry, leaf)
        self.entries.append(added)
        return added
