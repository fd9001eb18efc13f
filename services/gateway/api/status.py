"""Route of the gateway's status: progress of index, chain, follower and outbox; and what supervisors ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

from fastapi import Response
from prometheus_client import CONTENT_TYPE_LATEST

from millmark.ledger.errors import LedgerSetBackError, OutboxOlderError
from millmark.ledger.index import IndexStatus, fetch_status
from millmark.ledger.provenance.answers import Printable, moment
from millmark.ledger.store import Store, outbox_records
from millmark.ledger.store.outbox import Outbox
from millmark.services.access import Scope
from millmark.services.access.rules import Rule, Without
from millmark.services.gateway.follower import Failure, FollowerSnapshot, FollowerThread, Head
from millmark.services.gateway.http import example_values as examples
from millmark.services.gateway.http.route_table import RouteTable
from millmark.services.gateway.http.routes import PROBLEM, Problems, Routes, refer_to, reply
from millmark.services.gateway.readiness import Metrics, Readiness, ReadinessReport
from millmark.services.handover.repository import count_handovers
from millmark.services.serving.loop import Trouble
from millmark.services.views import ChainState, FailureState, FollowerState, GatewayStatus, IndexState

StatusReader: TypeAlias = Callable[[], GatewayStatus]

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
        outbox={state.value: counts.get(state.value, 0) for state in outbox_records.OutboxState},
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
        index=IndexState(examples.CHAIN_ID, registry, ledger, 987, block, examples.NOW, 31, 641, b"\x55" * 32),
        chain=ChainState(examples.CHAIN_ID, 987, block, examples.NOW, 31, 641, examples.NOW),
        chain_failure=None,
        equal=True,
        follower=FollowerState(examples.NOW, None),
        outbox={"queued": 0, "nonced": 0, "signed": 0, "sent": 2, "mined": 0, "final": 671, "failed": 0, "replaced": 0},
    )


@dataclass(frozen=True, slots=True)
class Health(Printable):
    """Shows that the process responds. Not established: that index and chain are in order."""

    status: str
    """`ok`."""


@dataclass(frozen=True, slots=True)
class TroubleState(Printable):
    """Something that does not work at present."""

    where: str
    """`index`, `database`, `outbox`, `audit`, `chain`, `handovers`, `log`, or the name of a thread."""
    code: str
    detail: str
    hint: str | None
    since: datetime


@dataclass(frozen=True, slots=True)
class Ready(Printable):
    """Whether the gateway does its work."""

    status: str
    """`ready` or `not ready`."""
    troubles: tuple[TroubleState, ...]
    """What makes it not ready. Each needs somebody to do something."""
    alarms: tuple[TroubleState, ...]
    """What is wrong outside of the gateway, or with its log alone. They refuse nobody."""


_NOT_READY: dict[str, Any] = {
    "description": "Not ready, with the reasons.",
    "content": {"application/json": {"schema": refer_to(Ready)}},
}
_METRICS: Problems = {200: {"description": "Metrics.", "content": {"text/plain": {"schema": {"type": "string"}}}}}


def add_monitoring(
    table: RouteTable, store: Store, readiness: Readiness, follower: FollowerThread | None, metrics: Metrics
) -> None:
    routes = Routes(table, "state", {"default": PROBLEM})

    @routes.get(
        "/health",
        "getHealth",
        "Check that the process responds",
        Health,
        rule=Rule(Without.CREDENTIAL, cost=0, audited=False),
        examples={"up": lambda: Health("ok")},
    )
    async def health() -> Response:
        """Tells supervisors that the process is alive. Reads nothing, so that a busy database does not look like a
        dead process."""
        return reply(Health("ok"))

    @routes.get(
        "/ready",
        "getReadiness",
        "Check that the gateway does its work",
        Ready,
        rule=Rule(Without.CREDENTIAL, cost=0, audited=False),
        examples={"ready": lambda: Ready("ready", (), ()), "stale": _stale},
        responses={503: _NOT_READY, "default": PROBLEM},
    )
    async def ready() -> Response:
        """503 if the index is stale, the database does not answer, the audit log cannot be written, a thread does not
        do its work, or a record failed and nobody has dealt with it. The answer is at most a second old,
        and reads nothing."""
        found = _view(readiness.seen())
        return reply(found, 200 if found.status == "ready" else 503)

    @routes.get(
        "/metrics",
        "getMetrics",
        "Get the metrics in Prometheus's format",
        rule=Rule(Scope.STATUS, owner=True, audited=False, monitoring=True),
        examples={"some": lambda: "# TYPE millmark_gateway_ready gauge\nmillmark_gateway_ready 1.0\n"},
        response_class=Response,
        responses={**_METRICS, "default": PROBLEM},
    )
    def show() -> Response:
        """For a Prometheus server with an API key of the gateway's company. Also answered while the index is stale."""
        shown = metrics.show(readiness, follower, Outbox(store).counts(), count_handovers(store))
        return Response(shown, media_type=CONTENT_TYPE_LATEST)


_TOLD = (OutboxOlderError.code, LedgerSetBackError.code)
"""Codes of what a thread raised that is told in its own words: they name a key's address alone, which is public."""


def _view(report: ReadinessReport) -> Ready:
    status = "not ready" if report.troubles else "ready"
    return Ready(status, tuple(map(_state, report.troubles)), tuple(map(_state, report.alarms)))


def _state(one: Trouble) -> TroubleState:
    since = datetime.fromtimestamp(one.since_s, UTC)
    # What a thread raised may name addresses of the node or the database; the route is public, and the log has it all.
    detail, hint = one.cause, one.hint
    if one.where.startswith("millmark-") and one.code not in _TOLD:
        detail, hint = f"the thread does not do its work ({one.code})", "see the gateway's log"
    return TroubleState(one.where, one.code, detail, hint or None, since)


def _stale() -> Ready:
    detail = "the index has not followed the chain for 75 s (chain-unreachable); no credential is accepted"
    hint = "see the gateway's log, and `follower` in its status"
    return Ready("not ready", (TroubleState("index", "index-stale", detail, hint, examples.NOW),), ())
