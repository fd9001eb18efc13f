"""Taking EPCIS events in over HTTP: batches at the gateway beside one FastAPI and pydantic request for each event.

Both servers run under uvicorn in processes of their own and are asked over the loopback by the same client with the
same number of connections, in turns. The gateway judges every event by the standard, hashes it, knows duplicates, keeps
evidence and what can be asked for; all of a batch is on disk before it is answered. The peer checks types and commits
one row. The client's own work is part of both sides' time.
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

from services.interop.epcis.capture import judge, parse_capture
from services.interop.epcis.documents import hash_events
from services.lab.bench.asking import cpu_s, send, serving

__all__ = ["IntakeTimes", "build_batch", "measure_intake"]

_ROUNDS = 5
_CONTEXT = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"
SERVERS = ("gateway", "peer", "peer-memory")
_PATHS = {"gateway": "/epcis/v2/capture", "peer": "/events", "peer-memory": "/events"}


@dataclass(frozen=True, slots=True)
class IntakeTimes:
    """Microseconds an event, medians of the rounds, by server."""

    batch: int
    us: dict[str, float]
    """By the clock on the wall."""
    cpu_us: dict[str, float]
    """That the server computed: what is left of a comparison when the machine has other work, too."""
    per_second: dict[str, float]
    """Events that are hashed, and judged with their hash, in this process."""

    def to_json(self) -> dict[str, object]:
        """`ratio`: how many times cheaper an event is in a batch at the gateway."""
        found: dict[str, object] = {"batch": self.batch}
        for suffix, times in (("", self.us), ("_cpu", self.cpu_us)):
            found |= {f"{name.replace('-', '_')}{suffix}_us": round(value, 1) for name, value in times.items()}
            found[f"ratio{suffix}"] = round(times["peer"] / times["gateway"], 1)
            found[f"ratio{suffix}_memory"] = round(times["peer-memory"] / times["gateway"], 1)
        return found | {f"{name}_per_second": round(value) for name, value in self.per_second.items()}


def measure_intake(folder: Path, batches: int, batch: int, singles: int) -> IntakeTimes:
    """Raises SettingsError when a server does not start or refuses an event."""
    wall: dict[str, list[float]] = {name: [] for name in SERVERS}
    cpu: dict[str, list[float]] = {name: [] for name in SERVERS}
    with ExitStack() as stack:
        servers = {name: stack.enter_context(serving(name, folder)) for name in SERVERS}
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
                if turn:  # the first is for warming up
                    wall[name].append(took / events * 1e6)
                    cpu[name].append((cpu_s(process) - before) / events * 1e6)
    speeds = {"hashed": _speed(hash_events), "judged": _speed(lambda data: judge(parse_capture(data)))}
    return IntakeTimes(batch, _medians(wall), _medians(cpu), speeds)


def _medians(times: dict[str, list[float]]) -> dict[str, float]:
    return {name: statistics.median(one) for name, one in times.items()}


def _speed(work: Callable[[bytes], Sequence[object]]) -> float:
    """Events a second of processor time, by the median of the rounds."""
    found = []
    for turn in range(_ROUNDS):
        data = build_batch(turn * 1000, 1000)
        start = time.process_time()
        count = len(work(data))
        found.append(count / (time.process_time() - start))
    return statistics.median(found)


def build_batch(start: int, count: int) -> bytes:
    """A document of new events."""
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
