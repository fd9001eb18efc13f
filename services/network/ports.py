"""Free ports for a network on this machine, kept from other programs until they are given back."""

from __future__ import annotations

import socket

__all__ = ["PortReservation"]


class PortReservation:
    """Holds ports of the loopback: the system assigns them to nobody else who asks for any free one, and a node program
    can still listen on them, because it sets SO_REUSEADDR as this does (Go and Java do) and nothing listens here."""

    def __init__(self, count: int) -> None:
        self._sockets = [socket.socket() for _ in range(count)]
        for holder in self._sockets:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind(("127.0.0.1", 0))
        self.ports = [int(holder.getsockname()[1]) for holder in self._sockets]

    def release(self) -> None:
        """Gives the ports back. Can be repeated."""
        for holder in self._sockets:
            holder.close()
        self._sockets = []
