"""Records as they become final: in pages, or as server-sent events.

Both use positions in the feed (`R.L`, see millmark.services.webhooks.subscriptions). A connection continues after
`Last-Event-ID`, a page after `after`. The number of connections is limited. A connection ends with the caller's
credential; clients reconnect. Webhooks deliver the same.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Annotated, Any, Final, Literal

from fastapi import Header, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse
from starlette.types import Receive, Send
from starlette.types import Scope as AsgiScope

from millmark.ledger import errors
from millmark.ledger.events.lots import CustodyAccepted
from millmark.ledger.store import Position, Store
from millmark.services.access import Principal, Scope
from millmark.services.access.rules import Rule
from millmark.services.gateway.http import example_values as examples
from millmark.services.gateway.http.authentication import CurrentPrincipal
from millmark.services.gateway.http.problems import BusyError
from millmark.services.gateway.http.route_table import RouteTable
from millmark.services.gateway.http.routes import PROBLEMS_400, PROBLEMS_404, PROBLEMS_422, Routes, reply
from millmark.services.webhooks import subscriptions as webhooks
from millmark.services.webhooks.http_post import Mode

_AT_ONCE: Final = 100
_MAX_OPEN: Final = 64
_MAX_OPEN_EACH: Final = 8
_INTERVAL_S: Final = 0.5
_HEARTBEAT_S: Final = 15.0
_TEXT: Final[dict[str, Any]] = {"type": "string"}
EVENT_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "description": "A CloudEvent (1.0).",
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {**_TEXT, "description": "Contract and sequence of the record, the same for every subscriber."},
        "source": {**_TEXT, "format": "uri"},
        "type": {**_TEXT, "description": "`millmark.CONTRACT.KIND`, with the kind of record."},
        "subject": {**_TEXT, "description": "Subject of the record."},
        "time": {**_TEXT, "format": "date-time"},
        "datacontenttype": {"const": "application/json"},
        "position": {**_TEXT, "description": "Position in the feed: sequences of registry and ledger up to here."},
        "data": {"type": "object"},
    },
    "required": ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "position", "data"],
}
_PAGE: Final[dict[str, Any]] = {
    "type": "object",
    "description": "A page of the feed.",
    "properties": {
        "items": {"type": "array", "items": EVENT_SCHEMA},
        "next": {**_TEXT, "description": "Value of `after` for the next page; unchanged if there is nothing new."},
    },
    "required": ["items", "next"],
}
_STREAM: Final[dict[str, Any]] = {
    "schema": _TEXT,
    "examples": {
        "one": {"value": 'id: 31.412\nevent: millmark.ledger.CertificateIssued\ndata: {"specversion":"1.0",...}\n\n'}
    },
}

_LOT = "0x" + "1a" * 32


def _example() -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": "ledger-600",
        "source": "urn:millmark:ledger:131277322940537:0x" + "22" * 20,
        "type": "millmark.ledger.CustodyAccepted",
        "subject": _LOT,
        "time": "2026-03-02T09:30:00Z",
        "datacontenttype": "application/json",
        "position": "31.600",
        "data": {
            "contract": "ledger",
            "sequence": 600,
            "kind": "CustodyAccepted",
            "participant": 6,
            "subject": _LOT,
            "identifier": "https://id.gs1.org/01/09506000013459/21/A0001",
            "histories": [_LOT],
            "block_number": 987,
            "block_hash": "0x" + "44" * 32,
            "transaction_hash": "0x" + "45" * 32,
            "fields": CustodyAccepted(offer=598, claims_root=b"\x47" * 32).to_json(),
        },
    }


_PLACE = r"^(0|[1-9][0-9]{0,12})\.(0|[1-9][0-9]{0,12})$"
After = Annotated[
    str | None, Query(pattern=_PLACE, description="Position after which to start; `0.0` for all.", examples=["31.412"])
]
LastId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID", pattern=_PLACE, description="As `after`, for server-sent events.", examples=["31.412"]
    ),
]
Kinds = Annotated[
    list[str] | None,
    Query(max_length=50, description="Kinds of record; all if omitted.", examples=[["LotReceived"]]),
]
Subjects = Annotated[
    list[str] | None,
    Query(max_length=50, description="Only records of these orders and lots.", examples=[["0x" + "1a" * 32]]),
]


class SseConnections:
    """Limits the open connections, in total and of each participant, and ends them when the server stops."""

    def __init__(self, most: int | None = None, most_each: int | None = None) -> None:
        self.stopping: Callable[[], bool] = lambda: False
        self._most, self._most_each = most or _MAX_OPEN, most_each or _MAX_OPEN_EACH
        self._open: dict[int, int] = {}

    def enter(self, participant: int) -> None:
        """Counts a new connection. Raises BusyError if there are too many, in total or from the participant."""
        # Runs on the event loop only, so counting needs no lock.
        if sum(self._open.values()) >= self._most or self._open.get(participant, 0) >= self._most_each:
            raise BusyError("too many event connections are open", retry_after_s=30, hint="close one")
        self._open[participant] = self._open.get(participant, 0) + 1

    def leave(self, participant: int) -> None:
        self._open[participant] -= 1
        if not self._open[participant]:
            del self._open[participant]


def add_events(
    table: RouteTable, store: Store, connections: SseConnections, authenticate: Callable[[Request], Awaitable[None]]
) -> None:
    """`authenticate` checks the caller of an open connection again, and raises once access has ended."""
    routes, feed = Routes(table, "events", PROBLEMS_422), webhooks.RecordFeed(store)

    @routes.get(
        "/v1/events",
        "followEvents",
        "Read records as they become final",
        rule=Rule(Scope.EVENTS, cost=2),
        examples={"page": lambda: {"items": [_example()], "next": "31.600"}},
        response_model=None,
        responses={
            200: {"content": {"application/json": {"schema": _PAGE}, "text/event-stream": _STREAM}},
            **PROBLEMS_400,
        },
    )
    async def events(
        request: Request,
        principal: CurrentPrincipal,
        after: After = None,
        kinds: Kinds = None,
        subjects: Subjects = None,
        last_id: LastId = None,
    ) -> Response:
        """Returns the records visible to the caller as CloudEvents, in the order of the chain and without gaps.

        With `Accept: text/event-stream`, server-sent events: `id` is the position, `event` the type, `data` the
        CloudEvent, and a comment every 15 seconds keeps the connection alive. They start with the next record,
        unless `Last-Event-ID` or `after` is given. Otherwise one page is returned, starting with the first record
        unless `after` is given."""
        wanted = webhooks.parse_filter(kinds or (), subjects or ())
        place = last_id or after
        if "text/event-stream" not in request.headers.get("accept", ""):
            start = webhooks.parse_position(place or "0.0")
            found, end = await run_in_threadpool(feed.after, start, _AT_ONCE, principal.viewer, wanted)
            page = {"items": [one.event for one in found], "next": webhooks.format_position(end)}
            return Response(json.dumps(page, separators=(",", ":")), media_type="application/json")
        start = webhooks.parse_position(place) if place else await run_in_threadpool(feed.end)
        participant = principal.participant or 0
        connections.enter(participant)
        body = _SseConnection(request, principal, feed, wanted, connections, authenticate, _written).run(start)
        return _SseResponse(body, lambda: connections.leave(participant))


def build_page_events(
    store: Store, connections: SseConnections, authenticate: Callable[[Request], Awaitable[None]]
) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint that open pages of the portal follow: which records came that the caller may see, and about what."""
    feed = webhooks.RecordFeed(store)

    async def follow(request: Request, after: After = None, last_id: LastId = None) -> Response:
        principal: Principal = request.state.principal
        place = last_id or after
        start = webhooks.parse_position(place) if place else await run_in_threadpool(feed.end)
        participant = principal.participant or 0
        connections.enter(participant)
        wanted = webhooks.parse_filter((), ())
        named = "event: place\ndata: 1\n"
        body = _SseConnection(request, principal, feed, wanted, connections, authenticate, _noted, named).run(start)
        return _SseResponse(body, lambda: connections.leave(participant))

    return follow


def _noted(entry: webhooks.FeedEntry) -> str:
    """What a page has to know of a record: what it is about."""
    data: Any = entry.event["data"]
    subjects = sorted({str(one).removeprefix("0x") for one in (data["subject"], *data["histories"])})
    noted = json.dumps({"kind": data["kind"], "sequence": data["sequence"], "subjects": subjects})
    return f"id: {webhooks.format_position(entry.position)}\nevent: record\ndata: {noted}\n\n"


class _SseResponse(StreamingResponse):
    """Releases its connection count at the end, even if the response never started because it could not be audited.
    The iterator cannot do that: one that never starts never ends."""

    def __init__(self, body: AsyncIterator[str], leave: Callable[[], None]) -> None:
        super().__init__(
            body, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}, media_type="text/event-stream"
        )
        self._leave = leave

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._leave()


class _SseConnection:
    """One open connection."""

    def __init__(
        self,
        request: Request,
        principal: Principal,
        feed: webhooks.RecordFeed,
        wanted: webhooks.Filter,
        connections: SseConnections,
        authenticate: Callable[[Request], Awaitable[None]],
        written: Callable[[webhooks.FeedEntry], str],
        named: str = "",
    ) -> None:
        self._written, self._named = written, named
        self._request, self._principal, self._feed = request, principal, feed
        self._wanted, self._connections, self._authenticate = wanted, connections, authenticate

    async def run(self, place: Position) -> AsyncIterator[str]:
        """Runs until the caller disconnects, access ends, or the gateway stops. Slow readers cause no buffering:
        records are read only after the previous ones were sent."""
        loop = asyncio.get_running_loop()
        try:
            # An id before the first event, so that a client that loses the connection at once does not skip any.
            yield f"retry: 2000\nid: {webhooks.format_position(place)}\n{self._named}: from here on\n\n"
            beat = loop.time()
            while not self._connections.stopping() and not self._request.state.head:
                found, end = await run_in_threadpool(
                    self._feed.after, place, _AT_ONCE, self._principal.viewer, self._wanted
                )
                for entry in found:
                    yield self._written(entry)
                if end == place:
                    await asyncio.sleep(_INTERVAL_S)
                place = end
                if loop.time() - beat >= _HEARTBEAT_S:
                    beat = loop.time()
                    # So a revoked credential keeps its connection for 15 seconds at most.
                    await self._authenticate(self._request)
                    yield f"id: {webhooks.format_position(place)}\n{self._named}: alive\n\n"
        except errors.MillmarkError:
            return  # the credential ended, or the database failed: the client reconnects and gets the error


def _written(entry: webhooks.FeedEntry) -> str:
    data = json.dumps(entry.event, separators=(",", ":"))
    return f"id: {webhooks.format_position(entry.position)}\nevent: {entry.event['type']}\ndata: {data}\n\n"


# Routes of webhook subscriptions. Participants manage their own.

WebhookId = Annotated[
    str,
    Path(alias="id", pattern="^[0-9a-f]{16}$", description="Id of a webhook.", examples=["4f1c09aa27de4f1c"]),
]


class WantedWebhook(BaseModel):
    """What is to be sent, and where."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(max_length=2048, description="https URL with a public address and port 443 or 8443.")
    mode: Literal["structured", "binary"] = Field("structured", description="Content mode of CloudEvents over HTTP.")
    kinds: list[str] = Field(default=[], max_length=50, description="Kinds of record; all if empty.")
    subjects: list[str] = Field(default=[], max_length=50, description="Orders and lots; all if empty.")
    after: str | None = Field(
        None,
        pattern=_PLACE,
        description="Position in the feed after which to start; by default at the next record.",
    )


@dataclass(frozen=True, slots=True)
class Webhooks:
    """All webhooks of the caller; at most 20 per participant."""

    items: tuple[webhooks.Webhook, ...]


_RULE = Rule(Scope.EVENTS)


def add_webhooks(table: RouteTable, subscriptions: webhooks.Subscriptions) -> None:
    routes = Routes(table, "events", PROBLEMS_404)
    _add_reading(routes, subscriptions)
    _add_creation(routes, subscriptions)
    _add_changes(routes, subscriptions)


def _add_reading(routes: Routes, subscriptions: webhooks.Subscriptions) -> None:
    @routes.get(
        "/v1/webhooks",
        "listWebhooks",
        "List webhooks with their progress",
        Webhooks,
        rule=_RULE,
        examples={"two": lambda: {"items": [_active().to_json(), _parked().to_json()]}},
        responses=PROBLEMS_422,
    )
    def list_webhooks(principal: CurrentPrincipal) -> Response:
        """Returns the caller's webhooks or, if the caller is the company that runs the gateway, those of all
        participants."""
        items = [one.to_json() for one in subscriptions.list(_subscriber(principal))]
        return Response(json.dumps({"items": items}, separators=(",", ":")), media_type="application/json")

    @routes.one(
        "/v1/webhooks/{id}",
        "getWebhook",
        "Get a webhook with its progress",
        webhooks.Webhook,
        rule=_RULE,
        examples={"active": _active, "parked": _parked},
    )
    def get_webhook(principal: CurrentPrincipal, id_: WebhookId) -> Response:
        """Shows the position up to which records were delivered, and why deliveries failed or stopped."""
        return reply(subscriptions.get(_subscriber(principal), id_))

    @routes.delete("/v1/webhooks/{id}", "removeWebhook", "Remove a webhook", rule=_RULE, status_code=204)
    def remove_webhook(principal: CurrentPrincipal, id_: WebhookId) -> Response:
        """Nothing more is sent to its receiver, except a delivery that is in progress."""
        subscriptions.remove(_subscriber(principal), id_)
        return Response(status_code=204)


def _add_creation(routes: Routes, subscriptions: webhooks.Subscriptions) -> None:
    @routes.post(
        "/v1/webhooks",
        "addWebhook",
        "Add a webhook",
        webhooks.NewWebhook,
        rule=_RULE,
        examples={"new": _new},
        responses=PROBLEMS_400,
        status_code=201,
    )
    def add_webhook(principal: CurrentPrincipal, body: WantedWebhook) -> Response:
        """Each final record visible to the caller is sent as a signed CloudEvent, at least once and in the order of the
        chain. The secret is not shown again; Idempotency-Key is not supported, since the response must not be stored. A
        webhook created with an API key is parked when that key is revoked or expires."""
        made = subscriptions.add(
            _subscriber(principal),
            body.url,
            mode=Mode(body.mode),
            kinds=body.kinds,
            subjects=body.subjects,
            after=None if body.after is None else webhooks.parse_position(body.after),
            now_ms=_now_ms(),
        )
        return reply(made, 201, Location=f"/v1/webhooks/{made.webhook.id}")


def _add_changes(routes: Routes, subscriptions: webhooks.Subscriptions) -> None:
    @routes.post(
        "/v1/webhooks/{id}/resume",
        "resumeWebhook",
        "Resume a parked webhook",
        webhooks.Webhook,
        rule=_RULE,
        examples={"resumed": _active},
    )
    def resume_webhook(principal: CurrentPrincipal, id_: WebhookId) -> Response:
        """Deliveries continue at the record where they stopped. Idempotent. From now on the webhook depends on the API
        key used for this request, if any."""
        return reply(subscriptions.resume(_subscriber(principal), id_))

    @routes.post(
        "/v1/webhooks/{id}/secret",
        "renewWebhookSecret",
        "Rotate the secret of a webhook",
        webhooks.NewWebhook,
        rule=_RULE,
        examples={"new": _new},
        status_code=201,
    )
    def renew_secret(principal: CurrentPrincipal, id_: WebhookId) -> Response:
        """Creates a new secret. For one day, deliveries are signed with both the new and the previous one."""
        return reply(subscriptions.rotate(_subscriber(principal), id_, now_ms=_now_ms()), 201)


def _subscriber(principal: Principal) -> webhooks.Subscriber:
    return webhooks.Subscriber(principal.participant or 0, principal.owner, principal.credential)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _active() -> webhooks.Webhook:
    return webhooks.Webhook(
        id="4f1c09aa27de4f1c",
        participant=5,
        url="https://erp.cedar.example/millmark",
        mode="structured",
        kinds=("CertificateIssued", "ModelWithdrawn"),
        subjects=(),
        state="active",
        reason=None,
        attempts=0,
        position="31.412",
        api_key="8f21d0c4b7aa",
        created_at=examples.NOW - timedelta(days=3),
        delivered_at=examples.NOW,
    )


def _parked() -> webhooks.Webhook:
    return replace(_active(), state="parked", attempts=9, reason="no answer within 10 s", api_key=None)


def _new() -> webhooks.NewWebhook:
    return webhooks.NewWebhook("whsec_" + "A" * 43 + "=", replace(_active(), delivered_at=None))
