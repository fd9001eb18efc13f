"""Serves an HTTP application with uvicorn.

The listening socket is opened before the server starts, so that a port in use is reported as a settings error.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any, cast

import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp

from millmark.ledger.errors import SettingsError
from millmark.services.serving import hosts, logs, protocol
from millmark.services.serving.connections import ConnectionLimits, Connections, Listener

_EVERY = 20_000
"""New container objects between collections. Events, records and requests create a few each, hardly any in a cycle: at
Python's 700, a fifth of the time in which an index follows its chain is spent on looking for what is not there."""


def collect_rarely() -> None:
    """Call it once everything is loaded: what exists then is exempted from garbage collection."""
    # It lives as long as the process. Traversing it again would stop every response for about 0.2 s.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_EVERY)


def listen(host: str, port: int) -> Listener:
    """Opens a listening TCP socket; port 0 chooses a free one. Raises SettingsError if the address cannot be used."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With an explicit protocol, because asyncio disables Nagle's algorithm only then. With Nagle, a response sent in
    # two parts waits 40 ms for an ACK.
    try:
        listener = Listener(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except OSError as error:
        raise SettingsError(f"cannot listen on {host}:{port}: {error.strerror}", hint="use another address") from error
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


def listen_at_all(host: str, port: int) -> list[Listener]:
    """Opens a listening socket at each address that `host` stands for, but for one that this machine does not have, as
    where IPv6 is switched off. Raises SettingsError if one of them cannot be used, or there is none."""
    with ExitStack() as opened:
        found, absent = [], None
        for address in hosts.choose_addresses(host):
            try:
                found.append(opened.enter_context(listen(address, port)))
            except SettingsError as error:
                if not isinstance(error.__cause__, OSError) or error.__cause__.errno not in hosts.ABSENT:
                    raise
                absent = error
        if absent is not None and not found:
            raise absent
        opened.pop_all()
        return found


def serve_on(listeners: Sequence[socket.socket], server: uvicorn.Server) -> None:
    """Serves until the server is stopped. Exempts all existing objects from garbage collection."""
    collect_rarely()
    with ExitStack() as opened:
        for one in listeners:
            opened.enter_context(one)
        server.run(sockets=list(listeners))


_MAX_HEAD_BYTES = 32 * 1024
_STOP_S = 10
_DEFAULT_LIMITS = ConnectionLimits()


class _Server(uvicorn.Server):
    """Has its listening sockets admit connections by its table, and is told when it should end: uvicorn's own looks ten
    times a second, which is a quarter of what an idle gateway takes."""

    def __init__(self, config: uvicorn.Config, table: Connections, *, encrypted: bool) -> None:
        self._ends = False
        self._told: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        super().__init__(config)
        self._table, self._encrypted = table, encrypted

    @property
    def should_exit(self) -> bool:
        return self._ends

    @should_exit.setter
    def should_exit(self, ends: bool) -> None:
        self._ends = ends
        if self._told is not None:
            loop, event = self._told
            with suppress(RuntimeError):  # the event loop is closed: it has ended
                loop.call_soon_threadsafe(event.set)

    async def main_loop(self) -> None:
        told = asyncio.Event()
        self._told = asyncio.get_running_loop(), told
        while not await self.on_tick(0):  # makes the Date header, which has whole seconds
            with suppress(TimeoutError):
                await asyncio.wait_for(told.wait(), 1.0)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        for one in sockets or ():
            if isinstance(one, Listener):
                one.table, one.encrypted = self._table, self._encrypted
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        # Those that were accepted only now, or did not end in time, would be left to the collector.
        for _ in range(2):  # one round of the loop makes an accepted connection, or closes it
            await asyncio.sleep(0)
            for one in list(self.server_state.connections):
                one.transport.abort()
        await asyncio.sleep(0)


def build_server(
    app: ASGIApp,
    host: str,
    port: int,
    tls: ssl.SSLContext | None = None,
    limits: ConnectionLimits = _DEFAULT_LIMITS,
) -> uvicorn.Server:
    """Builds a server without starting it. It ignores forwarding headers, which a client could forge, has no WebSocket
    support, and sends no `Server` header. The limits apply to a socket of `listen`."""
    table = Connections(limits)
    return _Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            loop="asyncio",  # others accept connections without asking the listening socket
            http=cast("Any", partial(protocol.LimitedProtocol, table)),
            ssl_context_factory=None if tls is None else (lambda _config, _default: tls),
            ws="none",
            lifespan="on",
            log_config=logs.build_server_log(),
            access_log=False,
            server_header=False,
            proxy_headers=False,
            h11_max_incomplete_event_size=_MAX_HEAD_BYTES,
            timeout_keep_alive=limits.idle_s,
            timeout_graceful_shutdown=_STOP_S,
        ),
        table,
        encrypted=tls is not None,
    )


def serve(
    app: Starlette,
    host: str,
    port: int,
    tls: ssl.SSLContext | None = None,
    limits: ConnectionLimits = _DEFAULT_LIMITS,
) -> None:
    """Serves until SIGINT or SIGTERM, then finishes the requests in progress (10 s at most). Raises SettingsError if
    the address cannot be used."""
    server = build_server(app, host, port, tls, limits)
    app.state.connections.stopping = lambda: server.should_exit
    serve_on(listen_at_all(host, port), server)
