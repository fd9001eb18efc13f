"""Answers about single machines and evidence proofs, which are not part of a trace."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from millmark.ledger.provenance.answers import Anchor, Machine, Party
from millmark.ledger.provenance.jsonform import Printable

__all__ = ["ConsistencyProof", "InclusionProof", "OpenedStream", "RegisteredMachine", "ShownEntry"]


@dataclass(frozen=True, slots=True)
class RegisteredMachine(Printable):
    """A machine, and how much work it has."""

    machine: int
    """Sequence of the record that registered it."""
    subject: bytes
    identifier: str | None
    owner: Party
    registered_at: datetime | None
    retired_at: datetime | None
    waiting: int
    """Number of assignments that were proposed or accepted, and are not started."""
    working: int
    """Number of assignments that are started and not finished."""
    claims_root: bytes


@dataclass(frozen=True, slots=True)
class OpenedStream(Printable):
    """An evidence stream, without its anchors."""

    subject: bytes
    identifier: str | None
    sequence: int
    """Sequence of the record that opened it."""
    owner: Party
    machine: Machine | None
    """None for plans and logs that belong to no machine."""
    size: int
    """Number of anchored entries."""
    opened_at: datetime | None


@dataclass(frozen=True, slots=True)
class ShownEntry(Printable):
    """An entry of a stream, with the salt from which its leaf is computed."""

    salt: bytes
    """32 bytes."""
    entry: object
    """The entry as it was captured; the leaf hash is of its canonical JSON."""


@dataclass(frozen=True, slots=True)
class InclusionProof(Printable):
    """Proof that an entry is in a stream as it was anchored on the chain (RFC 9162, section 2.1.3)."""

    stream: bytes
    leaf_index: int
    leaf_hash: bytes
    """`sha256(0x00 || leaf data)`, 32 bytes."""
    anchor: Anchor
    inclusion: tuple[bytes, ...]
    """Siblings from the leaf upwards: with index, size and leaf hash, they result in the anchor's root."""
    latest: Anchor
    """The stream's newest anchor."""
    consistency: tuple[bytes, ...]
    """Proof that the stream only grew from `anchor` to `latest` (RFC 9162, section 2.1.4)."""
    shown: ShownEntry | None
    """The entry itself, only for the company that runs this gateway."""


@dataclass(frozen=True, slots=True)
class ConsistencyProof(Printable):
    """Proof that a stream only grew from one anchor to a later one (RFC 9162, section 2.1.4)."""

    stream: bytes
    first: Anchor
    second: Anchor
    consistency: tuple[bytes, ...]
