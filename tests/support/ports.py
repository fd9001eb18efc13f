"""Ports for servers that cannot choose a free one themselves and report it."""

from __future__ import annotations

import itertools
import os
import random
import socket

__all__ = ["closed_port", "pick_port"]

_LOWEST, _EACH, _WORKERS = 20_000, 700, 16
"""Below the ephemeral ports of the system, so none of these is assigned by chance."""
_held: list[socket.socket] = []
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
_first = random.randrange(_EACH)  # noqa: S311  # another run of the tests on this machine begins elsewhere
_numbers = itertools.count(_first)


def pick_port() -> int:
    """A free port that no other test gets: each worker process works through its own range."""
    for number in itertools.islice(_numbers, _EACH):
        port = _LOWEST + _worker * _EACH + number % _EACH
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a connection that ended lingers for a minute
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


def closed_port() -> int:
    """A port at which nothing will listen during the run: it stays bound without listening."""
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    _held.append(holder)
    return int(holder.getsockname()[1])
