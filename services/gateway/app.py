"""The application and its parts, put together."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from importlib.metadata import version
from typing import Protocol

from fastapi import APIRouter, Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from structlog.typing import FilteringBoundLogger

from ledger.chain import Chain
from ledger.errors import MillmarkError
from ledger.keys import Signer
from ledger.store import Store
from services.access import SignIn
from services.audit import AuditLog
from services.documents import Documents, KeyRing, Recipients
from services.gateway.api.bundles import build_bundles
from services.gateway.api.contexts import build_contexts
from services.gateway.api.credentials import build_credentials
from services.gateway.api.documents import add_documents
from services.gateway.api.events import Streams, build_events
from services.gateway.api.proofs import build_proofs
from services.gateway.api.provenance import build_router
from services.gateway.api.provenance_service import Service
from services.gateway.api.recipient_keys import add_recipient_keys
from services.gateway.api.resources import build_resources
from services.gateway.api.sessions import add_doors
from services.gateway.api.webhooks import build_webhooks
from services.gateway.audit_anchors import AnchorRule, AuditAnchors
from services.gateway.docs.openapi import complete_document
from services.gateway.docs.pages import build_page
from services.gateway.epcis.endpoints import build_epcis
from services.gateway.follower import FollowedChain, Following
from services.gateway.http.authentication import Clock, Guard
from services.gateway.http.idempotency import Answers
from services.gateway.http.middleware import Edge, handle_error
from services.gateway.http.paging import Pager
from services.gateway.http.policy import Auth, Policy
from services.gateway.http.rate_limits import Limiter, Rates
from services.gateway.recording import Recorder, build_recording
from services.gateway.relay import Relaying, build_relay
from services.interop.credentials.issuer import Issuer
from services.interop.credentials.keys import CredentialKey
from services.portal import Portal, Proofs
from services.serving.logs import build_logger
from services.webhooks.dispatcher import DeliveryPolicy, Dispatcher
from services.webhooks.subscriptions import Subscriptions

__all__ = ["create_gateway"]

_DESCRIPTION = (
    "Where parts come from, who made and inspected them, and what a bad model or a bad lot reached: read from the "
    "index of the company that runs this gateway. Whoever trusts nobody's server checks a bundle offline instead. "
    "Schemas are open: later versions may add members."
)


class _Gateway(FastAPI):
    """FastAPI whose OpenAPI document says what the middleware, the guard and the error handler do."""

    secured = True

    def openapi(self) -> dict[str, object]:
        if self.openapi_schema is None:
            self.openapi_schema = complete_document(super().openapi(), secured=self.secured)
        return self.openapi_schema


def _now_s() -> int:
    return int(time.time())


class _Thread(Protocol):
    def start(self) -> None: ...
    def stop(self) -> None: ...


def _running(threads: Sequence[_Thread]) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Threads that live from start-up to shutdown."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        for one in threads:
            one.start()
        try:
            yield
        finally:
            for one in threads:
                await run_in_threadpool(one.stop)

    return lifespan


def create_gateway(
    store: Store,
    policy: Policy,
    *,
    keys: KeyRing | None = None,
    chain: FollowedChain | None = None,
    follow_interval_s: float = 1.0,
    clock: Clock = _now_s,
    limiter: Limiter | None = None,
    recording: tuple[Chain, Signer] | None = None,
    relaying: Relaying | None = None,
    proofs: Proofs | None = None,
    audit: AuditLog | None = None,
    anchoring: AnchorRule | None = None,
    delivery_policy: DeliveryPolicy | None = None,
    credential_keys: Mapping[str, CredentialKey] | None = None,
) -> FastAPI:
    """The application over an open store. Without `keys`, documents are neither added nor fetched. With a chain, a
    thread brings the index up to its last final block every `follow_interval_s` seconds, from start-up to shutdown;
    without one, the index is served as it is. With `recording`, a chain and a key, another thread records what callers
    ask for. `relaying` sends what other participants signed, as long. `proofs` says what passports disclose, and where
    their proofs come from; without it there are none. With `audit`, nothing is answered that it does not have; with
    `anchoring` as well, and `recording`, its head is anchored on the ledger. With `delivery_policy`, another
    thread tells the receivers of webhooks. `credential_keys` sign credentials, by their name in the DID document."""
    logger = build_logger()
    recorder = None if recording is None else Recorder(store, *recording, logger)
    following = None if chain is None else Following(chain, store, follow_interval_s, logger)
    dispatcher = None if delivery_policy is None else Dispatcher(store, delivery_policy, logger)
    anchors = _anchors(store, recorder, audit, anchoring, clock, logger)
    running = [one for one in (following, dispatcher, relaying, anchors, recorder) if one is not None]
    service, sign_in = Service(store, following), SignIn(store, policy.origin)
    portal = Portal(store, policy.origin, proofs or Proofs(store, None, None), sign_in, service.status, clock)
    guard = Guard(store, policy, clock, Limiter(Rates()) if limiter is None else limiter)
    app = _open(guard, running, portal, secured=policy.auth is Auth.REQUIRED)
    app.state.answers, app.state.pager, app.state.streams = Answers(store, clock), Pager(store), Streams()
    app.add_middleware(Edge, logger=logger, hosts=policy.hosts, audit=audit)
    for router in (
        build_router(service),
        _doors(store, sign_in, keys, clock),
        *_proofs_and_things(store, chain),
        *_standards(store, recorder, Issuer(store, policy.origin, credential_keys or {}, policy.owner)),
        build_events(store, app.state.streams, guard),
        build_webhooks(Subscriptions(store, loopback=delivery_policy is not None and delivery_policy.loopback)),
        build_relay(relaying),
        build_recording(store, recorder),
        _documentation(app),
        portal.build_routes(),
    ):
        app.include_router(router)
    return app


def _anchors(
    store: Store,
    recorder: Recorder | None,
    audit: AuditLog | None,
    rule: AnchorRule | None,
    clock: Clock,
    logger: FilteringBoundLogger,
) -> AuditAnchors | None:
    if recorder is None or audit is None or rule is None:
        return None
    return AuditAnchors(store, recorder, audit, rule, clock, logger)


def _open(guard: Guard, running: Sequence[_Thread], portal: Portal, *, secured: bool) -> _Gateway:
    """The application without a route; its threads run while it is up, its failures are pages or problems."""
    app = _Gateway(
        title="Millmark gateway",
        summary="Provenance of made-to-order parts",
        description=_DESCRIPTION,
        version=version("millmark"),
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        lifespan=_running(running),
        openapi_url=None,  # FastAPI's own route would pass by the guard
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        dependencies=[Depends(guard)],
    )
    app.secured, app.state.portal = secured, portal
    for kind in (MillmarkError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, partial(handle_error, refuse=portal.refuse))
    return app


def _doors(store: Store, sign_in: SignIn, keys: KeyRing | None, clock: Clock) -> APIRouter:
    """Sessions, and the documents that are sealed for who has one."""
    router = APIRouter()
    add_doors(router, store, sign_in, clock)
    add_documents(router, Documents(store, keys), clock)
    add_recipient_keys(router, Recipients(store), clock)
    return router


def _proofs_and_things(store: Store, chain: FollowedChain | None) -> Iterator[APIRouter]:
    yield build_resources(store)
    yield build_proofs(store)
    yield build_bundles(store, chain if isinstance(chain, Chain) else None)


def _standards(store: Store, recorder: Recorder | None, issuer: Issuer) -> Iterator[APIRouter]:
    yield build_credentials(issuer)
    yield build_contexts()
    yield build_epcis(store, recorder)


def _documentation(app: FastAPI) -> APIRouter:
    router = APIRouter()
    router.add_api_route("/openapi.json", lambda: JSONResponse(app.openapi()), include_in_schema=False)
    router.add_api_route("/docs", lambda: HTMLResponse(build_page(app.openapi())), include_in_schema=False)
    return router
