"""A JSON-RPC proxy on the loopback that injects faults by a schedule.

It speaks HTTP/1.1 with one request at a time per connection, like this project's client.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from services.lab.faults.rpc_faults import UNFORWARDED, Fault, Schedule, corrupt

__all__ = ["FaultProxy", "fault_proxy"]

_DELAY_S = 0.05
_UPSTREAM_TIMEOUT_S = 30.0
_STATUS = {Fault.STATUS_429: "429 Too Many Requests", Fault.STATUS_503: "503 Service Unavailable"}
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, 0 s: closing sends a reset."""


class FaultProxy:
    """Forwards requests to the node at `upstream`. `schedule` may be replaced at any time; None injects no faults."""

    def __init__(self, upstream: str, schedule: Schedule | None) -> None:
        self._upstream = upstream
        self.schedule = schedule
        self.requests = 0
        self.faults: Counter[str] = Counter()
        """Faults injected so far, by kind."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one client's connection until the client or a fault closes it."""
        try:
            async with httpx.AsyncClient(timeout=_UPSTREAM_TIMEOUT_S) as client:
                while (body := await _read_request(reader)) is not None:
                    if not await self._answer(client, body, writer):
                        break
        except (OSError, httpx.HTTPError, asyncio.IncompleteReadError):
            pass  # either side closed its connection; closing ours tells the client
        finally:
            writer.close()

    async def _answer(self, client: httpx.AsyncClient, body: bytes, writer: asyncio.StreamWriter) -> bool:
        """Answers one request; False if the connection must be closed."""
        request = json.loads(body)
        fault = self._next_fault(request["method"])
        answer: dict[str, Any] | None = None
        if fault not in UNFORWARDED:
            answer = (await client.post(self._upstream, content=body, headers=_JSON)).json()
        if fault in (Fault.REFUSE, Fault.CUT_BEFORE, Fault.CUT_AFTER):
            if fault is Fault.REFUSE:
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            return False
        if fault is Fault.DELAY:
            await asyncio.sleep(_DELAY_S)
        writer.write(_response(fault, json.dumps(corrupt(fault, request, answer)).encode()))
        await writer.drain()
        return fault is not Fault.TRUNCATED

    def _next_fault(self, method: str) -> Fault | None:
        self.requests += 1
        fault = None if self.schedule is None else self.schedule.fault(self.requests, method)
        if fault is not None:
            self.faults[fault.value] += 1
        return fault


_JSON = {"Content-Type": "application/json"}


async def _read_request(reader: asyncio.StreamReader) -> bytes | None:
    """The body of the next request; None at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    lengths = [line.partition(b":")[2] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    return await reader.readexactly(int(lengths[0]))


def _response(fault: Fault | None, body: bytes) -> bytes:
    status = _STATUS.get(fault, "200 OK") if fault is not None else "200 OK"
    length = len(body)
    if fault is Fault.TRUNCATED:
        body = body[: length // 2]
    elif fault is Fault.NOT_JSON:
        body = b"<" + body[1:]
    return f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n".encode() + body


@contextmanager
def fault_proxy(upstream: str, schedule: Schedule | None) -> Iterator[tuple[FaultProxy, str]]:
    """Runs a proxy in a background thread; yields it and its URL."""
    proxy, started = FaultProxy(upstream, schedule), threading.Event()
    running: list[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        stop = asyncio.Event()
        server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
        running.append((server.sockets[0].getsockname()[1], asyncio.get_running_loop(), stop))
        started.set()
        await stop.wait()
        server.close()

    # In a thread, because the code under test blocks.
    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    started.wait()
    [(port, loop, stop)] = running
    try:
        yield proxy, f"http://127.0.0.1:{port}"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
