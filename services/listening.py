"""The socket that a server listens on, taken before the server starts: a port in use is said in one line."""

from __future__ import annotations

import socket

import uvicorn

from ledger.errors import SettingsError

__all__ = ["listen", "serve_on"]


def listen(host: str, port: int) -> socket.socket:
    """Raises SettingsError when the address cannot be had."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise SettingsError(
            f"{host}:{port} cannot be listened on: {error.strerror}", mend="name another port"
        ) from error


def serve_on(listener: socket.socket, server: uvicorn.Server) -> None:
    """Serves until it is told to stop."""
    with listener:
        server.run(sockets=[listener])
