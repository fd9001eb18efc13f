"""Routes of subscriptions to named queries: subscribe, list, get and unsubscribe. Receivers are webhooks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Path, Request, Response
from starlette.concurrency import run_in_threadpool

from millmark.ledger.store import Store
from millmark.services.access import Principal, Scope
from millmark.services.access.rules import Rule
from millmark.services.gateway.epcis import schemas
from millmark.services.gateway.epcis.negotiation import PREFIX, verify_acceptable, verify_media_type
from millmark.services.gateway.epcis.search import link_to_next, read_query, read_token, reply_json
from millmark.services.gateway.epcis.standing_queries import StandingQueries
from millmark.services.gateway.http.authentication import CurrentPrincipal
from millmark.services.gateway.http.responses import PROBLEM
from millmark.services.gateway.http.routes import Routes
from millmark.services.interop.epcis.named_queries import NAME, parse_subscription

SUBSCRIPTIONS: Final = f"{PREFIX}/queries/{{name}}/subscriptions"
_PAGING: Final = {"perPage", "nextPageToken"}
_READ: Final = Rule(Scope.PROVENANCE)
QueryName = Annotated[str, Path(pattern=NAME, description="Name of a query.", examples=["shipped-parts"])]
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
        rule=Rule(Scope.PROVENANCE, cost=4),
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
        verify_media_type(request.headers)
        verify_acceptable(request.headers)
        now_ms = parts.clock_ms()
        wanted = parse_subscription(await request.body(), now_ms)
        made = await run_in_threadpool(parts.of(principal).subscribe, name, wanted, now_ms)
        return reply_json(made, 201, Location=f"{SUBSCRIPTIONS.format(name=name)}/{made['subscriptionID']}")


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
        verify_acceptable(request.headers)
        parsed = read_query(request, _PAGING)
        start = (read_token(request, principal, parsed) or (0, 0))[0]
        found, end = parts.of(principal).list(name), start + parsed.per_page
        return reply_json(
            found[start:end], 200, **link_to_next(request, principal, (end, 0) if len(found) > end else None)
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
        verify_acceptable(request.headers)
        return reply_json(parts.of(principal).get(name, id), 200)

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
