"""Evidence: salted entries in one append-only Merkle log per stream (DESIGN "Evidence leaf").

Leaf data are a tag, a 32-byte salt per entry and the entry's canonical JSON; the tree is that of RFC 9162 section 2.1
over SHA-256. The chain records the tree's size and root; an entry is proved by its salt, its bytes and an inclusion
proof. The salt prevents outsiders from guessing measured values from their hashes.
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
    """Return the data whose RFC 9162 leaf hash goes into the stream's tree.

    Raises CanonicalError when the entry has no canonical JSON, RecordError when the salt does not have 32 bytes: with
    another length, part of the salt could be passed off as part of the entry.
    """
    return build_leaf_data_of(salt, canonical_json(entry))


def build_leaf_data_of(salt: bytes, text: bytes) -> bytes:
    """Like `build_leaf_data`, for an entry that is canonical JSON already. Raises RecordError."""
    _verify_size("salt", salt, SALT_BYTES)
    return EVIDENCE_TAG + salt + text


def build_inference_context(
    *, chain_id: int, ledger: bytes, lot: bytes, stream: bytes, leaf_index: int, leaf: bytes
) -> bytes:
    """Return the 32 bytes that bind an inference to one ledger, one lot and one measured entry.

    They keep a verdict from being passed off as that of another part. Numbers are 32-byte big-endian words; `ledger` is
    an address, padded on the left. Raises RecordError when an argument has a wrong length: otherwise two contexts could
    be the same when concatenated.
    """
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
        raise RecordError(f"{name} has {len(part)} bytes instead of {size}", hint=f"pass {size} bytes")


@dataclass(frozen=True, slots=True)
class EvidenceEntry:
    """An entry with its salt, as the stream's owner keeps it."""

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
        """Add an entry with `salt`, by default a random one. Raises CanonicalError, RecordError; then adds nothing."""
        salt = secrets.token_bytes(SALT_BYTES) if salt is None else salt
        leaf = leaf_hash(build_leaf_data(salt, entry))
        added = EvidenceEntry(self.tree.append(leaf), salt, entry, leaf)
        self.entries.append(added)
        return added
