"""What the chain has: a block's header, a record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from ledger.events._base import Event
from ledger.records import Contract

E = TypeVar("E", bound=Event, covariant=True)


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
class Recorded(Generic[E]):
    """A record as the chain has it."""

    event: E
    """What it says beside what stands here."""
    sequence: int
    participant: int
    """0 for the registry's owner."""
    subject: bytes
    """32 bytes; for a participant, machine or model of the registry, its number."""
    key: bytes
    """The address that signed, 20 bytes."""
    histories: tuple[bytes, ...]
    """Orders and lots touched; empty in the registry and for evidence."""
    data: bytes
    """The event's data as logged; its keccak256 is in the histories."""
    block_number: int
    block_hash: bytes
    block_time: int
    """Seconds since 1970."""
    transaction_hash: bytes
    log_index: int

    @property
    def contract(self) -> Contract:
        return self.event.contract

    @property
    def kind(self) -> str:
        """Name of the event."""
        return self.event.kind

    @property
    def topic(self) -> bytes:
        """Topic 0, 32 bytes: what history links call the kind."""
        return self.event.topic
