"""Proxies on the loopback, in an event loop in a thread of its own, because the code under test blocks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

HOST = "127.0.0.1"
Serve: TypeAlias = "Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]"


class ProxyLoop:
    """Listens on ports that the system chooses, until the loop ends."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def listen(self, serve: Serve) -> int:
        """Has `serve` serve each connection to a new port, which is returned."""
        return asyncio.run_coroutine_threadsafe(self._listen(serve), self._loop).result()

    def call(self, act: Callable[[], object]) -> None:
        """Returns once `act` was called in the loop's thread."""
        done = threading.Event()
        self._loop.call_soon_threadsafe(act)
        self._loop.call_soon_threadsafe(done.set)
        done.wait()

    async def _listen(self, serve: Serve) -> int:
        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = self._loop.create_task(serve(reader, writer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        server = await asyncio.start_server(accept, HOST, 0)
        self._servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        """Takes no more connections, and ends those that there are."""
        for server in self._servers:
            server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def running_proxies() -> Iterator[ProxyLoop]:
    """Runs a loop until exit."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="millmark-proxies", daemon=True)
    thread.start()
    proxies = ProxyLoop(loop)
    try:
        yield proxies
    finally:
        asyncio.run_coroutine_threadsafe(proxies.close(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
