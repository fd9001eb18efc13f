"""Named queries to which a company subscribed: their subscriptions, which are webhooks, and what is delivered to them.

Events are delivered in the order in which they were recorded, by the dispatcher of webhooks and under its rules: at
least once, with retries, and only those that the subscriber may see at the time of delivery.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets as random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from fastapi import Path, Request, Response
from starlette.concurrency import run_in_threadpool

from millmark.ledger.canonical import Json
from millmark.ledger.errors import NotFoundError
from millmark.ledger.store import Connection, Store
from millmark.services.access import Principal, Scope, repository, rules
from millmark.services.gateway.epcis import schemas, search
from millmark.services.gateway.epcis.named_queries import PAGING, QUERIES, QueryName
from millmark.services.gateway.http.authentication import CurrentPrincipal
from millmark.services.gateway.http.routes import PROBLEM, Routes
from millmark.services.interop.epcis import named_queries
from millmark.services.interop.epcis.event_queries import EventQueries, Recorded, parse_query
from millmark.services.interop.epcis.repository import EpcisRepository
from millmark.services.webhooks.dispatcher import Batch, Delivery
from millmark.services.webhooks.http_post import parse_target
from millmark.services.webhooks.repository import WebhookRepository, WebhookRow
from millmark.services.webhooks.subscriptions import State, Subscriber, holder_of, signing_secrets

MAX_PER_COMPANY: Final = 20
MAX_PER_QUERY: Final = 5
SIGNATURE: Final = "GS1-Signature"
"""Header with HMAC-SHA256 of the body, keyed with the token's bytes, in lower-case hex."""
_MOST_EVENTS: Final = 100
_MOST_BYTES: Final = 1 << 20
"""Most bytes of events in one delivery, unless a single event is larger."""


class StandingQueries:
    """The subscriptions of the caller's company to its queries. `loopback` allows receivers on this machine."""

    def __init__(self, store: Store, principal: Principal, *, loopback: bool = False) -> None:
        self._store, self._principal, self._loopback = store, principal, loopback
        self._participant = search.number_of(principal)

    def subscribe(self, name: str, wanted: named_queries.Wanted, now_ms: int) -> dict[str, Json]:
        """Subscribes to the query of that name. Raises UnknownQueryError, SubscriptionError and TargetRefusedError."""
        parse_target(wanted.dest, loopback=self._loopback)
        subscriber = Subscriber(self._participant, self._principal.owner, self._principal.credential)
        with self._store.transaction() as connection:
            named_queries.verify_subscribable(named_queries.read_query_named(connection, self._participant, name))
            webhooks = WebhookRepository(connection)
            # Counted in the transaction that adds, so that concurrent requests cannot exceed the limits.
            queries = [one.query for one in webhooks.all(self._participant) if one.query]
            if len(queries) >= MAX_PER_COMPANY or queries.count(name) >= MAX_PER_QUERY:
                raise named_queries.SubscriptionError(
                    f"the company has {MAX_PER_QUERY} subscriptions to {name}, or {MAX_PER_COMPANY} in all",
                    hint="delete one",
                )
            holder = holder_of(repository.AccessRepository(connection), subscriber)
            row = _row(name, subscriber, wanted, now_ms, holder, _start(connection, wanted.controls))
            webhooks.add(row)
            return _describe(connection, row)

    def list(self, name: str) -> list[dict[str, Json]]:
        """The subscriptions to the query of that name, oldest first. Raises UnknownQueryError."""
        with self._store.reading() as connection:
            named_queries.read_query_named(connection, self._participant, name)
            return [
                _describe(connection, one) for one in WebhookRepository(connection).of_query(self._participant, name)
            ]

    def get(self, name: str, id_: str) -> dict[str, Json]:
        """Raises UnknownQueryError and NotFoundError."""
        with self._store.reading() as connection:
            return _describe(connection, self._find(connection, name, id_))

    def unsubscribe(self, name: str, id_: str) -> None:
        """Raises UnknownQueryError and NotFoundError."""
        with self._store.transaction() as connection:
            WebhookRepository(connection).remove(self._find(connection, name, id_).id)

    def _find(self, connection: Connection, name: str, id_: str) -> WebhookRow:
        named_queries.read_query_named(connection, self._participant, name)
        row = WebhookRepository(connection).get(id_)
        if row is None or (row.participant, row.query) != (self._participant, name):
            raise NotFoundError(f"subscription {id_[:40]!a} not found", hint="list the subscriptions to see their ids")
        return row


def _row(
    name: str, subscriber: Subscriber, wanted: named_queries.Wanted, now_ms: int, holder: str, event_number: int
) -> WebhookRow:
    due_ms = _next_due(wanted.controls, now_ms)
    return WebhookRow(
        id=random.token_hex(8),
        participant=subscriber.participant,
        owner=subscriber.owner,
        url=wanted.dest,
        mode="epcis",
        kinds="",
        subjects="",
        secrets=json.dumps([(wanted.token, 0)] if wanted.token else []),
        created_ms=now_ms,
        registry_sequence=0,
        ledger_sequence=0,
        state=State.ACTIVE.value,
        reason="",
        attempts=0,
        next_try_ms=due_ms,
        delivered_ms=0,
        holder="",
        held_until_ms=0,
        credential=holder,
        query=name,
        controls=wanted.controls.to_text(),
        event_number=event_number,
        due_ms=due_ms,
        most_events=_MOST_EVENTS,
    )


def _start(connection: Connection, controls: named_queries.Controls) -> int:
    """Number of the last event that is not considered."""
    events = EpcisRepository(connection)
    if controls.initial_record_ms is None:
        return events.last_number()
    return events.first_number(controls.initial_record_ms) - 1


def _next_due(controls: named_queries.Controls, now_ms: int) -> int:
    """The next time of the schedule; 0 for a stream. A schedule was refused if it never has one."""
    return 0 if controls.schedule is None else controls.schedule.next_after(now_ms) or 0


def _controls(row: WebhookRow) -> named_queries.Controls:
    # Judged as of its creation: what was accepted then is not refused later.
    return named_queries.read_controls(json.loads(row.controls), row.created_ms)


def _describe(connection: Connection, row: WebhookRow) -> dict[str, Json]:
    """The standard's description, without the token, and the state of the deliveries as an extension."""
    controls = _controls(row)
    since_ms = row.created_ms if controls.initial_record_ms is None else controls.initial_record_ms
    # A client that subscribes anew from this time on misses nothing: later events have higher numbers.
    recorded_ms = EpcisRepository(connection).record_time(row.event_number) or 0
    shown: dict[str, Json] = {
        "subscriptionID": row.id,
        "queryName": row.query,
        "dest": row.url,
        "createdAt": search.format_moment(row.created_ms),
        "initialRecordTime": search.format_moment(since_ms),
        "minRecordTime": search.format_moment(max(since_ms, recorded_ms)),
        "epcFormat": "Never_Translates",
        **{name: one for name, one in controls.given.items() if name != "initialRecordTime"},
        "state": row.state,
    }
    if row.delivered_ms:
        shown["lastNotifiedAt"] = search.format_moment(row.delivered_ms)
    return {**shown, "reason": row.reason} if row.reason else shown


class QuerySource:
    """The events of named queries, for the dispatcher (millmark.services.webhooks.dispatcher.Source)."""

    scope = Scope.PROVENANCE

    def __init__(self, store: Store) -> None:
        self._store = store

    def behind(self, connection: Connection, rows: Sequence[WebhookRow], now_ms: int) -> list[WebhookRow]:
        last = EpcisRepository(connection).last_number()
        # A schedule has to be executed even without new events: an empty result may have to be reported.
        return [row for row in rows if (row.due_ms <= now_ms if row.due_ms else row.event_number < last)]

    def next(self, row: WebhookRow, now_ms: int) -> Batch | None:
        if row.due_ms > now_ms:
            return None
        recorded = self._read(row)
        if recorded is None or (not row.due_ms and recorded.end == row.event_number):
            return None
        controls = _controls(row)
        end = {"event_number": recorded.end}
        if recorded.is_whole and row.due_ms:
            # The execution ends, and times that passed in the meantime are not made up for.
            end["due_ms"] = end["next_try_ms"] = _next_due(controls, now_ms)
        deliveries = [_deliver(row, [event for _, event in part], part[-1][0]) for part in _split(recorded.events)]
        # A part with events of this execution may have been delivered before, also before a restart.
        was_sent = bool(deliveries) or row.delivered_ms >= row.due_ms
        if controls.report_if_empty and recorded.is_whole and not was_sent:
            deliveries.append(_deliver(row, [], recorded.end, end))
        return Batch(deliveries, end)

    def _read(self, row: WebhookRow) -> Recorded | None:
        """What follows; None if the query is being deleted, and the subscription with it."""
        with self._store.reading() as connection:
            if EpcisRepository(connection).query(row.participant, row.query) is None:
                return None
            definition = named_queries.read_query_named(connection, row.participant, row.query)
        query = parse_query(definition.parameters, most_per_page=1, per_page=1).query
        viewer = None if row.owner else row.participant
        return EventQueries(self._store, row.participant, viewer).recorded(query, row.event_number, row.most_events)


def _split(events: Sequence[tuple[int, Json]]) -> Iterator[list[tuple[int, Json]]]:
    """Parts that are small enough for one delivery."""
    part: list[tuple[int, Json]] = []
    size = 0
    for number, event in events:
        length = len(msgspec.json.encode(event))
        if part and size + length > _MOST_BYTES:
            yield part
            part, size = [], 0
        part.append((number, event))
        size += length
    if part:
        yield part


def _deliver(row: WebhookRow, events: Sequence[Json], number: int, cursor: Mapping[str, int] | None = None) -> Delivery:
    body = msgspec.json.encode(search.query_document(events, row.query, row.id))

    def sign_at(now_ms: int) -> Mapping[str, str]:
        tokens = signing_secrets(row, now_ms)  # one, or none where the client gave none
        return {SIGNATURE: hmac.new(tokens[0].encode(), body, hashlib.sha256).hexdigest()} if tokens else {}

    headers = {"content-type": "application/json", "GS1-EPCIS-Version": "2.0.0", "GS1-CBV-Version": "2.0.0"}
    return Delivery(headers, body, sign_at, cursor or {"event_number": number}, len(events))


SUBSCRIPTIONS: Final = f"{QUERIES}/{{name}}/subscriptions"
_READ: Final = rules.Rule(Scope.PROVENANCE)
SubscriptionId = Annotated[
    str, Path(pattern="^[0-9a-f]{16}$", description="Id of a subscription.", examples=["4f1c09aa27de4f1c"])
]


@dataclass(frozen=True, slots=True)
class SubscriptionParts:
    """What the routes need."""

    store: Store
    clock_ms: Callable[[], int]
    loopback: bool
    """Whether receivers on this machine are allowed."""

    def of(self, principal: Principal) -> StandingQueries:
        return StandingQueries(self.store, principal, loopback=self.loopback)


def add_subscriptions(routes: Routes, parts: SubscriptionParts) -> None:
    _add_creation(routes, parts)
    _add_list(routes, parts)
    _add_one(routes, parts)


def _add_creation(routes: Routes, parts: SubscriptionParts) -> None:
    @routes.post(
        SUBSCRIPTIONS,
        "subscribe",
        "Subscribe to a named query",
        rule=rules.Rule(Scope.PROVENANCE, cost=4),
        examples={"daily": lambda: schemas.SUBSCRIPTION_EXAMPLE},
        **schemas.describe(schemas.SUBSCRIPTION, 404, 413, 415, done=201, requestBody=schemas.SUBSCRIPTION_BODY),
    )
    async def subscribe(request: Request, principal: CurrentPrincipal, name: QueryName) -> Response:
        """Has events that match the query and are visible to the caller sent to `dest`, as EPCISQueryDocuments: with
        `stream`, as soon as they are recorded; with a `schedule` (UTC), what was recorded since the last time. Events
        come in the order in which they were recorded, each at least once. `GS1-Signature` is the HMAC-SHA256 of the
        body in hex, keyed with `signatureToken`. At most 5 subscriptions to a query and 20 of a company.

        Failed deliveries are retried as those of webhooks, and the subscription is parked after the last retry: resume
        it with `/v1/webhooks/{id}/resume`. It is parked also when the API key or the person that made it loses
        access. A receiver that answers 413 gets smaller parts."""
        search.verify_media_type(request.headers)
        search.verify_acceptable(request.headers)
        now_ms = parts.clock_ms()
        wanted = named_queries.parse_subscription(await request.body(), now_ms)
        made = await run_in_threadpool(parts.of(principal).subscribe, name, wanted, now_ms)
        return search.reply_json(made, 201, Location=f"{SUBSCRIPTIONS.format(name=name)}/{made['subscriptionID']}")


def _add_list(routes: Routes, parts: SubscriptionParts) -> None:
    @routes.get(
        SUBSCRIPTIONS,
        "listSubscriptions",
        "List subscriptions to a named query",
        rule=_READ,
        examples={"one": lambda: [schemas.SUBSCRIPTION_EXAMPLE]},
        **schemas.describe(schemas.SUBSCRIPTION_LIST, 404, parameters=schemas.PAGE_PARAMETERS),
    )
    def subscriptions(request: Request, principal: CurrentPrincipal, name: QueryName) -> Response:
        """Returns the subscriptions of the caller's company, oldest first, also parked ones."""
        search.verify_acceptable(request.headers)
        parsed = search.read_query(request, PAGING)
        start = (search.read_token(request, principal, parsed) or (0, 0))[0]
        found, end = parts.of(principal).list(name), start + parsed.per_page
        return search.reply_json(
            found[start:end], 200, **search.link_to_next(request, principal, (end, 0) if len(found) > end else None)
        )


def _add_one(routes: Routes, parts: SubscriptionParts) -> None:
    @routes.get(
        SUBSCRIPTIONS + "/{id}",
        "getSubscription",
        "Get a subscription to a named query",
        rule=_READ,
        examples={"daily": lambda: schemas.SUBSCRIPTION_EXAMPLE},
        **schemas.describe(schemas.SUBSCRIPTION, 404),
    )
    def subscription(request: Request, principal: CurrentPrincipal, name: QueryName, id: SubscriptionId) -> Response:
        """Shows when the receiver last accepted a delivery, and why deliveries failed or stopped. Whoever subscribes
        anew with `minRecordTime` as `initialRecordTime` misses no event."""
        search.verify_acceptable(request.headers)
        return search.reply_json(parts.of(principal).get(name, id), 200)

    @routes.delete(
        SUBSCRIPTIONS + "/{id}",
        "unsubscribe",
        "Unsubscribe from a named query",
        rule=_READ,
        status_code=204,
        responses={**dict.fromkeys((400, 404), PROBLEM), "default": PROBLEM},
    )
    def unsubscribe(principal: CurrentPrincipal, name: QueryName, id: SubscriptionId) -> Response:
        """Nothing more is sent to the receiver, except a delivery that is in progress."""
        parts.of(principal).unsubscribe(name, id)
        return Response(status_code=204)
