"""The links between chain nodes: a TCP proxy for each direction, so that any of them can be cut; the gate between a
company and its node; and the node program."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import httpx

from millmark.services.network import NodeProgram, find_program, identify_program
from millmark.services.network.peers import NodeProgramError
from tests.faults.network.threads import HOST, ProxyLoop, running_proxies
from tests.faults.proxy import read_request

_CHUNK = 1 << 16


class _Link:
    """The connections between two nodes, whichever of them called."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.resets = False
        """Whether a cut link refuses connections. Otherwise it swallows what is sent until it is healed, as a network
        does that loses packets: the systems at both ends send them again."""
        self.writers: set[asyncio.StreamWriter] = set()

    def cut(self, resets: bool) -> None:
        self.open.clear()
        self.resets = resets
        if resets:
            for writer in self.writers:
                writer.transport.abort()

    def heal(self) -> None:
        self.resets = False
        self.open.set()

    async def join(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carries a connection to the node that listens on `port`."""
        if self.resets:
            writer.transport.abort()
            return
        try:
            other_reader, other_writer = await asyncio.open_connection(HOST, port)
        except OSError:  # the node is down
            writer.transport.abort()
            return
        both = {writer, other_writer}
        self.writers |= both
        try:
            with contextlib.suppress(OSError):
                await asyncio.gather(self._carry(reader, other_writer), self._carry(other_reader, writer))
        finally:
            self.writers -= both
            for one in both:
                one.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            await self.open.wait()
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError  # one side is gone, so the other direction ends too


class Links:
    """All links between nodes, by the nodes' numbers from 0."""

    def __init__(self, proxies: ProxyLoop, ports: Sequence[int]) -> None:
        """Listens for each node in place of the others, whose own ports are given."""
        self._proxies = proxies
        self._links = {frozenset(pair): _Link() for pair in itertools.combinations(range(len(ports)), 2)}
        self.ports: dict[tuple[int, int], int] = {}
        """By caller and called node: the port at which the first reaches the second."""
        for caller, called in itertools.permutations(range(len(ports)), 2):
            join = functools.partial(self._links[frozenset((caller, called))].join, ports[called])
            self.ports[caller, called] = proxies.listen(join)

    def cut(self, one_side: Iterable[int], *, resets: bool = False) -> None:
        """Cuts the links between these nodes and all others."""
        side = set(one_side)
        for pair, link in self._links.items():
            if len(pair & side) == 1:
                self._proxies.call(functools.partial(link.cut, resets))

    def heal(self) -> None:
        """All links carry again."""
        for link in self._links.values():
            self._proxies.call(link.heal)


@contextmanager
def running_links(ports: Sequence[int]) -> Iterator[Links]:
    """Runs the proxies before nodes that listen, or will, on these ports of the loopback."""
    with running_proxies() as proxies:
        yield Links(proxies, ports)


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


PROGRAM_VARIABLE = "MILLMARK_TEST_NODE"
"""Environment variable with the path of a node program, of any kind that is known here."""
_BUILT = Path(__file__).parents[3] / ".geth"


def lab_program() -> NodeProgram:
    """The program that the environment names; otherwise the geth that scripts/test built, or one on the PATH. Raises
    NodeProgramError."""
    named = os.environ.get(PROGRAM_VARIABLE)
    if named:
        return identify_program(Path(named))
    built = sorted(_BUILT.glob("*/geth"))
    return identify_program(built[-1]) if built else find_program()


def describe_missing() -> str | None:
    """Why no network can run on this machine, or None. Raises NodeProgramError if a program was named and cannot be
    used."""
    if os.environ.get(PROGRAM_VARIABLE):
        lab_program()
        return None
    try:
        lab_program()
    except NodeProgramError:
        return f"no node program: scripts/test builds geth where Go is installed; or {PROGRAM_VARIABLE} names one"
    return None
