"""Prometheus metrics of a gateway. Label values come from fixed lists, never from callers, so their number is
bounded: routes as they are declared, methods and classes of statuses, threads, states and kinds."""

from __future__ import annotations

import time
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from millmark.services.gateway.follower import FollowerThread
from millmark.services.gateway.readiness import Readiness
from millmark.services.serving.logs import STANDARD_ERROR

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_NO_ROUTE = "(none)"


class Metrics:
    """Metrics of one gateway, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = at = CollectorRegistry()
        self._requests = Counter("millmark_gateway_requests", "Requests", ["route", "method", "status"], registry=at)
        self._seconds = Histogram(
            "millmark_gateway_request_seconds", "Seconds until a response was sent", buckets=_SECONDS, registry=at
        )
        self._failed = Counter("millmark_gateway_failed_records", "Records that failed", ["kind"], registry=at)
        self._ready = Gauge("millmark_gateway_ready", "1 if all parts do their work, else 0", registry=at)
        self._troubles = Gauge(
            "millmark_gateway_troubles",
            "Parts that do not do their work (trouble), and what is wrong outside (alarm)",
            ["level", "where", "code"],
            registry=at,
        )
        self._looked = Gauge(
            "millmark_gateway_index_age_seconds", "Seconds since the last complete look at the chain node", registry=at
        )
        self._indexed = Gauge("millmark_gateway_index_block", "Last indexed block", registry=at)
        self._head = Gauge("millmark_gateway_chain_head_block", "Latest block seen", registry=at)
        self._head_age = Gauge(
            "millmark_gateway_chain_head_age_seconds", "Seconds since the latest block was first seen", registry=at
        )
        self._deaths = Gauge(
            "millmark_gateway_thread_deaths", "How often a thread died and went on", ["thread"], registry=at
        )
        self._log_lost = Gauge("millmark_gateway_log_lines_lost", "Log lines that could not be written", registry=at)
        self._outbox = Gauge("millmark_gateway_outbox_records", "Records in the outbox", ["state"], registry=at)
        self._handovers = Gauge("millmark_gateway_handovers", "Hand-overs to other companies", ["state"], registry=at)

    def observe(self, route: str | None, method: str, status: int, seconds: float) -> None:
        """Counts a request. `route`: as it is declared; None if there is none, whose method may be anything."""
        labels = (_NO_ROUTE, "") if route is None else (route, method)
        self._requests.labels(*labels, f"{status // 100}xx").inc()
        self._seconds.observe(seconds)

    def count_failed(self, kind: str) -> None:
        self._failed.labels(kind).inc()

    def show(
        self,
        readiness: Readiness,
        follower: FollowerThread | None,
        outbox: Mapping[str, int],
        handovers: Mapping[str, int],
    ) -> bytes:
        """The metrics in Prometheus's text format. `outbox`, `handovers`: their number by state."""
        report = readiness.seen()
        self._ready.set(not report.troubles)
        self._troubles.clear()  # otherwise a trouble that is over would stay
        for level, found in (("trouble", report.troubles), ("alarm", report.alarms)):
            for one in found:
                self._troubles.labels(level, one.where, one.code).set(1)
        for loop in readiness.loops:
            self._deaths.labels(loop.name).set(loop.deaths)
        self._log_lost.set(STANDARD_ERROR.lost)
        if report.index is not None:
            self._indexed.set(report.index.block_number)
        if follower is not None:
            self._show_chain(follower)
        for gauge, counts in ((self._outbox, outbox), (self._handovers, handovers)):
            gauge.clear()
            for state, count in counts.items():
                gauge.labels(state).set(count)
        return generate_latest(self.registry)

    def _show_chain(self, follower: FollowerThread) -> None:
        seen, now_s = follower.seen(), time.monotonic()
        # Before the first look the age is not 0, which would say that all is well.
        self._looked.set(float("inf") if seen.looked_s is None else now_s - seen.looked_s)
        if seen.head is not None:
            self._head.set(seen.head.header.number)
        if seen.head_since_s is not None:
            self._head_age.set(now_s - seen.head_since_s)
