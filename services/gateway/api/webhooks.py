"""Routes of webhook subscriptions. Participants manage their own."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Literal

from fastapi import Path, Response
from pydantic import BaseModel, ConfigDict, Field

from millmark.services.access import Principal, Scope
from millmark.services.access.rules import Rule
from millmark.services.gateway.http import example_values as examples
from millmark.services.gateway.http.authentication import CurrentPrincipal
from millmark.services.gateway.http.responses import PROBLEMS_400, PROBLEMS_404, PROBLEMS_422, reply
from millmark.services.gateway.http.route_table import RouteTable
from millmark.services.gateway.http.routes import Routes
from millmark.services.gateway.http.schemas import model_of
from millmark.services.webhooks.http_post import Mode
from millmark.services.webhooks.subscriptions import NewWebhook, Subscriber, Subscriptions, Webhook, parse_position

_PLACE = r"^(0|[1-9][0-9]{0,12})\.(0|[1-9][0-9]{0,12})$"
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


class Webhooks(BaseModel):
    """All webhooks of the caller; at most 20 per participant."""

    items: list[model_of(Webhook)]  # type: ignore[valid-type]  # made from the view


_RULE = Rule(Scope.EVENTS)


def add_webhooks(table: RouteTable, subscriptions: Subscriptions) -> None:
    routes = Routes(table, "events", PROBLEMS_404)
    _add_reading(routes, subscriptions)
    _add_creation(routes, subscriptions)
    _add_changes(routes, subscriptions)


def _add_reading(routes: Routes, subscriptions: Subscriptions) -> None:
    @routes.get(
        "/v1/webhooks",
        "listWebhooks",
        "List webhooks with their progress",
        rule=_RULE,
        examples={"two": lambda: {"items": [_active().to_json(), _parked().to_json()]}},
        response_model=Webhooks,
        responses=PROBLEMS_422,
    )
    def list_webhooks(principal: CurrentPrincipal) -> Response:
        """Returns the caller's webhooks or, if the caller is the company that runs the gateway, those of all
        participants.
        """
        items = [one.to_json() for one in subscriptions.list(_subscriber(principal))]
        return Response(json.dumps({"items": items}, separators=(",", ":")), media_type="application/json")

    @routes.one(
        "/v1/webhooks/{id}",
        "getWebhook",
        "Get a webhook with its progress",
        Webhook,
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


def _add_creation(routes: Routes, subscriptions: Subscriptions) -> None:
    @routes.post(
        "/v1/webhooks",
        "addWebhook",
        "Add a webhook",
        NewWebhook,
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
            after=None if body.after is None else parse_position(body.after),
            now_ms=_now_ms(),
        )
        return reply(made, 201, Location=f"/v1/webhooks/{made.webhook.id}")


def _add_changes(routes: Routes, subscriptions: Subscriptions) -> None:
    @routes.post(
        "/v1/webhooks/{id}/resume",
        "resumeWebhook",
        "Resume a parked webhook",
        Webhook,
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
        NewWebhook,
        rule=_RULE,
        examples={"new": _new},
        status_code=201,
    )
    def renew_secret(principal: CurrentPrincipal, id_: WebhookId) -> Response:
        """Creates a new secret. For one day, deliveries are signed with both the new and the previous one."""
        return reply(subscriptions.rotate(_subscriber(principal), id_, now_ms=_now_ms()), 201)


def _subscriber(principal: Principal) -> Subscriber:
    return Subscriber(principal.participant or 0, principal.owner, principal.credential)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _active() -> Webhook:
    return Webhook(
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


def _parked() -> Webhook:
    return replace(_active(), state="parked", attempts=9, reason="no answer within 10 s", api_key=None)


def _new() -> NewWebhook:
    return NewWebhook("whsec_" + "A" * 43 + "=", replace(_active(), delivered_at=None))
