"""Whether the gateway does its work: looked at every second by a thread of its own.

The routes only show what that thread found. So they cost nothing, nobody can wear out the database by asking, and they
answer although the database hangs: a look that does not end is itself a trouble. The metrics show the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from structlog.typing import FilteringBoundLogger

from millmark.ledger.errors import ChainUnreachableError, LeaseHeldError, MillmarkError, NodeBehindError
from millmark.ledger.index import IndexStatus, fetch_status
from millmark.ledger.store import Store
from millmark.services.audit import AuditError, AuditLog
from millmark.services.directory.document import DirectoryError, DirectoryUnreachableError
from millmark.services.gateway.follower import STALE_S, FollowerThread
from millmark.services.serving.logs import STANDARD_ERROR
from millmark.services.serving.loop import HEAD_S, FailedRecords, Loop, Looped, Trouble, describe_damage, log_alarms
from millmark.services.text.chain_health import ROUNDS_LATE, ROUNDS_REMEDY, STANDS_REMEDY

HANGS_S = 15.0
"""A look that has not ended after this time does not end by itself: it reads two rows."""
_INTERVAL_S = 1.0
_OUTSIDE = (
    ChainUnreachableError.code,
    NodeBehindError.code,
    LeaseHeldError.code,
    DirectoryError.code,
    DirectoryUnreachableError.code,
)
"""Codes of failing threads that are alarms only: the work is done once the node or the operator's gateway answers, or
by the other process."""


@dataclass(frozen=True, slots=True)
class ReadinessReport:
    """What one look found."""

    troubles: Sequence[Trouble] = ()
    alarms: Sequence[Trouble] = ()
    index: IndexStatus | None = None
    looked_s: float | None = None
    """Monotonic time at which the look began; None before the first."""


class Readiness(Looped):
    """Looks at index, database, threads, outbox and audit log."""

    def __init__(
        self,
        store: Store,
        follower: FollowerThread | None,
        loops: Sequence[Loop],
        failed: FailedRecords,
        logger: FilteringBoundLogger,
        clock_s: Callable[[], float] = time.monotonic,
        audit: AuditLog | None = None,
        watched: Sequence[Callable[[], Trouble | None]] = (),
    ) -> None:
        """`clock_s`: monotonic seconds. `watched`: what else reads the database for alarms."""
        self._watched, self._audit, self._store, self._follower = watched, audit, store, follower
        self._loops, self._failed, self._logger, self._clock_s = loops, failed, logger, clock_s
        self._report = ReadinessReport()
        self._began_s = clock_s()
        self._unread_since_s: float | None = None
        """When the database first did not answer; None if it does."""
        self._told: tuple[list[str], list[str]] = ([], [])
        self.loop = Loop("millmark-readiness", self._round, logger, failed="looking failed", retry_s=_INTERVAL_S)

    @property
    def loops(self) -> Sequence[Loop]:
        """The threads that are watched."""
        return self._loops

    def seen(self) -> ReadinessReport:
        """What the latest look found, and whether it is recent."""
        report, now_s = self._report, self._clock_s()
        if report.looked_s is None:
            return ReadinessReport(
                [_trouble("gateway", "starting", "nothing was looked at yet", "try again in a moment")]
            )
        age_s = now_s - report.looked_s
        if age_s <= HANGS_S:
            return report
        broken = self.loop.trouble()
        if broken is not None and broken.code != "thread-stuck":  # it ended, but not well
            return ReadinessReport([broken, *report.troubles], report.alarms, report.index, report.looked_s)
        hint = "see the database; a process that is stopped in a transaction may hold its lock"
        cause = f"the database was last looked at {age_s:.0f} s ago, and the look after that has not ended"
        hangs = _trouble("database", "database-hangs", cause, hint, age_s)
        return ReadinessReport([hangs, *report.troubles], report.alarms, report.index, report.looked_s)

    def look(self) -> None:
        """Looks once, and logs what changed."""
        began_s = self._clock_s()
        troubles, alarms = [*self._index(), *self._unaudited()], [*self._chain(), *log_alarms()]
        for loop in self._loops:
            found = loop.trouble()
            if found is not None:
                (alarms if found.code in _OUTSIDE else troubles).append(found)
        index = None
        try:
            index = fetch_status(self._store)
            failed = self._failed.look()
            if failed is not None:
                troubles.append(failed)
            alarms += [one for one in (look() for look in self._watched) if one is not None]
            self._unread_since_s = None
            troubles += describe_damage(self._store)
        except MillmarkError as error:
            # The driver's own text names the database's address; the log has it.
            cause = f"the database did not answer one read ({error.code})"
            self._unread_since_s = began_s if self._unread_since_s is None else self._unread_since_s
            age_s = began_s - self._unread_since_s
            troubles.append(_trouble("database", error.code, cause, "see the database", age_s))
        self._report = ReadinessReport(troubles, alarms, index, began_s)
        self._tell(troubles, alarms)

    def _round(self) -> float:
        self.look()
        return _INTERVAL_S if self._report.troubles else self.loop.idle(_INTERVAL_S)

    def _index(self) -> list[Trouble]:
        follower = self._follower
        if follower is None:
            return []
        seen = follower.seen()
        failing = seen.failing
        if follower.is_fresh():
            # A halted index, or another network at the node's address, does not end by itself: it is told at once, not
            # only when the index has become stale.
            if failing is None or failing.code in _OUTSIDE:
                return []
            cause = f"the index does not follow the chain: {failing.cause}"
            return [_trouble("index", failing.code, cause, failing.hint, self._clock_s() - failing.since_s)]
        why = "" if failing is None else f" ({failing.code})"
        if seen.looked_s is None:
            cause = f"the index has not caught up with the chain since the start{why}"
            age_s = self._clock_s() - self._began_s
        elif follower.is_discarded():
            cause = f"the index is built again, and lacks blocks that it had{why}; no credential is accepted"
            age_s = self._clock_s() - seen.looked_s
        else:
            age_s = self._clock_s() - seen.looked_s
            cause = f"the index has not followed the chain for {age_s:.0f} s{why}; no credential is accepted"
        return [_trouble("index", "index-stale", cause, "see the gateway's log, and `follower` in its status", age_s)]

    def _unaudited(self) -> list[Trouble]:
        try:
            if self._audit is not None:
                self._audit.retry()
        except AuditError as error:
            since_s = self._audit.failing_since_s if self._audit is not None else None
            cause = "the audit log cannot be written, so requests are refused"
            return [Trouble("audit", error.code, cause, since_s or time.time(), "see the log and the audit log's disk")]
        return []

    def _chain(self) -> list[Trouble]:
        """What is wrong with the chain or its node, and refuses nobody."""
        follower = self._follower
        if follower is None:
            return [_trouble("chain", "chain-not-configured", "the index is served without updates", "set chain_url")]
        seen, now_s = follower.seen(), self._clock_s()
        failing = seen.failing
        if failing is not None and failing.code not in _OUTSIDE:
            return []  # of the index: the node may answer, and wrongly
        if seen.head_failure is not None and seen.looked_s is not None and follower.is_fresh():
            cause = f"the node did not answer the last request ({seen.head_failure.code})"
            age_s = now_s - seen.looked_s
            hint = f"see the node; after {STALE_S:.0f} s, no credential is accepted"
            return [_trouble("chain", "chain-not-seen", cause, hint, age_s)]
        if failing is not None and failing.code == NodeBehindError.code:
            return [_trouble("chain", failing.code, failing.cause, failing.hint, now_s - failing.since_s)]
        if follower.timed_blocks and seen.head_since_s is not None and now_s - seen.head_since_s > HEAD_S:
            age_s = now_s - seen.head_since_s
            cause = f"the node has had no new block for {age_s:.0f} s: the chain stands, or the node is cut off from it"
            hint = f"{STANDS_REMEDY}. Suspensions since then cannot be known here"
            return [_trouble("chain", "head-frozen", cause, hint, age_s)]
        late = sum(one > 0 for one in seen.rounds)
        if late >= ROUNDS_LATE:
            cause = f"{late} of the last {len(seen.rounds)} heads took more than one round"
            return [_trouble("chain", "rounds-late", cause, ROUNDS_REMEDY)]
        return []

    def _tell(self, troubles: Sequence[Trouble], alarms: Sequence[Trouble]) -> None:
        told = ([_name(one) for one in troubles], [_name(one) for one in alarms])
        if told == self._told:
            return
        self._told = told
        log = self._logger.error if troubles else self._logger.warning if alarms else self._logger.info
        log("readiness changed", ready=not troubles, troubles=told[0], alarms=told[1])


def _name(one: Trouble) -> str:
    return f"{one.where}: {one.code}"


def _trouble(where: str, code: str, cause: str, hint: str, for_s: float = 0.0) -> Trouble:
    return Trouble(where, code, cause, time.time() - for_s, hint)


# Prometheus metrics of a gateway. Label values come from fixed lists, never from callers, so their number is bounded:
# routes as they are declared, methods and classes of statuses, threads, states and kinds.

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


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
        labels = ("(none)", "") if route is None else (route, method)
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
