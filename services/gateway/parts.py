"""The parts of which a gateway consists, and the threads that work for them."""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from starlette.concurrency import run_in_threadpool
from structlog.typing import FilteringBoundLogger

from millmark.ledger import names, products, signatures
from millmark.ledger.chain import Chain
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.services import access, documents, portal
from millmark.services.access.people.openid import Provider
from millmark.services.audit import AuditLog
from millmark.services.check.build import BUILT
from millmark.services.gateway.consortium import Upkeep
from millmark.services.gateway.follower import (
    CopiesWatch,
    DirectoryFollower,
    DirectorySource,
    FollowedChain,
    FollowerThread,
)
from millmark.services.gateway.http.authentication import Clock, Limiter, Policy, Rates
from millmark.services.gateway.own_records import AnchorRule, AuditAnchors, Feedback, verify_audit_stream
from millmark.services.gateway.readiness import Readiness
from millmark.services.gateway.recording import Recorder
from millmark.services.gateway.relay import Relay
from millmark.services.handover.delivering import Deliveries, HandoverDispatcher
from millmark.services.handover.receiving import Receiver
from millmark.services.interop.credentials.keys import CredentialKey
from millmark.services.planning.feedback.taking import SetpointProposer
from millmark.services.portal.check_page import CheckPage
from millmark.services.products import Catalogue
from millmark.services.serving.loop import LONG_REST_S, REST_S, FailedRecords, FundsWatch, Loop, Pulse
from millmark.services.webhooks.dispatcher import DeliveryPolicy, Dispatcher


@dataclass(frozen=True, slots=True)
class GatewayParts:
    """Store and policy are required. A gateway lacks the features whose parts are left out."""

    store: Store
    """An open store. The gateway does not close it."""
    policy: Policy
    _: KW_ONLY
    keys: documents.KeyRing | None = None
    """Without a key ring, documents can be neither added nor fetched."""
    chain: FollowedChain | None = None
    """With a chain, a thread keeps the index up to date with its final blocks. Without, the index stays as it is."""
    follow_interval_s: float = 1.0
    clock: Clock = lambda: int(time.time())
    limiter: Limiter = field(default_factory=lambda: Limiter(Rates()))
    absent_every_s: float = 0.025
    """Responses to participants that something does not exist leave at multiples of this time after the request, so
    that it does not tell whether something exists that they must not see. Several times what a look-up takes."""
    recording: tuple[Chain, signatures.Signer] | None = None
    """With it, a thread sends the records that callers request, signed with this key."""
    operator: tuple[Chain, signatures.Signer] | None = None
    """With it, people who may record act as the consortium's operator, with this key."""
    governing: Callable[[], Chain] | None = None
    """Connects to the chain. With it, the page of the consortium says who decides, and members of its council vote
    there."""
    captured: bool = False
    """Whether a node captures the streams of the company, so that nothing else may be added to them."""
    name_keys: Sequence[names.NameKey] = ()
    """All name keys of the company, without which `recording` creates nothing with an identifier."""
    relay: Relay | None = None
    """With it, the gateway sends requests that other participants signed."""
    proofs: portal.Proofs | None = None
    """What passports disclose, and where their proofs come from. Without it, passports have no proofs."""
    audit: AuditLog | None = None
    """With it, no response is sent before its audit entry is written."""
    anchoring: AnchorRule | None = None
    """With it, `audit` and `recording`, a thread anchors the audit log's head on the ledger."""
    setpoints: SetpointProposer | None = None
    """With it and `recording`, a thread closes the loop; settings of machines are proposed to operators there."""
    drift_notes: bool = False
    """Whether alarms of the company's inspections become notes on what others made, which that thread records."""
    receiver: Receiver | None = None
    """With it, the gateway takes what other companies hand over to its own."""
    deliveries: Deliveries | None = None
    """With it, a thread hands over to other companies what its own company owes them."""
    partner_tls: ssl.SSLContext | None = None
    """For what is asked of the gateways of other companies; by default, the machine's authorities are believed."""
    directory: DirectorySource | None = None
    """With it, a thread keeps the directory up to date."""
    delivery_policy: DeliveryPolicy | None = None
    """With it, a thread delivers webhooks."""
    find_product: products.FindProduct = Catalogue().find_digest
    """Finds the product that an order's specification names."""
    credential_keys: Mapping[str, CredentialKey] = field(default_factory=dict)
    """Keys that sign credentials, by their names in the DID document."""
    provider: Provider | None = None
    """With it, people sign in with their accounts at the company's OpenID Connect provider too."""
    home: Path | None = None
    """Folder with the company's products, calendar and objective, for the pages that order and plan."""
    contact: str | None = None
    """Where readers of pages report a problem. None for the contact that the directory has, empty for none."""
    check_page: Path = BUILT
    """Folder of the page that verifies in a browser. If it has none, passports do not offer it."""

    @property
    def proving_chain(self) -> Chain | None:
        """The chain, if bundles can be built from it. Tests index simpler chains."""
        return self.chain if isinstance(self.chain, Chain) else None


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
    loops = [one.loop for one in threads]
    pulse = Pulse(store, logger, loops)
    readiness = Readiness(store, follower, [*loops, pulse.loop], failed, logger, audit=parts.audit, watched=watched)
    long = [one.loop for one in (dispatcher, handovers, directory) if one is not None]
    # Those left out look at what is not in the database: other gateways, balances, the audit log.
    others = [one.loop for one in threads if one not in (copies, funds, anchors) and one.loop not in long]
    pulse.let_rest(LONG_REST_S, *long)
    pulse.let_rest(REST_S, readiness.loop, *others)
    return Background(follower, recorder, operator, feedback, copies, readiness, (readiness, pulse, *threads))


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
        return Dispatcher(store, delivery, logger)
    return Dispatcher(store, delivery, logger, is_fresh=follower.is_fresh)


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
    company = None if parts.policy.owner == access.OPERATOR else parts.policy.owner
    verify = partial(verify_audit_stream, parts.recording[0], parts.anchoring.stream, company)
    return AuditAnchors(parts.store, recorder, parts.audit, parts.anchoring, parts.clock, logger, verify)
