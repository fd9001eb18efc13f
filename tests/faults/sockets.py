"""`sockets`: silent connections to a node and to a gateway, half of them idle, half with half a head.

They come from one address. The others' requests, from another, come in short blocks, in turns with and without them.

What is judged must not depend on what else the machine does. Each block is compared with the one right before it, which
had the same machine to itself, and of all turns' ratios the median counts: other work would have to fall into most of
the disturbed blocks, and spare the calm ones. The CPU time that the server uses for a request, which other work hardly
changes, is compared as well. The p99 of all requests are reported, not judged.
"""

from __future__ import annotations

import contextlib
import socket
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from millmark.services.settings import SETTINGS_FILE
from millmark.services.store import open_store
from tests.bench.gateway import serving
from tests.faults.chains import running_chain
from tests.faults.factory import Machine, NodeProcess, check_factory, connect, found_factory, running_node
from tests.faults.ledger_check import Outcome
from tests.support.processor import TICK_S, cpu_s

MAX_RATIO = 3.0
"""Largest ratio of what the others' requests take with silent connections to what they take without."""
_ATTACKER, _OTHERS = "127.0.0.1", "127.0.0.2"
_HALF_A_HEAD = b"GET /health HTTP/1.1\r\nHost: local"
_REQUEST = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
_TURNS = 15
_REQUESTS = 25
"""In each block."""
_FEW = 3
_ANSWER_S = 10.0


@dataclass(slots=True)
class Waits:
    """What the others' requests to one server took."""

    calm: list[list[float]] = field(default_factory=list)
    """Times in seconds, by block."""
    disturbed: list[list[float]] = field(default_factory=list)
    """As above; each block follows the calm one at the same place."""
    calm_processor_s: float = 0.0
    """CPU time of the server during all calm blocks."""
    disturbed_processor_s: float = 0.0
    opening_processor_s: float = 0.0
    """CPU time of the server while it took on the silent connections, and a few requests."""
    refused: int = 0
    opened: int = 0
    """Silent connections that were opened, in all turns."""

    def ratios(self) -> dict[str, float]:
        """By name, what is judged: disturbed to calm."""
        median = [statistics.median(two) / statistics.median(one) for one, two in self._turns()]
        slowest = [max(two) / max(one) for one, two in self._turns()]
        return {
            "median": round(statistics.median(median), 2),
            "slowest": round(statistics.median(slowest), 2),
            "processor": round(self.disturbed_processor_s / max(self.calm_processor_s, TICK_S), 2),
        }

    def figures(self, name: str) -> dict[str, float | int]:
        calm, disturbed = (_p99([one for block in blocks for one in block]) for blocks in (self.calm, self.disturbed))
        return {
            **{f"{name}_{what}_ratio": ratio for what, ratio in self.ratios().items()},
            f"{name}_opening_processor_ms": round(1000 * self.opening_processor_s / max(self.opened, 1), 2),
            f"{name}_p99_ms": round(1000 * calm, 1),
            f"{name}_p99_disturbed_ms": round(1000 * disturbed, 1),
            f"{name}_refused": self.refused,
        }

    def broken(self, name: str) -> list[str]:
        """What was not as it should be, in lines."""
        takes = {
            "median": "others waited {:.1f} times as long at the {}",
            "slowest": "the slowest of others waited {:.1f} times as long at the {}",
            "processor": "requests of others took {:.1f} times the CPU time at the {}",
        }
        slow = [takes[what].format(ratio, name) for what, ratio in self.ratios().items() if ratio > MAX_RATIO]
        return slow + ([f"{self.refused} requests of others were refused at the {name}"] if self.refused else [])

    def _turns(self) -> Iterator[tuple[list[float], list[float]]]:
        return zip(self.calm, self.disturbed, strict=True)


def run_sockets(folder: Path, count: int, seed: int) -> Outcome:
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
    with _silence(address, count, waits):
        # Events come from the silent ones' own address, and are served all the same.
        while not machine.is_done and machine.send(node):
            pass
        node.settle()  # so that its work on them does not slow down one kind of block alone
    _take_turns(address, node.process.pid, count, waits)
    return waits


def _at_gateway(home: Path, count: int) -> Waits:
    home.mkdir()
    open_store(f"sqlite:///{home / 'gateway.sqlite'}").close()
    (home / SETTINGS_FILE).write_text('database = "sqlite:///gateway.sqlite"\ngateway_auth = "required"\n')
    waits = Waits()
    with serving(home) as (port, process):
        _take_turns((_ATTACKER, port), process, count, waits)
    return waits


def _take_turns(address: tuple[str, int], process: int, count: int, waits: Waits) -> None:
    """Asks the server of that process id in turns without and with silent connections."""
    for _ in range(_TURNS):
        # Answered when the server has started up, or has done with the silent connections of the turn before: that
        # belongs to neither kind of block.
        _ask(address, waits, _FEW)
        start = cpu_s(process)
        waits.calm.append(_ask(address, waits))
        calm = cpu_s(process)
        with _silence(address, count, waits):
            _ask(address, waits, _FEW)  # likewise, when it has taken on the silent connections
            silent = cpu_s(process)
            waits.disturbed.append(_ask(address, waits))
            waits.disturbed_processor_s += cpu_s(process) - silent
        waits.calm_processor_s += calm - start
        waits.opening_processor_s += silent - calm


def _ask(address: tuple[str, int], waits: Waits, count: int = _REQUESTS) -> list[float]:
    """Sends a block of requests, each over a new connection: a server that takes no more of them shows. Returns their
    times in seconds."""
    times = []
    for _ in range(count):
        begun = time.perf_counter()
        try:
            with socket.create_connection(address, timeout=_ANSWER_S, source_address=(_OTHERS, 0)) as connection:
                connection.sendall(_REQUEST)
                if not connection.recv(1 << 16).startswith(b"HTTP/1.1 200"):
                    waits.refused += 1
        except OSError:
            waits.refused += 1
        times.append(time.perf_counter() - begun)
    return times


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
