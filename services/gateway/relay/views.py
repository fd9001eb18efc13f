"""Responses of the relay's routes."""

from __future__ import annotations

from dataclasses import dataclass

from millmark.ledger.provenance.answers import Printable
from millmark.ledger.store.outbox_records import OutboxState


@dataclass(frozen=True, slots=True)
class RelayTerms(Printable):
    """What a key's next request must satisfy."""

    chain_id: int
    forwarder: bytes
    """Address of the forwarder, for the EIP-712 domain."""
    nonce: int
    """The key's next nonce, as of the latest block."""
    final_nonce: int
    """The key's next nonce as of the last final block. A request with a lower nonce that is not on the ledger can no
    longer be recorded."""
    final_time_s: int
    """Time of the last final block, in seconds since 1970. A request whose deadline is earlier can no longer be
    recorded."""
    now_s: int
    """The gateway's clock or the time of the latest block, whichever is later. Deadlines must be later than this."""
    most_gas: int
    """Most gas that a request may ask for."""
    longest_s: int
    """Longest time from `now_s` to a request's deadline, in seconds."""


@dataclass(frozen=True, slots=True)
class Simulation(Printable):
    """The effect of a forwarded call on the current state."""

    gas: int | None
    """Gas needed, with a margin; null if the ledger rejects the call."""
    error_name: str | None
    """Name of the contract's error."""
    error: str | None
    """The error with its values and a hint."""


@dataclass(frozen=True, slots=True)
class RelayedLog(Printable):
    """A log that the called contract emitted."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes
    log_index: int


@dataclass(frozen=True, slots=True)
class RelayedRequest(Printable):
    """A request and its status."""

    digest: bytes
    """EIP-712 digest, which identifies the request."""
    key: bytes
    """Address of the signer, who acts."""
    nonce: int
    deadline: int
    """In seconds since 1970."""
    kinds: tuple[str, ...]
    """Kinds of the records in the request, in order."""
    state: OutboxState
    """QUEUED, NONCED, SIGNED and SENT while in progress; then MINED and FINAL, or FAILED if the ledger rejected it."""
    error_name: str | None
    """Name of the contract's error, if the request failed."""
    error: str | None
    transaction_hash: bytes | None
    block_number: int | None
    block_hash: bytes | None
    gas_used: int | None
    logs: tuple[RelayedLog, ...]
    """Logs of the called contract, once the request is in a block."""
