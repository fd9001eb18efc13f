"""Opens the listening socket before the server starts, so that a port in use is reported as a settings error."""

from __future__ import annotations

import gc
import socket

import uvicorn

from ledger.errors import SettingsError

__all__ = ["listen", "serve_on"]


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
