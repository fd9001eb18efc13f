"""Pages for the company that runs the gateway: what waits to get onto the ledger, and how far index and chain are."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from ledger.store import Store
from ledger.store.outbox import Outbox, OutboxState
from services.portal.forms import Forms
from services.portal.pages import Pages

__all__ = ["Operations"]

_SHOWN = 50
_STATES = tuple(state for state in OutboxState if state is not OutboxState.REPLACED)
"""Of records; that one is of transactions."""


@dataclass(frozen=True, slots=True)
class Operations:
    store: Store
    pages: Pages
    forms: Forms
    status: Callable[[], Any]
    """services.gateway.api.status.GatewayStatus."""

    def add_routes(self, router: APIRouter) -> None:
        router.add_api_route("/portal/queues", self.queues, include_in_schema=False)
        router.add_api_route("/portal/status", self.show_status, include_in_schema=False)

    def queues(self, request: Request) -> Response:
        outbox, now = Outbox(self.store), time.time()
        counts, waiting = outbox.counts(), outbox.unfinished(_SHOWN)
        values: dict[str, Any] = {
            "counts": [(state, counts.get(state.value, 0)) for state in _STATES],
            "waiting": [(one, max(round(now - one.queued_at_s), 0)) for one in waiting],
            "most": _SHOWN,
        }
        return self.pages.render(request, "queues.html", forms=self.forms, **values)

    def show_status(self, request: Request) -> Response:
        return self.pages.render(request, "status.html", forms=self.forms, gateway=self.status())
