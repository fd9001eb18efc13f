"""The socket that a server listens on, opened before the server starts: a port in use is reported in one line."""

from __future__ import annotations

import gc
import socket

import uvicorn

from ledger.errors import SettingsError

__all__ = ["listen", "serve_on"]


def listen(host: str, port: int) -> socket.socket:
    """Raises SettingsError when the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP: without it asyncio leaves Nagle's algorithm on, and an answer in two parts waits 40 ms for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"{host}:{port} cannot be listened on: {error.strerror}", hint="name another port"
        ) from error
    return listener


def serve_on(listener: socket.socket, server: uvicorn.Server) -> None:
    """Serves until the server is told to stop. What is in memory by now stays until then, so it is hidden from the
    garbage collector, which would stop every answer for a fifth of a second while it goes through it again."""
    gc.collect()
    gc.freeze()
    with listener:
        server.run(sockets=[listener])
