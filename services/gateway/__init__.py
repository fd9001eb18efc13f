"""`millmark gateway`: the partner HTTP API over one company's index.

    app = create_gateway(store, chain=chain)
    serve(app, "127.0.0.1", 8600)

It answers from the index, so it speaks for whoever runs it; it writes nothing but the index. Endpoints hold no queries,
errors become RFC 9457 problems in one place, and response schemas come from the views themselves.
"""

from __future__ import annotations

from services.gateway.app import create_gateway
from services.gateway.server import serve

__all__ = ["create_gateway", "serve"]
