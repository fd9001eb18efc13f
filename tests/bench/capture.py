"""Capture over HTTP by node and gateway, each in its own process, beside one FastAPI and pydantic request per event."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from millmark.ledger.chain import write_deployment
from millmark.ledger.chain.deploying import Deployment
from millmark.ledger.errors import SettingsError
from millmark.ledger.keys import LocalSigner
from tests.bench.gateway import run_server, send
from tests.support.processor import cpu_s

_STREAM = bytes(32)


def build_body(turn: int, start: int, count: int) -> bytes:
    """The request body of a batch."""
    return b"[" + b",".join([build_event(turn, number) for number in range(start, start + count)]) + b"]"


def build_event(turn: int, number: int) -> bytes:
    data = {"force_n": number % 977, "temperature_mk": 293_150 + number % 400, "program": "shaft-12"}
    return json.dumps({"id": f"press-{turn}-{number}", "time": "2025-01-01T00:00:00Z", "data": data}).encode()


@contextmanager
def serve_node(folder: Path) -> Iterator[tuple[int, int]]:
    """Runs a node; yields its port and process id. Raises SettingsError if it does not start."""
    config = _configure(folder)
    command = [sys.executable, "-m", "millmark.services.cli", "node", "--config", str(config)]
    with (
        (folder / "node.txt").open("w") as report,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=report, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line.startswith("node on "):
                raise SettingsError("the node did not start", hint=f"see {folder / 'node.txt'}")
            yield int(line.split()[2].rstrip(";").rpartition(":")[2]), process.pid
        finally:
            process.terminate()


def _configure(folder: Path) -> Path:
    key = folder / "key"
    key.touch(mode=0o600)
    key.write_text(LocalSigner.generate().unsafe_secret().hex())
    write_deployment(
        folder / "deployment.json",
        Deployment(1, b"r" * 20, b"l" * 20, b"i" * 32, b"f" * 20, 0, b"g" * 32, 0, b"g" * 32),
    )
    config = folder / "node.toml"
    config.write_text(
        f'data_folder = "data"\n[chain]\nurl = "http://127.0.0.1:9"\n[signer]\nuri = "file:{key}"\n'
        f'[[streams]]\nname = "press"\nmachine = 1\nsubject = "0x{_STREAM.hex()}"\n[http]\nport = 0\n'
    )
    return config


_HTTP_ROUNDS = 5
_PEERS = ("plain", "plain-memory")
_BATCHES = 200
"""Batches per round: enough for a CPU clock with 100 ticks per second."""
_HTTP_SINGLES = 400


@dataclass(frozen=True, slots=True)
class HttpTimes:
    """Microseconds per event by server, medians over the rounds."""

    batch: int
    us: dict[str, float]
    """Wall time, including the client's own work."""
    cpu_us: dict[str, float]
    """CPU time of the server."""


def measure_http(folder: Path, batch: int) -> HttpTimes:
    """Measures all servers in turns. Raises SettingsError if a server does not start or refuses an event."""
    names = ("node", *_PEERS)
    wall: dict[str, list[float]] = {name: [] for name in names}
    cpu: dict[str, list[float]] = {name: [] for name in names}
    with ExitStack() as stack:
        servers = {name: stack.enter_context(run_server(name, folder)) for name in _PEERS}
        servers["node"] = stack.enter_context(serve_node(folder))
        for turn in range(_HTTP_ROUNDS + 1):
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
        return [build_event(turn, number) for number in range(_HTTP_SINGLES)], _HTTP_SINGLES
    starts = range(0, _BATCHES * batch, batch)
    return [build_body(turn, start, batch) for start in starts], _BATCHES * batch


def _medians(times: dict[str, list[float]]) -> dict[str, float]:
    return {name: statistics.median(one) for name, one in times.items()}


_CONTEXT = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"
SERVERS = ("gateway", "peer", "peer-memory")
_PATHS = {"gateway": "/epcis/v2/capture", "peer": "/events", "peer-memory": "/events"}


def measure_epcis(folder: Path, batches: int, batch: int, singles: int) -> HttpTimes:
    """Measures all servers in turns. Raises SettingsError if a server does not start or refuses an event."""
    wall: dict[str, list[float]] = {name: [] for name in SERVERS}
    cpu: dict[str, list[float]] = {name: [] for name in SERVERS}
    with ExitStack() as stack:
        servers = {name: stack.enter_context(run_server(name, folder)) for name in SERVERS}
        for turn in range(_HTTP_ROUNDS + 1):
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
    return HttpTimes(batch, _medians(wall), _medians(cpu))


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
