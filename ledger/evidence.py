"""Evidence: salted entries in one append-only Merkle log per stream (DESIGN "Evidence leaf").

Leaf data are a tag, the entry's kind (one byte), a 32-byte salt and the entry's canonical JSON; the tree is that of
RFC 9162 section 2.1 over SHA-256. The chain records the tree's size and root; an entry is proved by its salt, its bytes
and an inclusion proof. The salt prevents outsiders from guessing measured values from their hashes.

A window is what a model judges: consecutive integers that were measured of one lot. Its leaf can be rebuilt by a
contract, which knows no JSON:

    tag || kind || lot || commitment || sha256(salt || canonical JSON)
    commitment = sha256("millmark/input/1" || another salt || width, 2 bytes || the integers, 8 bytes each)

Lot and commitment are members of the entry as well. So a window can be shown without its integers.
"""

from __future__ import annotations

import enum
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from millmark.ledger.canonical import Json, canonical_json, sha256, to_hex
from millmark.ledger.errors import RecordError
from millmark.ledger.merkle import Tree, leaf_hash

EVIDENCE_TAG = b"millmark.evidence.v1\0"
INPUT_TAG = b"millmark/input/1"
CONTEXT_TAG = b"millmark.inference-context.v1\0"
SALT_BYTES = 32
WINDOW_ID = "window/"
"""The member `id` of a window that a node cut begins with it, and that of no other entry."""
_VALUE_BYTES = 8
_HASH = re.compile("0x[0-9a-f]{64}")


class LeafKind(enum.IntEnum):
    """What an entry is about."""

    EVENT = 1
    """What a machine reported, or an EPCIS event."""
    WINDOW = 2
    """What a model judges: integers measured of one lot."""
    OPERATION = 3
    """What was done in an operation."""
    OFFER = 4
    PLAN = 5
    AUDIT = 6
    """Heads of an audit log."""

    @property
    def shows_work(self) -> bool:
        """Whether such an entry can show what was done to a lot or measured of it. The contracts cannot tell: they see
        its hash alone."""
        return self in (LeafKind.EVENT, LeafKind.WINDOW, LeafKind.OPERATION)


def build_leaf_data(kind: LeafKind, salt: bytes, entry: Json) -> bytes:
    """Return the data whose RFC 9162 leaf hash goes into the stream's tree.

    Raises CanonicalError when the entry has no canonical JSON, RecordError when a window's lacks lot or commitment, or
    the salt does not have 32 bytes: with another length, part of the salt could be passed off as part of the entry.
    """
    text = canonical_json(entry)
    if kind is not LeafKind.WINDOW:
        return build_leaf_data_of(kind, salt, text)
    _verify_size("salt", salt, SALT_BYTES)
    lot, commitment = (_read_member(entry, name) for name in ("lot", "commitment"))
    return EVIDENCE_TAG + bytes([kind]) + lot + commitment + sha256(salt + text)


def build_leaf_data_of(kind: LeafKind, salt: bytes, text: bytes) -> bytes:
    """Like `build_leaf_data`, for an entry that is canonical JSON already, and no window. Raises RecordError."""
    _verify_size("salt", salt, SALT_BYTES)
    return EVIDENCE_TAG + bytes([kind]) + salt + text


def build_window_commitment(salt: bytes, window: bytes) -> bytes:
    """Return the commitment (32 bytes) to a window: integers of 8 bytes each, two's complement, big-endian. The same as
    the input commitment of quality/FORMAT.md, section 5. Raises RecordError when a length is wrong."""
    _verify_size("salt", salt, SALT_BYTES)
    width, rest = divmod(len(window), _VALUE_BYTES)
    if rest or not 0 < width < 2**16:
        raise RecordError(f"a window has {len(window)} bytes", hint="pass 8 bytes for each integer")
    return sha256(INPUT_TAG + salt + width.to_bytes(2, "big") + window)


def build_window_entry(lot: bytes, commitment: bytes, first: int, last: int, start: int) -> dict[str, Json]:
    """The entry of a window of `lot`, cut from the stream's entries `first` to `last`; `start` is the place of its
    first integer in the first of them."""
    return {"commitment": to_hex(commitment), "first": first, "last": last, "lot": to_hex(lot), "start": start}


def _read_member(entry: Json, name: str) -> bytes:
    value = entry.get(name) if isinstance(entry, Mapping) else None
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        raise RecordError(f"a window's entry has no {name}", hint="give it as 0x and 64 lower-case hexadecimal digits")
    return bytes.fromhex(value[2:])


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
    kind: LeafKind = LeafKind.EVENT


@dataclass(slots=True)
class EvidenceLog:
    """A stream's log in memory."""

    entries: list[EvidenceEntry] = field(default_factory=list)
    tree: Tree = field(default_factory=Tree)

    def append(self, entry: Json, salt: bytes | None = None, kind: LeafKind = LeafKind.EVENT) -> EvidenceEntry:
        """Add an entry with `salt`, by default a random one. Raises CanonicalError, RecordError; then adds nothing."""
        salt = secrets.token_bytes(SALT_BYTES) if salt is None else salt
        leaf = leaf_hash(build_leaf_data(kind, salt, entry))
        added = EvidenceEntry(self.tree.append(leaf), salt, entry, leaf, kind)
        self.entries.append(added)
        return added
