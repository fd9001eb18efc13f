"""`sockets`: silent connections to a node and to a gateway, half of them idle, half with half a head.

They come from one address. The others' requests, from another, are measured in turns with and without them.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from services.lab.bench.gateway import serving
from services.lab.faults.chains import running_chain
from services.lab.faults.factory import Machine, NodeProcess, found_factory, running_node
from services.lab.faults.factory_check import check_factory
from services.lab.faults.ledger_check import Outcome
from services.lab.faults.node_kills import connect
from services.settings import SETTINGS_FILE
from services.store import open_store

__all__ = ["MAX_RATIO", "Waits", "run_sockets"]

MAX_RATIO = 3.0
"""Largest ratio of the others' p99 with silent connections to that without."""
_ATTACKER, _OTHERS = "127.0.0.1", "127.0.0.2"
_HALF_A_HEAD = b"GET /health HTTP/1.1\r\nHost: local"
_REQUEST = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
_TURNS = 5
_REQUESTS = 60
"""In each turn."""
_ANSWER_S = 10.0


@dataclass(slots=True)
class Waits:
    """Times of the others' requests to one server, in seconds."""

    calm: list[float] = field(default_factory=list)
    disturbed: list[float] = field(default_factory=list)
    refused: int = 0
    opened: int = 0
    """Silent connections that were opened, in all turns."""

    @property
    def ratio(self) -> float:
        return _p99(self.disturbed) / _p99(self.calm)

    def figures(self, name: str) -> dict[str, float | int]:
        return {
            f"{name}_p99_ms": round(1000 * _p99(self.calm), 1),
            f"{name}_p99_disturbed_ms": round(1000 * _p99(self.disturbed), 1),
            f"{name}_p99_ratio": round(self.ratio, 2),
            f"{name}_refused": self.refused,
        }

    def broken(self, name: str) -> list[str]:
        slow = [f"others waited {self.ratio:.1f} times as long at the {name}"] if self.ratio > MAX_RATIO else []
        return slow + ([f"{self.refused} requests of others were refused at the {name}"] if self.refused else [])


def run_sockets(folder: Path, count: int, seed: int) -> Outcome:  # noqa: ARG001 - nothing is drawn
    """Opens `count` silent connections to a node and to a gateway."""
    with running_chain(folder) as process, open_store(f"sqlite:///{folder / 'index.sqlite'}") as index:
        factory = found_factory(folder, process, 4)
        machine, chain = Machine(factory.events()), connect(factory, process)
        with running_node(factory) as node:
            waits = {"node": Waits() if node is None else _at_node(node, machine, count)}
        check = check_factory(factory, chain, index, folder, machine)
    waits["gateway"] = _at_gateway(folder / "gateway", count)
    injected = Counter({f"silent connections to the {name}": one.opened for name, one in waits.items()})
    figures = {name: value for server, one in waits.items() for name, value in one.figures(server).items()}
    broken = [line for server, one in waits.items() for line in one.broken(server)]
    return Outcome(process.engine, injected, check, figures, tuple(broken))


def _at_node(node: NodeProcess, machine: Machine, count: int) -> Waits:
    parts = urlsplit(str(node.client.base_url))
    address = str(parts.hostname), int(parts.port or 0)
    waits = Waits()
    for _ in range(_TURNS):
        _ask(address, waits, waits.calm)
        with _silence(address, count, waits):
            # Events come from the silent ones' own address, and are served all the same.
            while not machine.is_done and machine.send(node):
                pass
            node.settle()  # so that its work on them does not slow down one kind of turn alone
            _ask(address, waits, waits.disturbed)
    return waits


def _at_gateway(home: Path, count: int) -> Waits:
    home.mkdir()
    open_store(f"sqlite:///{home / 'gateway.sqlite'}").close()
    (home / SETTINGS_FILE).write_text('database = "sqlite:///gateway.sqlite"\ngateway_auth = "required"\n')
    waits = Waits()
    with serving(home) as (port, _):
        for _ in range(_TURNS):
            _ask((_ATTACKER, port), waits, waits.calm)
            with _silence((_ATTACKER, port), count, waits):
                _ask((_ATTACKER, port), waits, waits.disturbed)
    return waits


def _ask(address: tuple[str, int], waits: Waits, times: list[float]) -> None:
    """Sends requests, each over a new connection: a server that takes no more of them shows."""
    for _ in range(_REQUESTS):
        begun = time.perf_counter()
        try:
            with socket.create_connection(address, timeout=_ANSWER_S, source_address=(_OTHERS, 0)) as connection:
                connection.sendall(_REQUEST)
                if not connection.recv(1 << 16).startswith(b"HTTP/1.1 200"):
                    waits.refused += 1
        except OSError:
            waits.refused += 1
        times.append(time.perf_counter() - begun)


@contextmanager
def _silence(address: tuple[str, int], count: int, waits: Waits) -> Iterator[None]:
    """Holds silent connections during the `with` block, as far as the server does not close them."""
    with ExitStack() as held:
        for number in range(count):
            with contextlib.suppress(OSError):  # refused or reset: the server's choice
                one = socket.create_connection(address, timeout=_ANSWER_S, source_address=(_ATTACKER, 0))
                held.enter_context(one)
                one.sendall((b"", _HALF_A_HEAD)[number % 2])
                waits.opened += 1
        yield


def _p99(times: list[float]) -> float:
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] if ordered else 1.0
