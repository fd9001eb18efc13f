"""The address at which a company asks its chain node: a proxy that can send it to other nodes, or lie.

Unlike `tests.faults.proxy`, whose faults are those of a connection, this one is a node that answers, and is the
wrong one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import httpx

from tests.faults.network.threads import HOST, running_proxies
from tests.faults.proxy import read_request

__all__ = ["Gate", "Lie", "raise_head", "running_gates"]

Lie: TypeAlias = "Callable[[str, Any], Any]"
"""Makes the result that the company receives of a method and the node's result."""
_TIMEOUT_S = 30.0
_JSON = {"Content-Type": "application/json"}
_AHEAD = 40


class Gate:
    """Forwards requests to the nodes at `upstreams`, to each in turn. That and `lie` may be replaced at any time."""

    def __init__(self, upstream: str) -> None:
        self.upstreams: Sequence[str] = (upstream,)
        self.lie: Lie | None = None
        self.url = ""
        self._turn = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one client's connection until either side closes it."""
        try:
            async with httpx.AsyncClient(timeout=_TIMEOUT_S) as client:
                while (body := await read_request(reader)) is not None:
                    answer = self._alter(body, await self._forward(client, body))
                    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(answer)}\r\n\r\n"
                    writer.write(head.encode() + answer)
                    await writer.drain()
        except (OSError, httpx.HTTPError, ValueError, asyncio.IncompleteReadError):
            pass  # the node is down, or the client went: closing the connection is all that either would see
        finally:
            writer.close()

    async def _forward(self, client: httpx.AsyncClient, body: bytes) -> bytes:
        upstreams = self.upstreams
        self._turn += 1
        return (await client.post(upstreams[self._turn % len(upstreams)], content=body, headers=_JSON)).content

    def _alter(self, body: bytes, answer: bytes) -> bytes:
        lie = self.lie
        if lie is None:
            return answer
        asked, told = json.loads(body), json.loads(answer)
        methods = {one["id"]: one["method"] for one in (asked if isinstance(asked, list) else [asked])}
        for one in told if isinstance(told, list) else [told]:
            if "result" in one:
                one["result"] = lie(methods.get(one.get("id"), ""), one["result"])
        return json.dumps(told).encode()


def raise_head(method: str, result: Any) -> Any:
    """A node that says its chain is longer than it is, so that blocks seem final which are not."""
    return hex(int(result, 16) + _AHEAD) if method == "eth_blockNumber" and isinstance(result, str) else result


@contextmanager
def running_gates(upstreams: Sequence[str]) -> Iterator[list[Gate]]:
    """Runs a gate before each of these nodes."""
    with running_proxies() as proxies:
        gates = [Gate(upstream) for upstream in upstreams]
        for gate in gates:
            gate.url = f"http://{HOST}:{proxies.listen(gate.serve)}"
        yield gates
