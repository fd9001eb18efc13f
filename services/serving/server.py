"""Serves an HTTP application with uvicorn.

The listening socket is opened before the server starts, so that a port in use is reported as a settings error.
"""

from __future__ import annotations

import gc
import socket
import ssl

import uvicorn
from starlette.applications import Starlette

from ledger.errors import SettingsError
from services.serving.logs import build_server_log
from services.serving.tls import CertificateProtocol

__all__ = ["build_server", "listen", "serve", "serve_on"]


def listen(host: str, port: int) -> socket.socket:
    """Opens a listening TCP socket; port 0 chooses a free one. Raises SettingsError if the address cannot be used."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With an explicit protocol, because asyncio disables Nagle's algorithm only then. With Nagle, a response sent in
    # two parts waits 40 ms for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise SettingsError(f"cannot listen on {host}:{port}: {error.strerror}", hint="choose another port") from error
    return listener


def serve_on(listener: socket.socket, server: uvicorn.Server) -> None:
    """Serves until the server is stopped. Exempts all existing objects from garbage collection."""
    # They live as long as the process. Traversing them again would stop every response for about 0.2 s.
    gc.collect()
    gc.freeze()
    with listener:
        server.run(sockets=[listener])


_MAX_CONNECTIONS = 256
_MAX_HEAD_BYTES = 32 * 1024
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
            limit_concurrency=_MAX_CONNECTIONS,
            h11_max_incomplete_event_size=_MAX_HEAD_BYTES,
            timeout_graceful_shutdown=_STOP_S,
        )
    )


def serve(app: Starlette, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
    """Serves until SIGINT or SIGTERM, then finishes the requests in progress (10 s at most). Raises SettingsError if
    the address cannot be used."""
    server = build_server(app, host, port, tls)
    app.state.connections.stopping = lambda: server.should_exit
    serve_on(listen(host, port), server)
