"""What the chain has: a block's header, a record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ledger.records._base import Value
from ledger.records._enums import Contract


@dataclass(frozen=True, slots=True)
class Header:
    """Of a block: what links it to the one before, and tells where to look for records."""

    number: int
    hash: bytes
    parent_hash: bytes
    timestamp: int
    """Seconds since 1970."""
    logs_bloom: bytes
    """256 bytes; a contract that is not in it logged nothing in the block."""
    receipts_root: bytes
    """32 bytes; commits to all that was logged in the block."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A record as the chain has it."""

    contract: Contract
    kind: str
    """Name of the event."""
    topic: bytes
    """Topic 0, 32 bytes: what history links call the kind."""
    sequence: int
    participant: int
    """0 for the registry's owner."""
    subject: bytes
    """32 bytes; for a participant, machine or model of the registry, its number."""
    key: bytes
    """The address that signed, 20 bytes."""
    histories: tuple[bytes, ...]
    """Orders and lots touched; empty in the registry and for evidence."""
    fields: Mapping[str, Value]
    """The event's other fields, in snake case."""
    data: bytes
    """The event's data as logged; its keccak256 is in the histories."""
    block_number: int
    block_hash: bytes
    block_time: int
    """Seconds since 1970."""
    transaction_hash: bytes
    log_index: int
