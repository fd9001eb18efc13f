"""Starts validators of a new network together, until blocks come.

Clique's signers each make a first block while they are not connected yet. Now and then none of these is heavier than
the others for a node that looks again, each signer waits for others' turns, and no further block ever comes. Nothing of
value is on such a chain, so that all its nodes begin again, with their keys and empty data folders.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from millmark.ledger.chain import HttpTransport, Node
from millmark.ledger.errors import ChainUnreachableError
from millmark.services.network.errors import NodeProgramError

__all__ = ["FIRST_BLOCKS", "FRESH_HINT", "Startable", "start_together"]

FIRST_BLOCKS = 3
"""Blocks after which the signers have seen each other's."""
_ATTEMPTS = 3
_WAIT_S, _WAIT_PERIODS = 60.0, 20
"""Far longer than a busy machine needs; geth looks for peers with a longer chain every ten seconds."""
_POLL_S = 0.2
FRESH_HINT = (
    "stop the nodes of all companies, delete their data folders but not their keys, and start them again within the "
    "same few seconds"
)


class Startable(Protocol):
    """A validator's process on this machine (`NodeProcess`)."""

    @property
    def url(self) -> str: ...
    @property
    def has_data(self) -> bool:
        """Whether it ran before."""

    def start(self) -> None: ...
    def wait_ready(self, timeout_s: float = ...) -> None: ...
    def stop(self) -> None: ...
    def erase(self) -> None: ...


def ask_number(url: str) -> int:
    """The latest block of a node; -1 while it does not answer."""
    try:
        return Node(HttpTransport(url)).block_number()
    except ChainUnreachableError:
        return -1


def start_together(
    nodes: Sequence[Startable],
    timeout_s: float,
    *,
    period_s: int = 1,
    wait_s: float | None = None,
    number_of: Callable[[str], int] = ask_number,
) -> int:
    """Start all validators of a network, and return once all have its first blocks; how often they were started.

    A network that has data already is started once, and its blocks are not awaited. Raises NodeProgramError if a
    program ends or does not answer within `timeout_s`, or if the network stands still again and again.
    """
    was_fresh = not any(node.has_data for node in nodes)
    for attempt in range(1, _ATTEMPTS + 1):
        for node in nodes:
            node.start()
        for node in nodes:
            node.wait_ready(timeout_s)
        if not was_fresh or _come(
            nodes, max(_WAIT_S, _WAIT_PERIODS * period_s) if wait_s is None else wait_s, number_of
        ):
            return attempt
        for node in nodes:
            node.stop()
            node.erase()
    raise NodeProgramError(
        f"a new network of {len(nodes)} validators stood still {_ATTEMPTS} times", hint="see the logs in their folders"
    )


def _come(nodes: Sequence[Startable], wait_s: float, number_of: Callable[[str], int]) -> bool:
    deadline = time.monotonic() + wait_s
    while True:
        if all(number_of(node.url) >= FIRST_BLOCKS for node in nodes):
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
