"""Block headers and records as they are on the chain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from ledger.events._base import Event
from ledger.records import Contract

E = TypeVar("E", bound=Event, covariant=True)


@dataclass(frozen=True, slots=True)
class Header:
    """The fields of a block header that link it to its parent, and that show whether it has records."""

    number: int
    hash: bytes
    parent_hash: bytes
    timestamp: int
    """Seconds since 1970."""
    logs_bloom: bytes
    """256 bytes; a contract whose address is not in it logged nothing in the block."""
    receipts_root: bytes
    """32 bytes; commits to all logs of the block."""


@dataclass(frozen=True, slots=True)
class Recorded(Generic[E]):
    """A record as it is on the chain."""

    event: E
    """The fields that only its kind has."""
    sequence: int
    participant: int
    """0 for the registry's owner."""
    subject: bytes
    """32 bytes; in the registry, the number of the participant, machine or model."""
    key: bytes
    """The address that signed, 20 bytes."""
    histories: tuple[bytes, ...]
    """Subjects of the orders and lots whose histories it entered; empty in the registry and for evidence."""
    data: bytes
    """The event's data as logged; histories commit to their keccak256."""
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
        """Topic 0 of the event, 32 bytes."""
        return self.event.topic
