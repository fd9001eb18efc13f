"""Capture of EPCIS events over HTTP: batches at the gateway compared with one FastAPI and pydantic request per event.

The servers run under uvicorn in their own processes and receive load in turns over the loopback, from the same client
with the same number of connections. The gateway validates every event against the standard, hashes and deduplicates it,
and stores evidence and search terms; a whole batch is on disk before the response. The peer checks types and commits
one row. The client's own work is included in all times.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from millmark.services.interop.epcis.capture import parse_capture, validate_events
from millmark.services.interop.epcis.documents import hash_events
from tests.bench.gateway import cpu_s, run_server, send

_ROUNDS = 5
_CONTEXT = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"
SERVERS = ("gateway", "peer", "peer-memory")
_PATHS = {"gateway": "/epcis/v2/capture", "peer": "/events", "peer-memory": "/events"}


@dataclass(frozen=True, slots=True)
class EpcisTimes:
    """Microseconds per event by server, medians over the rounds."""

    batch: int
    us: dict[str, float]
    """Wall time."""
    cpu_us: dict[str, float]
    """CPU time of the server, which stays comparable when the machine has other work."""
    per_second: dict[str, float]
    """Events per second of CPU time in this process: hashed only, and validated and hashed."""

    def to_json(self) -> dict[str, object]:
        """JSON form; `ratio` is the peer's time per event divided by the gateway's time per event in a batch."""
        found: dict[str, object] = {"batch": self.batch}
        for suffix, times in (("", self.us), ("_cpu", self.cpu_us)):
            found |= {f"{name.replace('-', '_')}{suffix}_us": round(value, 1) for name, value in times.items()}
            found[f"ratio{suffix}"] = round(times["peer"] / times["gateway"], 1)
            found[f"ratio{suffix}_memory"] = round(times["peer-memory"] / times["gateway"], 1)
        return found | {f"{name}_per_second": round(value) for name, value in self.per_second.items()}


def measure_epcis(folder: Path, batches: int, batch: int, singles: int) -> EpcisTimes:
    """Measures all servers in turns. Raises SettingsError if a server does not start or refuses an event."""
    wall: dict[str, list[float]] = {name: [] for name in SERVERS}
    cpu: dict[str, list[float]] = {name: [] for name in SERVERS}
    with ExitStack() as stack:
        servers = {name: stack.enter_context(run_server(name, folder)) for name in SERVERS}
        for turn in range(_ROUNDS + 1):
            start = turn * 1_000_000
            bodies = {"gateway": [build_batch(start + batch * number, batch) for number in range(batches)]}
            alone = [json.dumps(_event(start + number)).encode() for number in range(singles)]
            bodies |= {"peer": alone, "peer-memory": alone}
            for name, sent in bodies.items():
                events = batches * batch if name == "gateway" else singles
                port, process = servers[name]
                before = cpu_s(process)
                took = asyncio.run(send(port, _PATHS[name], sent))
                if turn:  # the first round warms up
                    wall[name].append(took / events * 1e6)
                    cpu[name].append((cpu_s(process) - before) / events * 1e6)
    speeds = {"hashed": _speed(hash_events), "judged": _speed(lambda data: validate_events(parse_capture(data)))}
    return EpcisTimes(batch, _medians(wall), _medians(cpu), speeds)


def _medians(times: dict[str, list[float]]) -> dict[str, float]:
    return {name: statistics.median(one) for name, one in times.items()}


def _speed(work: Callable[[bytes], Sequence[object]]) -> float:
    """Events per second of CPU time, median over the rounds."""
    found = []
    for turn in range(_ROUNDS):
        data = build_batch(turn * 1000, 1000)
        start = time.process_time()
        count = len(work(data))
        found.append(count / (time.process_time() - start))
    return statistics.median(found)


def build_batch(start: int, count: int) -> bytes:
    """An EPCIS document with `count` new events."""
    document = {
        "@context": [_CONTEXT, {"example": "https://example.com/ns/"}],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2026-03-02T09:30:00Z",
        "epcisBody": {"eventList": [_event(start + number) for number in range(count)]},
    }
    return json.dumps(document).encode()


def _event(number: int) -> dict[str, Any]:
    return {
        "type": "ObjectEvent",
        "eventID": f"urn:uuid:00000000-0000-4000-8000-{number:012d}",
        "eventTime": f"2026-03-02T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}.000+01:00",
        "eventTimeZoneOffset": "+01:00",
        "epcList": [f"urn:epc:id:sgtin:9506000.001345.A{number}"],
        "action": "OBSERVE",
        "bizStep": "inspecting",
        "disposition": "conformant",
        "readPoint": {"id": "urn:epc:id:sgln:9506000.00001.5"},
        "bizLocation": {"id": "urn:epc:id:sgln:9506000.00001.0"},
        "bizTransactionList": [{"type": "po", "bizTransaction": "urn:epcglobal:cbv:bt:9506000000005:PO-7"}],
        "example:torque": 12.5,
    }
