"""Route of the gateway's status: progress of index, chain, follower and outbox."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from fastapi import Response

from millmark.ledger.index import IndexStatus, fetch_status
from millmark.ledger.provenance.answers import Printable, moment
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState
from millmark.services.access import Scope
from millmark.services.access.rules import Rule
from millmark.services.gateway.follower import Failure, FollowerSnapshot, FollowerThread, Head
from millmark.services.gateway.http import example_values as examples
from millmark.services.gateway.http.responses import PROBLEM, reply
from millmark.services.gateway.http.route_table import RouteTable
from millmark.services.gateway.http.routes import Routes

StatusReader: TypeAlias = "Callable[[], GatewayStatus]"


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


_NOT_CONFIGURED = FailureState("chain-not-configured", "no chain is configured", "set chain_url", None)
_NOT_ASKED = FailureState("chain-not-asked", "the node has not been asked yet", "try again in a moment", None)


def add_status(table: RouteTable, read_status: StatusReader) -> None:
    routes = Routes(table, "state", {"default": PROBLEM})

    @routes.get(
        "/v1/status",
        "getStatus",
        "Get the progress of index, chain and outbox",
        GatewayStatus,
        rule=Rule(Scope.STATUS, owner=True),
        examples={"following": _status},
    )
    def status() -> Response:
        """Shows the chain as last seen by the follower. The request itself does not contact the node."""
        return reply(read_status())


def fetch_gateway_status(store: Store, follower: FollowerThread | None) -> GatewayStatus:
    """Does not contact the chain; shows what the follower last saw of it, with the time."""
    seen = None if follower is None else follower.seen()
    return build_status(fetch_status(store), seen, Outbox(store).counts())


def build_status(index: IndexStatus | None, seen: FollowerSnapshot | None, counts: Mapping[str, int]) -> GatewayStatus:
    """`seen` is None if no chain is configured."""
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


def _why_no_head(seen: FollowerSnapshot | None) -> FailureState:
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


def _status() -> GatewayStatus:
    registry, ledger, block = b"\x11" * 20, b"\x22" * 20, b"\x44" * 32
    return GatewayStatus(
        index=IndexState(examples.CHAIN_ID, registry, ledger, 987, block, examples.NOW, 31, 640, b"\x55" * 32),
        chain=ChainState(examples.CHAIN_ID, 987, block, examples.NOW, 31, 640, examples.NOW),
        chain_failure=None,
        equal=True,
        follower=FollowerState(examples.NOW, None),
        outbox={"queued": 0, "nonced": 0, "signed": 0, "sent": 2, "mined": 0, "final": 671, "failed": 0, "replaced": 0},
    )
