"""The background threads of a gateway, from start-up to shutdown."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from starlette.concurrency import run_in_threadpool
from structlog.typing import FilteringBoundLogger

from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.services.access import OPERATOR
from millmark.services.gateway.audit_anchors import AuditAnchors, verify_audit_stream
from millmark.services.gateway.consortium import Upkeep
from millmark.services.gateway.copies_watch import CopiesWatch
from millmark.services.gateway.directory_follower import DirectoryFollower
from millmark.services.gateway.epcis import QuerySource
from millmark.services.gateway.feedback import Feedback
from millmark.services.gateway.follower import FollowerThread
from millmark.services.gateway.parts import GatewayParts
from millmark.services.gateway.readiness import Readiness
from millmark.services.gateway.recording import Recorder
from millmark.services.handover.delivering import HandoverDispatcher
from millmark.services.portal.check_page import CheckPage
from millmark.services.serving.loop import FailedRecords, FundsWatch, Loop
from millmark.services.webhooks.dispatcher import DeliveryPolicy, Dispatcher


class _Thread(Protocol):
    @property
    def loop(self) -> Loop: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Background:
    """The threads of one gateway. Routes use the follower and the recorder."""

    follower: FollowerThread | None
    recorder: Recorder | None
    operator: Recorder | None
    """Records with the key of the consortium's operator."""
    feedback: Feedback | None
    copies: CopiesWatch
    readiness: Readiness
    """Watches the others."""
    threads: tuple[_Thread, ...]
    """All threads, in the order in which they start and stop."""

    @asynccontextmanager
    async def lifespan(self, _: object) -> AsyncIterator[None]:
        for one in self.threads:
            one.start()
        try:
            yield
        finally:
            for one in self.threads:
                # Stopping waits for the thread, which would block the event loop and the last responses on it.
                await run_in_threadpool(one.stop)


def build_background(
    parts: GatewayParts, logger: FilteringBoundLogger, count_failed: Callable[[str], object] = lambda _: None
) -> Background:
    """`count_failed` is called with the kind of each record that failed."""
    store, chain, delivery = parts.store, parts.chain, parts.delivery_policy
    # Recorder last: threads that queue records stop before the thread that sends them.
    follower = None if chain is None else FollowerThread(chain, store, parts.follow_interval_s, logger)
    recorder = None if parts.recording is None else Recorder(store, *parts.recording, logger, parts.name_keys)
    operator = None if parts.operator is None else Recorder(store, *parts.operator, logger)
    upkeep = None if parts.operator is None or parts.governing is None else Upkeep(store, parts.governing, logger)
    dispatcher = None if delivery is None else _build_dispatcher(store, delivery, logger, follower)
    anchors = _build_anchors(parts, recorder, logger)
    feedback = _build_feedback(parts, recorder, logger)
    handovers = _build_handovers(parts, logger, follower)
    directory = None if parts.directory is None else DirectoryFollower(store, parts.directory, logger)
    copies = CopiesWatch(store, CheckPage(parts.check_page), parts.policy.owner, logger, tls=parts.partner_tls)
    signers = [one.key for one in (recorder, operator, parts.relay) if one is not None]
    funds = _build_funds(parts, signers, logger)
    every: tuple[_Thread | None, ...] = (
        follower,
        directory,
        dispatcher,
        handovers,
        copies,
        funds,
        parts.relay,
        anchors,
        feedback,
        upkeep,
        operator,
        recorder,
    )
    threads = tuple(one for one in every if one is not None)
    failed = FailedRecords(Outbox(store), logger, count_failed, signers=signers, abandoned=True)
    watched = [one.trouble for one in (handovers, funds) if one is not None]
    readiness = Readiness(
        store, follower, [one.loop for one in threads], failed, logger, audit=parts.audit, watched=watched
    )
    return Background(follower, recorder, operator, feedback, copies, readiness, (readiness, *threads))


def _build_funds(parts: GatewayParts, signers: Sequence[bytes], logger: FilteringBoundLogger) -> FundsWatch | None:
    """None where nothing is sent, and where the node funds the keys."""
    chain = parts.recording[0] if parts.recording is not None else None if parts.relay is None else parts.relay.chain
    if chain is None or chain.profile.faucet:
        return None
    return FundsWatch(lambda: chain, parts.store, signers, logger)


def _build_dispatcher(
    store: Store, delivery: DeliveryPolicy, logger: FilteringBoundLogger, follower: FollowerThread | None
) -> Dispatcher:
    if follower is None:
        return Dispatcher(store, delivery, logger, queries=QuerySource(store))
    return Dispatcher(store, delivery, logger, is_fresh=follower.is_fresh, queries=QuerySource(store))


def _build_handovers(
    parts: GatewayParts, logger: FilteringBoundLogger, follower: FollowerThread | None
) -> HandoverDispatcher | None:
    if parts.deliveries is None or follower is None:
        return None
    return HandoverDispatcher(parts.store, parts.deliveries, logger, tls=parts.partner_tls, is_fresh=follower.is_fresh)


def _build_feedback(parts: GatewayParts, recorder: Recorder | None, logger: FilteringBoundLogger) -> Feedback | None:
    """None where it is switched off, nothing is recorded, or the gateway does not say for which company."""
    owner, setpoints = parts.policy.owner, parts.setpoints
    if recorder is None or parts.recording is None or owner is None or setpoints is None:
        return None
    given = parts.store, recorder, owner, parts.recording[1], setpoints, parts.clock, logger
    return Feedback(*given, captured=parts.captured, drift_notes=parts.drift_notes)


def _build_anchors(parts: GatewayParts, recorder: Recorder | None, logger: FilteringBoundLogger) -> AuditAnchors | None:
    if recorder is None or parts.recording is None or parts.audit is None or parts.anchoring is None:
        return None
    company = None if parts.policy.owner == OPERATOR else parts.policy.owner
    verify = partial(verify_audit_stream, parts.recording[0], parts.anchoring.stream, company)
    return AuditAnchors(parts.store, recorder, parts.audit, parts.anchoring, parts.clock, logger, verify)
