"""Webhooks: subscriptions to what is recorded, each by the participant whose view it has."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Literal

from fastapi import Path, Response
from pydantic import BaseModel, ConfigDict, Field

from services.access import Principal, Scope
from services.access.rules import Rule
from services.gateway.http import example_values as examples
from services.gateway.http.authentication import CurrentPrincipal
from services.gateway.http.responses import PROBLEMS_400, PROBLEMS_404, PROBLEMS_422, reply
from services.gateway.http.route_table import RouteTable
from services.gateway.http.routes import Routes
from services.gateway.http.schemas import model_of
from services.webhooks.delivery import Mode
from services.webhooks.feed import parse_position
from services.webhooks.subscriptions import NewWebhook, Subscriber, Subscriptions, Webhook

__all__ = ["Webhooks", "add_webhooks"]

_PLACE = r"^(0|[1-9][0-9]{0,12})\.(0|[1-9][0-9]{0,12})$"
WebhookId = Annotated[
    str, Path(alias="id", pattern="^[0-9a-f]{16}$", description="As the list says.", examples=["4f1c09aa27de4f1c"])
]


class WantedWebhook(BaseModel):
    """What is to be sent where."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(max_length=2048, description="https, on a public address; port 443 or 8443.")
    mode: Literal["structured", "binary"] = Field("structured", description="Of CloudEvents over HTTP.")
    kinds: list[str] = Field(default=[], max_length=50, description="Kinds of record; all when there are none.")
    subjects: list[str] = Field(default=[], max_length=50, description="Orders and lots; all when there are none.")
    after: str | None = Field(
        None, pattern=_PLACE, description="Place in the feed behind which to begin; else what is recorded next."
    )


class Webhooks(BaseModel):
    """All of them; a participant has twenty at most."""

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
        "Webhooks, and how they do",
        rule=_RULE,
        examples={"two": lambda: {"items": [_active().to_json(), _parked().to_json()]}},
        response_model=Webhooks,
        responses=PROBLEMS_422,
    )
    def list_webhooks(principal: CurrentPrincipal) -> Response:
        """Those of the caller; all of them for the company that runs the gateway."""
        items = [one.to_json() for one in subscriptions.list(_subscriber(principal))]
        return Response(json.dumps({"items": items}, separators=(",", ":")), media_type="application/json")

    @routes.one(
        "/v1/webhooks/{id}",
        "getWebhook",
        "A webhook, and how it does",
        Webhook,
        rule=_RULE,
        examples={"active": _active, "parked": _parked},
    )
    def get_webhook(principal: CurrentPrincipal, id_: WebhookId) -> Response:
        """How far its receiver was told, and why it was not told further."""
        return reply(subscriptions.get(_subscriber(principal), id_))

    @routes.delete("/v1/webhooks/{id}", "removeWebhook", "End a webhook", rule=_RULE, status_code=204)
    def remove_webhook(principal: CurrentPrincipal, id_: WebhookId) -> Response:
        """Nothing more is sent to its receiver, but for a delivery that is under way."""
        subscriptions.remove(_subscriber(principal), id_)
        return Response(status_code=204)


def _add_creation(routes: Routes, subscriptions: Subscriptions) -> None:
    @routes.post(
        "/v1/webhooks",
        "addWebhook",
        "Be told of records by webhook",
        NewWebhook,
        rule=_RULE,
        examples={"new": _new},
        responses=PROBLEMS_400,
        status_code=201,
    )
    def add_webhook(principal: CurrentPrincipal, body: WantedWebhook) -> Response:
        """Each final record that there is for the caller, as a signed CloudEvent, at least once and in the order of the
        chain. The secret is shown this once; no Idempotency-Key is taken, since the answer could not be kept. One that
        was made with an API key is parked when that key is revoked or expires."""
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
        "Send on from where a webhook was parked",
        Webhook,
        rule=_RULE,
        examples={"resumed": _active},
    )
    def resume_webhook(principal: CurrentPrincipal, id_: WebhookId) -> Response:
        """Once more is fine. From now on it ends with the API key that this was asked with, if it was one."""
        return reply(subscriptions.resume(_subscriber(principal), id_))

    @routes.post(
        "/v1/webhooks/{id}/secret",
        "renewWebhookSecret",
        "A new secret for a webhook",
        NewWebhook,
        rule=_RULE,
        examples={"new": _new},
        status_code=201,
    )
    def renew_secret(principal: CurrentPrincipal, id_: WebhookId) -> Response:
        """For a day each delivery is signed with both the new and the one before."""
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
