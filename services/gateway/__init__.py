"""`millmark gateway`: the partner HTTP API over one company's index.

    policy = build_policy("required", url="https://gateway.example", owner=3)
    app = create_gateway(store, policy, chain=chain)
    serve(app, "127.0.0.1", 8600)

It answers from the index, so it speaks for whoever runs it. Who may ask, and for what, is in ACCESS.md. Endpoints hold
no queries, errors become RFC 9457 problems in one place, and response schemas come from the views themselves.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.gateway.app import create_gateway
    from services.gateway.http.policy import build_policy
    from services.gateway.http.rate_limits import Limiter, Rates
    from services.gateway.relay import Relaying
    from services.serving.server import serve
from services.serving.tls import build_tls, choose_tls

__all__ = ["Limiter", "Rates", "Relaying", "build_policy", "build_tls", "choose_tls", "create_gateway", "serve"]

_HOMES = {
    "Limiter": "limits",
    "Rates": "limits",
    "Relaying": "relay",
    "build_policy": "policy",
    "create_gateway": "app",
    "serve": "server",
}


def __getattr__(name: str) -> object:
    """PEP 562: a node takes its server and its logs from here, and need not wait for the whole gateway."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
