"""The application factory: all routes in one table, the middleware around them, and the background threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from millmark.ledger.errors import MillmarkError
from millmark.ledger.store import Book, Store
from millmark.services.access import OPERATOR, SignIn
from millmark.services.access.people.openid import OpenId
from millmark.services.access.people.passkeys import Passkeys
from millmark.services.access.people.people import Pairing, People
from millmark.services.directory.repository import DirectoryRepository
from millmark.services.documents import Documents
from millmark.services.gateway import consortium, docs, epcis, relay
from millmark.services.gateway.api import ApiParts, SseConnections, add_api, events, fetch_gateway_status, status
from millmark.services.gateway.http import problems, route_table, routes
from millmark.services.gateway.http.authentication import Authentication, CostlyRequests, require_guarded
from millmark.services.gateway.http.middleware import GatewayMiddleware, IdempotencyStore
from millmark.services.gateway.http.repository import StoredSecret
from millmark.services.gateway.parts import Background, GatewayParts, build_background
from millmark.services.gateway.readiness import Metrics, Readiness
from millmark.services.gateway.recording import GatewayFormRecorder, RecordingService, add_recording
from millmark.services.handover.delivering import State
from millmark.services.handover.repository import HandoverRepository
from millmark.services.planning.making import Ties
from millmark.services.portal import AdministrationParts, CompanyServices, Portal, Proofs, check_page, recalls
from millmark.services.portal.pages import Pages, Publisher
from millmark.services.portal.people import WaysIn
from millmark.services.serving import logs, loop
from millmark.services.webhooks.subscriptions import RecordFeed, Subscriptions, format_position

_MAX_WATCHERS, _MAX_WATCHERS_EACH = 256, 96
"""Most open pages that follow records, in all and of one company: only those in view do."""
_DESCRIPTION = (
    "Where parts come from, who made and inspected them, and what a bad model or a bad lot affected, according to the "
    "index of the company that runs this gateway. To verify provenance without trusting any server, fetch a bundle and "
    "check it offline. Schemas are open: later versions may add members."
)


class _Gateway(FastAPI):
    """FastAPI whose OpenAPI document also covers middleware, authentication and the error handler."""

    secured = True
    table: route_table.RouteTable
    _whole: dict[str, object] | None = None

    def openapi(self) -> dict[str, object]:
        # FastAPI's own is set before it is completed, and of models made twice, two would have one name.
        with _DOCUMENTING:
            if self._whole is None:
                self._whole = docs.complete_document(super().openapi(), self.table, secured=self.secured)
            return self._whole


_DOCUMENTING = threading.Lock()


def create_gateway(parts: GatewayParts) -> FastAPI:
    """Returns the application. Its threads run from start-up to shutdown."""
    logger = logs.build_logger()
    metrics = Metrics()
    background = build_background(parts, logger, metrics.count_failed)
    follower = background.follower
    verify_fresh, follow_now = (_no_chain, _no_chain) if follower is None else (follower.verify_fresh, follower.wake)
    app = _open(parts, background)
    table = app.table = route_table.RouteTable(app)
    authentication = Authentication(table, parts.store, parts.policy, parts.clock, parts.limiter, verify_fresh)
    app.state.guard, app.state.costly = authentication, CostlyRequests(parts.limiter)
    app.router.default = _refuse_unrouted
    # Before the first route: FastAPI applies it to those that are registered from now on.
    app.router.dependencies.append(Depends(require_guarded))
    api = _build_api_parts(parts, background, authentication, verify_fresh, follow_now)
    recording = RecordingService(parts.store, background.recorder, parts.find_product, captured=parts.captured)
    app.state.idempotency, app.state.pager = IdempotencyStore(parts.store, parts.clock), routes.Pager(parts.store)
    recorder = GatewayFormRecorder(recording, app.state.idempotency)
    portal = _build_portal(parts, api, recorder, background)
    app.state.connections, app.state.routes, app.state.portal = api.connections, table, portal
    errors = problems.ErrorHandler(table, portal.refuse, epcis.reword_problem)
    # FastAPI has handlers of its own for the last two, which would answer in another form.
    for kind in (MillmarkError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, errors.handle)
    # Outermost, so that it also sees requests that match no route.
    app.add_middleware(
        GatewayMiddleware,
        errors=errors,
        logger=logger,
        hosts=parts.policy.hosts,
        audit=parts.audit,
        observe=metrics.observe,
        limiter=parts.limiter,
        absent_every_s=parts.absent_every_s,
    )
    add_api(table, api)
    status.add_monitoring(table, parts.store, background.readiness, background.follower, metrics)
    epcis.add_epcis(table, parts.store, background.recorder)
    relay.add_relay(table, parts.relay)
    add_recording(table, recording)
    docs.add_documentation(table, app)
    # Pages are rows of the same table, so that none can be served without a permission rule.
    for page in portal.routes:
        follow = [Depends(_Follow(portal.pages, page.rule.cost))] if page.follows else []
        table.add(route_table.Route(page.method, page.path, page.rule), page.endpoint, dependencies=follow)
    return app


@dataclass(frozen=True, slots=True)
class _Follow:
    """Has a page follow records from before its data are read."""

    pages: Pages
    cost: int

    def __call__(self, request: Request) -> None:
        self.pages.prepare(request, self.cost)


def _no_chain() -> None:
    """An index that follows no chain is as fresh as its operator wants it."""


async def _refuse_unrouted(scope: Scope, _receive: Receive, _send: Send) -> None:
    """What the router does when no route has the path."""
    await scope["app"].state.guard.refuse(Request(scope))
    raise HTTPException(404)


def _build_api_parts(
    parts: GatewayParts,
    background: Background,
    authentication: Authentication,
    verify_fresh: Callable[[], None],
    follow_now: Callable[[], None],
) -> ApiParts:
    return ApiParts(
        store=parts.store,
        policy=parts.policy,
        clock=parts.clock,
        sign_in=SignIn(
            parts.store, parts.policy.origin, StoredSecret(parts.store, "sign-in"), verify_fresh=verify_fresh
        ),
        pairing=Pairing(
            parts.store, People(parts.store, parts.policy.owner, verify_fresh), StoredSecret(parts.store, "pairing")
        ),
        keys=parts.keys,
        chain=parts.proving_chain,
        find_product=parts.find_product,
        ties=Ties(parts.proving_chain),
        causes=background.feedback,
        credential_keys=parts.credential_keys,
        receiver=parts.receiver,
        verify_fresh=verify_fresh,
        follow_now=follow_now,
        loopback_webhooks=parts.delivery_policy is not None and parts.delivery_policy.loopback,
        read_status=partial(fetch_gateway_status, parts.store, background.follower),
        connections=SseConnections(),
        authenticate=authentication,
    )


def _read_troubles(readiness: Readiness) -> Sequence[loop.Trouble]:
    """What `/ready` would say; nothing before the first look."""
    seen = readiness.seen()
    return () if seen.looked_s is None else (*seen.troubles, *seen.alarms)


def _build_portal(parts: GatewayParts, api: ApiParts, recorder: GatewayFormRecorder, background: Background) -> Portal:
    proofs = parts.proofs or Proofs(parts.store, None, None)
    form_key = StoredSecret(parts.store, "forms")
    ways_in = _build_ways_in(parts, api.verify_fresh)
    return Portal(
        parts.store,
        parts.policy.origin,
        proofs,
        api.sign_in,
        ways_in,
        api.read_status,
        parts.clock,
        form_key,
        check_page.CheckPage(parts.check_page, lambda: background.copies.seen),
        partial(_find_publisher, parts),
        api.ties,
        recorder,
        _build_services(parts, api, ways_in.people, _build_consortium(parts, background)),
        partial(_read_troubles, background.readiness),
    )


def _build_consortium(parts: GatewayParts, background: Background) -> consortium.GatewayConsortiumWriter:
    operator = None
    if background.operator is not None and parts.operator is not None:
        operator = background.operator, parts.operator[1]
    return consortium.GatewayConsortiumWriter(parts.store, parts.governing, operator, background.recorder, parts.clock)


def _build_services(
    parts: GatewayParts, api: ApiParts, people: People, writer: consortium.GatewayConsortiumWriter
) -> CompanyServices:
    subscriptions = Subscriptions(parts.store, loopback=api.loopback_webhooks)
    folder = None if parts.audit is None else parts.audit.folder
    administration = AdministrationParts(parts.store, subscriptions, people, folder, parts.clock)
    signer = None if parts.recording is None else parts.recording[1]
    documents = Documents(parts.store, parts.keys)
    watchers = SseConnections(_MAX_WATCHERS, _MAX_WATCHERS_EACH)
    watchers.stopping = lambda: api.connections.stopping()  # set by the server, once it runs
    follow, feed = events.build_page_events(parts.store, watchers, api.authenticate), RecordFeed(parts.store)
    return CompanyServices(
        documents,
        administration,
        parts.home,
        signer,
        api.causes,
        told=partial(_find_told, parts.store),
        follow=follow,
        find_place=lambda: format_position(feed.end()),
        pairing=api.pairing,
        consortium=writer,
    )


def _find_told(store: Store, record: int) -> dict[int, recalls.NoticeDelivery]:
    with store.reading() as connection:
        rows = HandoverRepository(connection).of_record(record)
    return {
        row.recipient: recalls.NoticeDelivery(
            row.state == State.DELIVERED, datetime.fromtimestamp(row.changed_ms // 1000, UTC)
        )
        for row in rows
    }


def _find_publisher(parts: GatewayParts) -> Publisher:
    """The company of the gateway, by the name that its own book has."""
    if parts.policy.owner is None:
        return Publisher(None, parts.contact)
    try:
        with parts.store.reading() as connection:
            entry = DirectoryRepository(connection).entry(parts.policy.owner)
            name = Book(connection).names().get(parts.policy.owner)
        # What the setting says replaces the directory's contact, also by saying nothing.
        listed = None if entry is None or parts.contact is not None else entry.contact
        return Publisher(name, parts.contact, listed)
    except MillmarkError:  # also on the page that says that the database fails
        return Publisher(None, parts.contact)


def _find_company(parts: GatewayParts) -> str | None:
    return "operator" if parts.policy.owner == OPERATOR else _find_publisher(parts).name


def _build_ways_in(parts: GatewayParts, verify_fresh: Callable[[], None]) -> WaysIn:
    store, origin = parts.store, parts.policy.origin
    people = People(store, parts.policy.owner, verify_fresh)
    openid = None
    if parts.provider is not None:
        openid = OpenId(store, people, parts.provider, origin, StoredSecret(store, "openid"))
    passkeys = Passkeys(store, people, origin, StoredSecret(store, "passkeys"), partial(_find_company, parts))
    return WaysIn(people, passkeys, openid)


def _open(parts: GatewayParts, background: Background) -> _Gateway:
    """The application without routes."""
    app = _Gateway(
        title="Millmark gateway",
        summary="Provenance of made-to-order parts",
        description=_DESCRIPTION,
        version=version("millmark"),
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        lifespan=background.lifespan,
        openapi_url=None,  # FastAPI's own route would bypass the authentication
        docs_url=None,
        redoc_url=None,
        # A redirect would be sent before authentication, and without an audit entry.
        redirect_slashes=False,
    )
    app.secured = parts.policy.needs_credential
    return app
