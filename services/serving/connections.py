"""Limits on connections: how many there are, in total and of one address, and how long each may wait for its client.

Connections are counted when they are accepted, before TLS and before a byte is read: a client that sends nothing never
gets further. When there are too many, one that waits for its client makes room for the new one, so that silent
connections cannot keep anybody out; a new one is refused only if all others are in the middle of a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import ipaddress
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What one server grants its clients."""

    total: int = 512
    per_address: int = 128
    """Connections of one IPv4 address or one IPv6 /64."""
    head_s: float = 10.0
    """From the connection, or from the first byte of a later request, to the end of the head; includes TLS."""
    idle_s: int = 5
    """Without a request on an open connection."""
    body_s: float = 30.0
    """For the body, in addition to the time that its bytes take at `body_bytes_per_s`."""
    body_bytes_per_s: int = 10_000
    stalled_s: float = 30.0
    """Without the client taking any of the response."""
    reader_s: float = 3.0
    """The same, when another connection needs the room."""
    linger_s: float = 2.0
    """For the rest of what was answered before it was read."""


class Waiting(enum.IntEnum):
    """What a connection waits for; the lower, the sooner it has to make room for another."""

    HEAD = 0
    NEXT_REQUEST = 1
    BODY = 2
    READER = 3
    """The client does not read the response."""
    SERVER = 4
    """The request is complete, and it is the server's turn."""


@dataclass(slots=True, eq=False)
class Connection:
    """One accepted connection."""

    address: str
    close: Callable[[], None]
    since_s: float
    waiting: Waiting = Waiting.HEAD
    until_s: float | None = None
    """When the connection is closed; None if there is no deadline."""
    reading_paused: Callable[[], bool] = field(default=lambda: False)
    """Whether the server does not read at present, so that the client is not to blame."""

    def wait(self, waiting: Waiting, now_s: float, limit_s: float | None) -> None:
        self.waiting, self.since_s = waiting, now_s
        self.until_s = None if limit_s is None else now_s + limit_s


class Connections:
    """The connections of one server. Belongs to the thread of its event loop."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self._found: dict[tuple[Any, ...], Connection] = {}
        self._sweep_at_s: float | None = None
        """When the next sweep is due; None while there is none."""
        self.refused = self.evicted = self.expired = 0

    def __len__(self) -> int:
        return len(self._found)

    def admit(self, peer: tuple[Any, ...], close: Callable[[], None]) -> Connection | None:
        """Registers a new connection by its `name_connection`; None if there is no room for it."""
        address = name_address(peer[0] if peer else None)
        own = [one for one in self._found.values() if one.address == address]
        if len(own) >= self.limits.per_address and not self._evict(own):
            self.refused += 1
            return None
        if len(self._found) >= self.limits.total and not self._evict(self._found.values()):
            self.refused += 1
            return None
        loop = asyncio.get_running_loop()
        found = self._found[peer] = Connection(address, close, loop.time())
        found.wait(Waiting.HEAD, loop.time(), self.limits.head_s)
        if self._sweep_at_s is None:
            self._sweep_later(loop)
        return found

    def find(self, peer: tuple[Any, ...]) -> Connection | None:
        return self._found.get(peer)

    def forget(self, peer: tuple[Any, ...]) -> None:
        self._found.pop(peer, None)

    def _evict(self, among: Iterable[Connection]) -> bool:
        """Closes the connection that waits for its client most idly and longest. False if all are at work."""
        now_s = asyncio.get_running_loop().time()
        idle = [one for one in among if self._makes_room(one, now_s)]
        if not idle:
            return False
        first = min(idle, key=lambda one: (one.waiting, one.since_s))
        self.evicted += 1
        self._end(first)
        return True

    def _makes_room(self, one: Connection, now_s: float) -> bool:
        # Any reader waits for a moment now and then. One that has stopped could keep others out, as could a silent one.
        stopped = one.waiting is Waiting.READER and now_s - one.since_s >= self.limits.reader_s
        return stopped or one.waiting <= Waiting.BODY

    def _end(self, connection: Connection) -> None:
        for peer, one in list(self._found.items()):
            if one is connection:
                del self._found[peer]
        connection.close()

    @property
    def _period_s(self) -> float:
        return min(1.0, self.limits.head_s / 4)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Closes connections past their deadline. One timer for all: a timer per read would cost every request."""
        now_s = loop.time()
        # While this process stood still, what its clients sent was not read: that time is not theirs.
        late_s = max(0.0, now_s - (self._sweep_at_s or now_s))
        for one in list(self._found.values()):
            if one.until_s is None:
                continue
            one.until_s += late_s
            if now_s < one.until_s:
                continue
            if one.waiting is Waiting.BODY and one.reading_paused():
                one.until_s = now_s + self._period_s
                continue
            self.expired += 1
            self._end(one)
        self._sweep_at_s = None
        if self._found:
            self._sweep_later(loop)

    def _sweep_later(self, loop: asyncio.AbstractEventLoop) -> None:
        self._sweep_at_s = loop.time() + self._period_s
        loop.call_at(self._sweep_at_s, self._sweep, loop)


class _Accepted(socket.socket):
    """A connection that leaves the table when it is closed, by whomever."""

    table: Connections | None = None
    peer: tuple[Any, ...] = ()

    def close(self) -> None:
        if self.table is not None:
            self.table.forget(self.peer)
            self.table = None
        super().close()

    def end(self) -> None:
        """Ends the connection; its transport then notices the end of the stream and closes the socket."""
        with contextlib.suppress(OSError):  # the client was faster
            self.shutdown(socket.SHUT_RDWR)


_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nRetry-After: 2\r\n"
    b"Connection: close\r\nCache-Control: no-store\r\nContent-Length: %d\r\n\r\n%s"
)
_PROBLEM = (
    b'{"type": "urn:millmark:problem:too-many-connections", "title": "Too many connections", "status": 503, '
    b'"detail": "there are too many connections, in total or of this address", "hint": "send it again in 2 s"}'
)


class Listener(socket.socket):
    """A listening socket that admits connections by the table that its server sets, and refuses the others."""

    table: Connections | None = None
    encrypted: bool = False
    """Whether clients expect TLS: one that is refused then gets no answer that it could read."""

    def accept(self) -> tuple[socket.socket, Any]:
        """As in socket.socket. Raises BlockingIOError when no admitted connection is left."""
        while True:
            plain, peer = super().accept()
            accepted = _Accepted(plain.family, plain.type, plain.proto, fileno=plain.detach())
            if self.table is None:
                return accepted, peer
            both = name_connection(peer, accepted.getsockname())
            if self.table.admit(both, accepted.end) is not None:
                accepted.table, accepted.peer = self.table, both
                return accepted, peer
            self._refuse(accepted)

    def _refuse(self, accepted: socket.socket) -> None:
        with contextlib.suppress(OSError), accepted:
            accepted.setblocking(False)
            if not self.encrypted:
                accepted.send(_BUSY % (len(_PROBLEM), _PROBLEM))


def name_connection(peer: tuple[Any, ...], own: tuple[Any, ...]) -> tuple[Any, ...]:
    """What no two connections have in common. The peer's address and port alone do not suffice: from one port, a client
    may connect to each address of this machine."""
    return (*peer, *own)


def name_address(host: str | None) -> str:
    """The name under which an address is counted: the address itself, for IPv6 its /64, the usual size of a
    subscriber's network."""
    try:
        address = ipaddress.ip_address(host or "")
    except ValueError:
        return host or "unknown"
    if isinstance(address, ipaddress.IPv6Address):
        # IPv4-mapped addresses are the same callers as over IPv4, so they must not be counted twice.
        mapped = address.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network((int(address), 64), strict=False))
    return str(address)
