"""The links between chain nodes: a TCP proxy for each direction, so that any of them can be cut."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from tests.faults.network.threads import HOST, ProxyLoop, running_proxies

__all__ = ["Links", "running_links"]

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
