"""What single things and lists of them say, where a trace has no view of its own for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ledger.provenance.answers import Anchor, Party
from ledger.provenance.jsonform import Printable

__all__ = ["ConsistencyProof", "InclusionProof", "RegisteredMachine", "ShownEntry"]


@dataclass(frozen=True, slots=True)
class RegisteredMachine(Printable):
    """A machine, and how much it has to do."""

    machine: int
    """Sequence of the registering record."""
    subject: bytes
    identifier: str | None
    owner: Party
    registered_at: datetime | None
    retired_at: datetime | None
    waiting: int
    """Assignments that were proposed or accepted, and are not started."""
    working: int
    """Assignments that are started."""
    claims_root: bytes


@dataclass(frozen=True, slots=True)
class ShownEntry(Printable):
    """An entry of a stream, with the salt that opens its leaf."""

    salt: bytes
    entry: object
    """As it was captured; canonical JSON of it is under the leaf."""


@dataclass(frozen=True, slots=True)
class InclusionProof(Printable):
    """That an entry is in a stream as it was anchored on chain (RFC 9162, section 2.1.3)."""

    stream: bytes
    leaf_index: int
    leaf_hash: bytes
    """`sha256(0x00 || leaf data)`, 32 bytes."""
    anchor: Anchor
    inclusion: tuple[bytes, ...]
    """Siblings from the leaf upwards: with index, size and leaf hash they give the anchor's root."""
    latest: Anchor
    """The stream's newest anchor."""
    consistency: tuple[bytes, ...]
    """That the stream only grew from `anchor` to `latest` (RFC 9162, section 2.1.4)."""
    shown: ShownEntry | None
    """The entry itself, for the company whose gateway this is; null for others."""


@dataclass(frozen=True, slots=True)
class ConsistencyProof(Printable):
    """That a stream only grew from one anchor to a later one (RFC 9162, section 2.1.4)."""

    stream: bytes
    first: Anchor
    second: Anchor
    consistency: tuple[bytes, ...]
