"""`millmark gateway`: the partner HTTP API over one company's index.

    policy = build_policy("required", url="https://gateway.example", owner=3)
    app = create_gateway(GatewayParts(store, policy, chain=chain))
    serve(app, "127.0.0.1", 8600)

It answers from the index, so it speaks for the company that runs it. Who may call what is in ACCESS.md. A route is one
row at its endpoint: permissions, the OpenAPI document and the table of ACCESS.md are derived from it. Endpoints hold no
queries, errors become RFC 9457 problems in one place, and response schemas come from the views themselves.
"""

from __future__ import annotations

from services.gateway.app import create_gateway
from services.gateway.http.policy import build_policy
from services.gateway.http.rate_limits import Limiter, Rates
from services.gateway.parts import GatewayParts
from services.gateway.relay import Relaying

__all__ = ["GatewayParts", "Limiter", "Rates", "Relaying", "build_policy", "create_gateway"]
