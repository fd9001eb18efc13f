"""Serves an HTTP application with uvicorn."""

from __future__ import annotations

import ssl

import uvicorn
from starlette.applications import Starlette

from services.serving.logs import build_server_log
from services.serving.sockets import listen, serve_on
from services.serving.tls import CertificateProtocol

__all__ = ["build_server", "serve"]

_MOST_CONNECTIONS = 256
_MOST_HEAD_BYTES = 32 * 1024
_STOP_S = 10


def build_server(app: Starlette, host: str, port: int, tls: ssl.SSLContext | None = None) -> uvicorn.Server:
    """Builds a server without starting it. It ignores forwarding headers, which a client could forge, has no WebSocket
    support, and sends no `Server` header."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            http=CertificateProtocol,
            ssl_context_factory=None if tls is None else (lambda _config, _default: tls),
            ws="none",
            lifespan="on",
            log_config=build_server_log(),
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=_MOST_CONNECTIONS,
            h11_max_incomplete_event_size=_MOST_HEAD_BYTES,
            timeout_graceful_shutdown=_STOP_S,
        )
    )


def serve(app: Starlette, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
    """Serves until SIGINT or SIGTERM, then finishes the requests in progress (10 s at most). Raises SettingsError if
    the address cannot be used."""
    server = build_server(app, host, port, tls)
    app.state.connections.stopping = lambda: server.should_exit
    serve_on(listen(host, port), server)
