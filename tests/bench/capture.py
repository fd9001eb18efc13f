"""Capture: throughput of batches compared with one commit per event, and the latency of single events.

For throughput, two baselines write the same events to the same disk, in turns with the batches, each event durable
before it counts: one synchronises a frame of the node's log per event, the other commits a row of SQLite (WAL,
synchronous = FULL) per event. Latency is measured over HTTP, at a steady rate, on a whole node in its own process. It
counts from the time at which an event was due to be sent, so a stall counts for every event that waits behind it.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from millmark.ledger.chain import write_deployment
from millmark.ledger.chain.deployment import Deployment
from millmark.ledger.errors import SettingsError
from millmark.ledger.keys import LocalSigner
from millmark.services.node.dead_letters import DeadLetters
from millmark.services.node.dedup_index import DedupIndex
from millmark.services.node.events import MAX_DEPTH, parse_events
from millmark.services.node.frames import LogEntry
from millmark.services.node.group_commit import Committer, Outcome
from millmark.services.node.http_capture import MAX_BATCH_BYTES
from millmark.services.node.intake import Intake, StreamIntake
from millmark.services.node.metrics import Metrics
from millmark.services.node.run import tune_interpreter
from millmark.services.node.streamlog import StreamLog
from tests.bench.gateway import cpu_s, run_server, send

_STREAM = bytes(32)
_ROUNDS = 3
_SINGLES = 300
"""Events per round that are committed one by one; each waits for the disk, so a round stays short."""
_CONNECTIONS = 32
_WARM_UP_S = 1.0
_START_S = 60.0


@dataclass(frozen=True, slots=True)
class Throughput:
    """Events per second, medians over the rounds."""

    batch: int
    """Number of events in one batch."""
    batched: float
    one_by_one: float
    sqlite_one_by_one: float
    batched_per_processor_s: float
    """Batched events per second of CPU time: the throughput of one dedicated core if the disk keeps up."""

    def to_json(self) -> dict[str, object]:
        ratios = {"ratio": round(self.batched / self.one_by_one, 1)}
        ratios["ratio_sqlite"] = round(self.batched / self.sqlite_one_by_one, 1)
        return {**{name: round(value) for name, value in asdict(self).items()}, **ratios}


@dataclass(frozen=True, slots=True)
class AckTimes:
    """Latencies of single events, in milliseconds."""

    rate: int
    """Events sent per second."""
    sent: int
    p50_ms: float
    p99_ms: float
    slowest_ms: float

    def to_json(self) -> dict[str, object]:
        return {name: round(value, 2) for name, value in asdict(self).items()}


def measure_throughput(folder: Path, events: int, batch: int) -> Throughput:
    """Measures rounds of `events` events, `batch` at a time, through parsing, validation, deduplication and the log."""
    tune_interpreter()
    found: dict[str, list[float]] = {"batched": [], "processor": [], "one": [], "sqlite": []}
    with _intake(folder) as intake, _sqlite(folder) as database, closing(StreamLog(folder / "one", _STREAM)) as log:
        # All three in every round, so that a change in the machine's load affects them alike.
        for turn in range(_ROUNDS):
            bodies = [build_body(turn, start, min(batch, events - start)) for start in range(0, events, batch)]
            worked_s = time.process_time()
            found["batched"].append(_rate(events, lambda: _take(intake, bodies)))  # noqa: B023 - called at once
            found["processor"].append(events / (time.process_time() - worked_s))
            singles = [build_event(turn, number) for number in range(_SINGLES)]
            found["one"].append(_rate(_SINGLES, lambda: _append(log, singles)))  # noqa: B023 - as above
            found["sqlite"].append(_rate(_SINGLES, lambda: _insert(database, singles)))  # noqa: B023 - as above
    medians = {name: statistics.median(rates) for name, rates in found.items()}
    return Throughput(batch, medians["batched"], medians["one"], medians["sqlite"], medians["processor"])


def measure_ack(folder: Path, rate: int, seconds: float) -> AckTimes:
    """Measures latencies at a node without a chain, since capture does not depend on one. Raises SettingsError if it
    does not start.
    """
    with serve_node(folder) as (port, _):
        asyncio.run(_ask(port, rate, _WARM_UP_S, "warm"))
        waits = sorted(asyncio.run(_ask(port, rate, seconds, "event")))
    p99 = waits[min(len(waits) * 99 // 100, len(waits) - 1)]
    return AckTimes(rate, len(waits), waits[len(waits) // 2] * 1000, p99 * 1000, waits[-1] * 1000)


# Throughput


def _rate(count: int, act: Callable[[], None]) -> float:
    start = time.perf_counter()
    act()
    return count / (time.perf_counter() - start)


def _take(intake: Intake, bodies: Sequence[bytes]) -> None:
    """Submits batches as the HTTP endpoint does for several concurrent senders."""
    waiting: list[Future[Outcome]] = []
    for body in bodies:
        parsed = parse_events(body, max_bytes=MAX_BATCH_BYTES, max_depth=MAX_DEPTH + 1)
        waiting.append(intake.submit("press", [intake.check(one)[1] for one in parsed]))
        if len(waiting) > 2:  # as many batches in flight as several senders would have, for the group commit to join
            waiting.pop(0).result()
    for done in waiting:
        done.result()


def _append(log: StreamLog, events: Sequence[bytes]) -> None:
    for event in events:
        log.append([LogEntry(0, secrets.token_bytes(32), event)])


def _insert(database: sqlite3.Connection, events: Sequence[bytes]) -> None:
    for event in events:
        with database:
            database.execute("INSERT INTO events (salt, content) VALUES (?, ?)", (secrets.token_bytes(32), event))


def build_body(turn: int, start: int, count: int) -> bytes:
    """The request body of a batch."""
    return b"[" + b",".join([build_event(turn, number) for number in range(start, start + count)]) + b"]"


def build_event(turn: int, number: int) -> bytes:
    data = {"force_n": number % 977, "temperature_mk": 293_150 + number % 400, "program": "shaft-12"}
    return json.dumps({"id": f"press-{turn}-{number}", "time": "2025-01-01T00:00:00Z", "data": data}).encode()


@contextmanager
def _intake(folder: Path) -> Iterator[Intake]:
    log = StreamLog(folder / "log", _STREAM)
    known = DedupIndex(folder / "known", log)
    committer = Committer(log, known)
    try:
        yield Intake({"press": StreamIntake(committer, None)}, DeadLetters(folder / "dead"), Metrics())
    finally:
        committer.stop()
        known.close()
        log.close()


@contextmanager
def _sqlite(folder: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(folder / "peer.sqlite")) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, salt BLOB, content BLOB)")
        yield database


# Latency


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


async def _ask(port: int, rate: int, seconds: float, name: str) -> list[float]:
    """Sends events at a steady rate; returns the seconds from each event's due time to its response."""
    start, count = time.perf_counter() + 0.1, int(rate * seconds)
    numbers = iter(range(count))
    senders = [_send(port, numbers, start, rate, name) for _ in range(_CONNECTIONS)]
    return [wait for waits in await asyncio.gather(*senders) for wait in waits]


async def _send(port: int, numbers: Iterator[int], start: float, rate: int, name: str) -> list[float]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    waits = []
    for number in numbers:
        # Timed from when the event was due: a sender that is late because of a stall must not hide it (coordinated
        # omission).
        due = start + number / rate
        await asyncio.sleep(max(due - time.perf_counter(), 0))
        body = json.dumps({"id": f"{name}-{number}", "data": {"force_n": number}}).encode()
        writer.write(
            b"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n" % (port, len(body)) + body
        )
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            status = head.split(b"\r\n")[0].decode("ascii", "replace")
            raise SettingsError(f"the node refused an event: {status}", hint="check that the disk has space")
        await reader.readexactly(_content_length(head))
        waits.append(time.perf_counter() - due)
    writer.close()
    return waits


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


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
