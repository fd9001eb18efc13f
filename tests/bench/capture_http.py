"""A node's capture over HTTP in batches, compared with one FastAPI and pydantic request per event.

All servers run in their own processes and receive load in turns over the loopback, from the same client with the same
number of connections. The node validates and deduplicates every event, salts it and hashes it into its log; a batch is
on disk before the response. `plain` checks types and commits one row per event; `plain-memory` appends it to a list.
"""

from __future__ import annotations

import asyncio
import statistics
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.bench.capture import build_body, build_event, serve_node
from tests.bench.http_load import cpu_s, run_server, send

__all__ = ["HttpTimes", "measure_http"]

_ROUNDS = 5
_PEERS = ("plain", "plain-memory")
_BATCHES = 200
"""Batches per round: enough for a CPU clock with 100 ticks per second."""
_SINGLES = 400


@dataclass(frozen=True, slots=True)
class HttpTimes:
    """Microseconds per event by server, medians over the rounds."""

    batch: int
    us: dict[str, float]
    """Wall time, including the client's own work."""
    cpu_us: dict[str, float]
    """CPU time of the server."""

    def to_json(self) -> dict[str, object]:
        """JSON form; `ratio` is the peer's time per event divided by the node's time per event in a batch."""
        found: dict[str, object] = {"batch": self.batch}
        for suffix, times in (("", self.us), ("_cpu", self.cpu_us)):
            found |= {f"{name.replace('-', '_')}{suffix}_us": round(value, 1) for name, value in times.items()}
            found[f"ratio{suffix}"] = round(times["plain"] / times["node"], 1)
            found[f"ratio{suffix}_memory"] = round(times["plain-memory"] / times["node"], 1)
        return found


def measure_http(folder: Path, batch: int) -> HttpTimes:
    """Measures all servers in turns. Raises SettingsError if a server does not start or refuses an event."""
    names = ("node", *_PEERS)
    wall: dict[str, list[float]] = {name: [] for name in names}
    cpu: dict[str, list[float]] = {name: [] for name in names}
    with ExitStack() as stack:
        servers = {name: stack.enter_context(run_server(name, folder)) for name in _PEERS}
        servers["node"] = stack.enter_context(serve_node(folder))
        for turn in range(_ROUNDS + 1):
            for name in names:
                bodies, events = _bodies(name, turn, batch)
                port, process = servers[name]
                before = cpu_s(process)
                took = asyncio.run(send(port, "/v1/events" if name == "node" else "/events", bodies))
                if turn:  # the first round warms up
                    wall[name].append(took / events * 1e6)
                    cpu[name].append((cpu_s(process) - before) / events * 1e6)
    return HttpTimes(batch, _medians(wall), _medians(cpu))


def _bodies(name: str, turn: int, batch: int) -> tuple[list[bytes], int]:
    """Request bodies of one round, and the number of events in them."""
    if name != "node":
        return [build_event(turn, number) for number in range(_SINGLES)], _SINGLES
    starts = range(0, _BATCHES * batch, batch)
    return [build_body(turn, start, batch) for start in starts], _BATCHES * batch


def _medians(times: dict[str, list[float]]) -> dict[str, float]:
    return {name: statistics.median(one) for name, one in times.items()}
