"""Entries of streams as hand-overs carry them: opened, with the proof that the anchor covers them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass

from millmark.ledger.canonical import MAX_SAFE_INTEGER, Json, canonical_json
from millmark.ledger.errors import CanonicalError, ProofError, RecordError
from millmark.ledger.evidence import SALT_BYTES, LeafKind, build_leaf_data
from millmark.ledger.merkle import HASH_BYTES, leaf_hash, verify_inclusion
from millmark.services.planning.errors import PlanningError

_KINDS = {"offer": LeafKind.OFFER, "plan": LeafKind.PLAN}
_WORDS = {kind: word for word, kind in _KINDS.items()}
_MAX_PROOF = 64


@dataclass(frozen=True, slots=True)
class OpenedLeaf:
    """An entry, its salt, and where it is in the tree that a record anchored. Not established: that it is there."""

    kind: LeafKind
    index: int
    salt: bytes
    """32 bytes."""
    entry: Json
    proof: tuple[bytes, ...]
    """Inclusion proof (RFC 9162, section 2.1.3), 32 bytes a hash."""

    @property
    def leaf(self) -> bytes:
        """RFC 9162 leaf hash, 32 bytes. Raises CanonicalError, RecordError."""
        return leaf_hash(build_leaf_data(self.kind, self.salt, self.entry))

    @property
    def text(self) -> str:
        return canonical_json(self.entry).decode()

    def to_json(self) -> Json:
        return {
            "entry": self.entry,
            "index": self.index,
            "kind": _WORDS[self.kind],
            "proof": _base64(b"".join(self.proof)),
            "salt": _base64(self.salt),
        }


def parse_opened_leaf(value: Json) -> OpenedLeaf:
    """Raises PlanningError."""
    if not isinstance(value, dict) or value.keys() != {"entry", "index", "kind", "proof", "salt"}:
        raise PlanningError("an entry in it is malformed")
    index, kind, proof, salt = value["index"], value["kind"], _bytes(value["proof"]), _bytes(value["salt"])
    if (
        isinstance(index, bool)
        or not isinstance(index, int)
        or not 0 <= index <= MAX_SAFE_INTEGER
        or not isinstance(kind, str)
        or kind not in _KINDS
        or len(salt) != SALT_BYTES
        or len(proof) % HASH_BYTES
        or len(proof) > _MAX_PROOF * HASH_BYTES
    ):
        raise PlanningError("an entry in it is malformed")
    return OpenedLeaf(_KINDS[kind], index, salt, value["entry"], split_hashes(proof))


def verify_opened_leaf(opened: OpenedLeaf, size: int, root: bytes) -> bytes:
    """Verifies that the entry is in the tree of this size and root. Returns its leaf hash. Raises PlanningError."""
    try:
        leaf = opened.leaf
        verify_inclusion(leaf, opened.index, size, opened.proof, root)
    except (CanonicalError, ProofError, RecordError) as error:
        raise PlanningError(f"entry {opened.index} in it is not in the anchored stream: {error.cause}") from None
    return leaf


def split_hashes(joined: bytes) -> tuple[bytes, ...]:
    return tuple(joined[at : at + HASH_BYTES] for at in range(0, len(joined), HASH_BYTES))


def join_hashes(hashes: Sequence[bytes]) -> bytes:
    return b"".join(hashes)


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(value: Json) -> bytes:
    try:
        found = base64.urlsafe_b64decode(f"{value}===") if isinstance(value, str) else None
    except (binascii.Error, ValueError):
        found = None
    # Encoded again: unused bits of the last digit could be set.
    if found is None or _base64(found) != value:
        raise PlanningError("an entry in it has malformed bytes")
    return found
