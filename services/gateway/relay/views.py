"""What the relay's routes answer."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.provenance.jsonform import Printable
from ledger.store.outbox import OutboxState

__all__ = ["RelayTerms", "RelayedLog", "RelayedRequest", "Simulation"]


@dataclass(frozen=True, slots=True)
class RelayTerms(Printable):
    """What a request has to fit."""

    chain_id: int
    forwarder: bytes
    """Address that the request's domain is bound to."""
    nonce: int
    """Of the key's next request, as of the last block."""
    final_nonce: int
    """As of the last final block: what was signed for a lower one, and is not on the ledger, never will be."""
    final_time_s: int
    """Of the last final block, in seconds since 1970: a request whose deadline is earlier is over."""
    now_s: int
    """The later of this gateway's clock and the last block's: a deadline must be later when a request is handed in."""
    most_gas: int
    """That a request may state."""
    longest_s: int
    """At most, from `now_s` to a request's deadline."""


@dataclass(frozen=True, slots=True)
class Simulation(Printable):
    """What a forwarded call would do now."""

    gas: int | None
    """That it takes, with headroom; null when the ledger refuses it."""
    error_name: str | None
    """The contract's own error."""
    error: str | None
    """With its values, and what can be done about it."""


@dataclass(frozen=True, slots=True)
class RelayedLog(Printable):
    """A log of the contract that was called."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes
    log_index: int


@dataclass(frozen=True, slots=True)
class RelayedRequest(Printable):
    """A request, and what became of it."""

    digest: bytes
    """What was signed; the request's name."""
    key: bytes
    """Who acts."""
    nonce: int
    deadline: int
    """In seconds since 1970."""
    kinds: tuple[str, ...]
    """Of the records, in order."""
    state: OutboxState
    """QUEUED, NONCED, SIGNED and SENT while it is under way; MINED, FINAL; FAILED when the ledger refused it."""
    error_name: str | None
    """The contract's own error, of a failed one."""
    error: str | None
    transaction_hash: bytes | None
    block_number: int | None
    block_hash: bytes | None
    gas_used: int | None
    logs: tuple[RelayedLog, ...]
    """Once it is in a block."""
