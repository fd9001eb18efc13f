"""A node's capture over HTTP in batches, beside one FastAPI and pydantic request for each event.

All run under uvicorn in processes of their own and are asked over the loopback by the same client with the same number
of connections, in turns. The node checks every event, knows duplicates, salts and hashes it into its log; a batch is on
disk before it is answered. `plain` checks types and commits one row an event; `plain-memory` keeps it in a list.
"""

from __future__ import annotations

import asyncio
import statistics
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from services.lab.bench.asking import cpu_s, send, serving
from services.lab.bench.capture import build_body, build_event, serve_node

__all__ = ["HttpTimes", "measure_http"]

_ROUNDS = 5
_PEERS = ("plain", "plain-memory")
_BATCHES = 200
"""Of a round: the clock of a process ticks a hundred times a second."""
_SINGLES = 400


@dataclass(frozen=True, slots=True)
class HttpTimes:
    """Microseconds an event, medians of the rounds, by server."""

    batch: int
    us: dict[str, float]
    """By the clock on the wall, the client's own work included."""
    cpu_us: dict[str, float]
    """That the server computed."""

    def to_json(self) -> dict[str, object]:
        """`ratio`: how many times cheaper an event is in a batch at the node."""
        found: dict[str, object] = {"batch": self.batch}
        for suffix, times in (("", self.us), ("_cpu", self.cpu_us)):
            found |= {f"{name.replace('-', '_')}{suffix}_us": round(value, 1) for name, value in times.items()}
            found[f"ratio{suffix}"] = round(times["plain"] / times["node"], 1)
            found[f"ratio{suffix}_memory"] = round(times["plain-memory"] / times["node"], 1)
        return found


def measure_http(folder: Path, batch: int) -> HttpTimes:
    """Raises SettingsError when a server does not start or refuses an event."""
    names = ("node", *_PEERS)
    wall: dict[str, list[float]] = {name: [] for name in names}
    cpu: dict[str, list[float]] = {name: [] for name in names}
    with ExitStack() as stack:
        servers = {name: stack.enter_context(serving(name, folder)) for name in _PEERS}
        servers["node"] = stack.enter_context(serve_node(folder))
        for turn in range(_ROUNDS + 1):
            for name in names:
                bodies, events = _bodies(name, turn, batch)
                port, process = servers[name]
                before = cpu_s(process)
                took = asyncio.run(send(port, "/v1/events" if name == "node" else "/events", bodies))
                if turn:  # the first is for warming up
                    wall[name].append(took / events * 1e6)
                    cpu[name].append((cpu_s(process) - before) / events * 1e6)
    return HttpTimes(batch, _medians(wall), _medians(cpu))


def _bodies(name: str, turn: int, batch: int) -> tuple[list[bytes], int]:
    """With how many events there are in them."""
    if name != "node":
        return [build_event(turn, number) for number in range(_SINGLES)], _SINGLES
    starts = range(0, _BATCHES * batch, batch)
    return [build_body(turn, start, batch) for start in starts], _BATCHES * batch


def _medians(times: dict[str, list[float]]) -> dict[str, float]:
    return {name: statistics.median(one) for name, one in times.items()}
