"""The answer to "how far is it": index, chain, follower, outbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from ledger.index import IndexStatus
from ledger.provenance.jsonform import Printable, moment
from ledger.store.outbox import OutboxState
from services.gateway.follower import Failure, Head, Seen

__all__ = ["GatewayStatus", "Health", "build_status"]


@dataclass(frozen=True, slots=True)
class Health(Printable):
    """The process answers; nothing is said of index and chain."""

    status: str
    """`ok`."""


@dataclass(frozen=True, slots=True)
class IndexState(Printable):
    """How far the index is."""

    chain_id: int
    registry: bytes
    """Address of the registry."""
    ledger: bytes
    """Address of the ledger."""
    block_number: int
    """Last block in the index; -1 for none."""
    block_hash: bytes
    block_time: datetime | None
    registry_sequence: int
    ledger_sequence: int
    digest: bytes
    """Equal for two indexes that saw the same records in the same order."""


@dataclass(frozen=True, slots=True)
class ChainState(Printable):
    """The chain's newest block and record counts when the node was last asked."""

    chain_id: int
    block_number: int
    block_hash: bytes
    block_time: datetime | None
    """Long ago when the chain stalls."""
    registry_sequence: int
    ledger_sequence: int
    seen_at: datetime | None
    """When the node was asked."""


@dataclass(frozen=True, slots=True)
class FailureState(Printable):
    """What went wrong, and what mends it."""

    code: str
    detail: str
    hint: str | None
    failed_at: datetime | None


@dataclass(frozen=True, slots=True)
class FollowerState(Printable):
    """What the follower does to the index."""

    followed_at: datetime | None
    """When a step last went through; null before the first."""
    last_failure: FailureState | None
    """The last step that did not go through. Older than `followed_at` when it is over."""


@dataclass(frozen=True, slots=True)
class GatewayStatus(Printable):
    """How far index, chain and outbox are."""

    index: IndexState | None
    """Null when no chain was ever followed."""
    chain: ChainState | None
    """Null when no chain is configured, or its node did not answer at the last try."""
    chain_failure: FailureState | None
    """Why `chain` is null."""
    equal: bool | None
    """Whether the index has exactly as many records of both contracts as `chain`; null when there is nothing to
    compare."""
    follower: FollowerState | None
    """Null when no chain is configured."""
    outbox: Mapping[str, int]
    """Number of own records by state on their way to the chain."""


_NOT_CONFIGURED = FailureState("chain-not-configured", "no chain is configured", "set chain_url", None)
_NOT_ASKED = FailureState("chain-not-asked", "the node was not asked yet", "ask again in a moment", None)


def build_status(index: IndexStatus | None, seen: Seen | None, counts: Mapping[str, int]) -> GatewayStatus:
    """`seen` is None when no chain is configured."""
    head = None if seen is None else seen.head
    return GatewayStatus(
        index=None if index is None else _index(index),
        chain=None if head is None else _chain(head),
        chain_failure=None if head is not None else _why_no_head(seen),
        equal=None if index is None or head is None else _is_equal(index, head),
        follower=None if seen is None else FollowerState(seen.followed_at, _failure(seen.failure)),
        outbox={state.value: counts.get(state.value, 0) for state in OutboxState},
    )


def _is_equal(index: IndexStatus, head: Head) -> bool:
    ours = (index.chain_id, index.registry_sequence, index.ledger_sequence)
    return ours == (head.chain_id, head.registry_sequence, head.ledger_sequence)


def _why_no_head(seen: Seen | None) -> FailureState:
    if seen is None:
        return _NOT_CONFIGURED
    return _failure(seen.head_failure) or _NOT_ASKED


def _failure(failure: Failure | None) -> FailureState | None:
    if failure is None:
        return None
    return FailureState(failure.code, failure.cause, failure.hint or None, failure.failed_at.astimezone(UTC))


def _index(index: IndexStatus) -> IndexState:
    return IndexState(
        chain_id=index.chain_id,
        registry=index.registry,
        ledger=index.ledger,
        block_number=index.block_number,
        block_hash=index.block_hash,
        block_time=moment(index.block_time),
        registry_sequence=index.registry_sequence,
        ledger_sequence=index.ledger_sequence,
        digest=index.digest,
    )


def _chain(head: Head) -> ChainState:
    return ChainState(
        chain_id=head.chain_id,
        block_number=head.header.number,
        block_hash=head.header.hash,
        block_time=moment(head.header.timestamp),
        registry_sequence=head.registry_sequence,
        ledger_sequence=head.ledger_sequence,
        seen_at=head.seen_at,
    )
