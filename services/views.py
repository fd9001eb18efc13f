"""Answers of a gateway about itself, its caller and its records, as it encodes them and its client decodes them.

Those about the ledger are in millmark.ledger.provenance.answers, by whose rules these are JSON as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from millmark.ledger.provenance.answers import Printable


@dataclass(frozen=True, slots=True)
class Refusal(Printable):
    """Why the contract rejected a record."""

    name: str
    """Name of the contract's error, as in its source."""
    values: Mapping[str, object]
    """Arguments of the error, by name; bytes as 0x-hex."""
    detail: str


@dataclass(frozen=True, slots=True)
class RecordStatus(Printable):
    """A record on its way to the ledger, and where it is."""

    id: int
    """Number of this resource, unrelated to `sequence`."""
    kind: str
    """Kind of record, such as `ReceiveLot`."""
    contract: str
    state: str
    """`queued`, `nonced`, `signed`, `sent`, `mined`, and finally `final`, `failed` or `cancelled`. `paused` and
    `blocked` records wait: for an operator, or for an earlier record that failed."""
    done: bool
    """Whether the state is final and will not change."""
    sequence: int | None
    """Sequence on the registry or the ledger, once the record is in a block."""
    subjects: tuple[bytes, ...]
    """Subjects of new things that the record creates, in its order."""
    refusal: Refusal | None
    queued_at: datetime | None
    changed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Caller(Printable):
    """The caller of the request, as the gateway sees it."""

    participant: int | None
    """Null for the operator of a gateway that is open on loopback."""
    roles: tuple[str, ...]
    scopes: tuple[str, ...]
    owner: bool
    """Whether the gateway belongs to the caller's company."""
    expires_at: datetime | None
    """Expiry of the credential; null without one."""


@dataclass(frozen=True, slots=True)
class IndexState(Printable):
    """Progress of the index."""

    chain_id: int
    registry: bytes
    """Address of the registry."""
    ledger: bytes
    """Address of the ledger."""
    block_number: int
    """Last indexed block; -1 for none."""
    block_hash: bytes
    block_time: datetime | None
    registry_sequence: int
    ledger_sequence: int
    digest: bytes
    """Equal in two indexes that contain the same records in the same order."""


@dataclass(frozen=True, slots=True)
class ChainState(Printable):
    """The chain's latest block and numbers of records, as of the last request to the node."""

    chain_id: int
    block_number: int
    block_hash: bytes
    block_time: datetime | None
    """An old time means that the chain has stalled."""
    registry_sequence: int
    ledger_sequence: int
    seen_at: datetime | None
    """When the node was last asked."""


@dataclass(frozen=True, slots=True)
class FailureState(Printable):
    """A failure and its remedy."""

    code: str
    detail: str
    hint: str | None
    failed_at: datetime | None


@dataclass(frozen=True, slots=True)
class FollowerState(Printable):
    """Progress of the thread that indexes the chain."""

    followed_at: datetime | None
    """End of the last successful step; null before the first."""
    last_failure: FailureState | None
    """The last failed step. It is over if it is older than `followed_at`."""


@dataclass(frozen=True, slots=True)
class GatewayStatus(Printable):
    """Progress of index, chain and outbox."""

    index: IndexState | None
    """Null if no chain was ever indexed."""
    chain: ChainState | None
    """Null if no chain is configured, or if the node did not answer the last request."""
    chain_failure: FailureState | None
    """Why `chain` is null."""
    equal: bool | None
    """Whether the index has as many records of both contracts as `chain`; null if one of them is null."""
    follower: FollowerState | None
    """Null if no chain is configured."""
    outbox: Mapping[str, int]
    """The company's records on their way to the chain: their number by state."""
