"""`millmark gateway`: the partner HTTP API over one company's index.

    policy = build_policy("required", url="https://gateway.example", owner=3)
    app = create_gateway(GatewayParts(store, policy, chain=chain))
    serve(app, "127.0.0.1", 8600)

The gateway answers from the index, so its answers are statements of the company that runs it. ACCESS.md lists who may
call what. A route is declared once, at its endpoint: permissions, the OpenAPI document and the table in ACCESS.md are
derived from that. Endpoints contain no queries, one handler turns errors into RFC 9457 problems, and response schemas
are derived from the view classes.
"""

from __future__ import annotations

from millmark.services.gateway.app import create_gateway
from millmark.services.gateway.http.authentication import Limiter, Rates, build_policy
from millmark.services.gateway.parts import GatewayParts
from millmark.services.gateway.relay import Relay

__all__ = ["GatewayParts", "Limiter", "Rates", "Relay", "build_policy", "create_gateway"]
