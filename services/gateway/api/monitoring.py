"""Routes for supervisors: whether the process is alive, whether it does its work, and its metrics."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fastapi import Response
from prometheus_client import CONTENT_TYPE_LATEST

from millmark.ledger.errors import LedgerSetBackError, OutboxOlderError
from millmark.ledger.provenance.answers import Printable
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.services.access import Scope
from millmark.services.access.rules import Rule, Without
from millmark.services.gateway.follower import FollowerThread
from millmark.services.gateway.http import example_values as examples
from millmark.services.gateway.http.responses import PROBLEM, Problems, refer_to, reply
from millmark.services.gateway.http.route_table import RouteTable
from millmark.services.gateway.http.routes import Routes
from millmark.services.gateway.http.schemas import model_of
from millmark.services.gateway.metrics import Metrics
from millmark.services.gateway.readiness import Readiness, ReadinessReport
from millmark.services.handover.repository import count_handovers
from millmark.services.serving.loop import Trouble


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
    "content": {"application/json": {"schema": refer_to(model_of(Ready))}},
}
_EXPOSITION = "text/plain"
_METRICS: Problems = {200: {"description": "Metrics.", "content": {_EXPOSITION: {"schema": {"type": "string"}}}}}


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
        examples={"up": _health},
    )
    async def health() -> Response:
        """Tells supervisors that the process is alive. Reads nothing, so that a busy database does not look like a
        dead process.
        """
        return reply(Health("ok"))

    @routes.get(
        "/ready",
        "getReadiness",
        "Check that the gateway does its work",
        Ready,
        rule=Rule(Without.CREDENTIAL, cost=0, audited=False),
        examples={"ready": _ready, "stale": _stale},
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


def _health() -> Health:
    return Health("ok")


def _ready() -> Ready:
    return Ready("ready", (), ())


def _stale() -> Ready:
    detail = "the index has not followed the chain for 75 s (chain-unreachable); no credential is accepted"
    hint = "see the gateway's log, and `follower` in its status"
    return Ready("not ready", (TroubleState("index", "index-stale", detail, hint, examples.NOW),), ())
