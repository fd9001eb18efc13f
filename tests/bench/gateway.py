"""Latency of traces at a real gateway, with an open workload: requests are sent at a steady rate, however long they
take.

The part has the requested number of ancestors, with real records from the embedded chain. The gateway is `millmark
gateway` in its own process, called over HTTP with an API key of a company that does not run it. A request's latency
counts from the time at which it was due, not from when it could be sent, so a gateway that falls behind shows. Each
round is measured twice: with repeated requests for the same part, and with a different response for every request.
"""

from __future__ import annotations

import asyncio
import gc
import os
import re
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from millmark.ledger.errors import InputError, SettingsError
from millmark.ledger.index import Follower
from millmark.services.access import Scope, new_api_key
from millmark.services.demo.consortium import found_consortium
from millmark.services.demo.processes import held_port, wait_for
from millmark.services.settings import SETTINGS_FILE
from millmark.services.store import open_store
from tests.bench.bundle import grow_part
from tests.support.processor import cpu_s

_CONNECTIONS = 32
_DAY_S = 86_400
_RATE_LIMIT = 100_000
_START = "from millmark.services.cli import main; main()"


@dataclass(frozen=True, slots=True)
class RequestTimes:
    """Latencies of one round, in milliseconds."""

    round: str
    requests: int
    errors: int
    p50_ms: float
    p99_ms: float
    slowest_ms: float
    server_cpu_ms: float
    """CPU time of the gateway per request."""
    load: float
    """Load average of the machine over the minute before the round."""

    def to_json(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in self.__slots__}


def measure_gateway(ancestors: int, rate: int, seconds: float, rounds: int) -> list[RequestTimes]:
    """Measures rounds of `seconds` seconds at `rate` requests per second. Raises InputError for the ancestors."""
    leaves = ancestors // 2 + 1
    if not 2 <= leaves <= 500:
        raise InputError(f"{ancestors} ancestors are out of range", hint="give 2 to 998")
    with tempfile.TemporaryDirectory(prefix="millmark-bench-") as folder:
        part, key = _prepare(Path(folder), leaves)
        gc.collect()
        gc.freeze()  # collecting the chain's objects would pause the client, and count as latency
        with serving(Path(folder)) as (port, process):
            found = []
            for number in range(rounds):
                for name in ("the same part", "no answer twice"):
                    paths = _paths(part, int(rate * seconds), name, number)
                    found.append(asyncio.run(_round(name, port, key, paths, rate, process)))
            return found


def _paths(part: bytes, count: int, name: str, number: int) -> list[str]:
    """Request paths of a round. A different limit, still too high to cut anything off, makes a different response."""
    first = 1_000 if name == "the same part" else 1_001 + number * count
    step = 0 if name == "the same part" else 1
    return [f"/v1/trace/0x{part.hex()}?lots={min(first + place * step, 10_000)}" for place in range(count)]


def _prepare(home: Path, leaves: int) -> tuple[bytes, str]:
    """Sets up a home with a part; returns the part, and an API key of its maker, which does not run the gateway."""
    with open_store(f"sqlite:///{home / 'bench.sqlite'}") as store:
        consortium = found_consortium(store)
        part = grow_part(consortium, leaves, 1)
        Follower(consortium.chain, store).follow()
        maker, owner = consortium.makers[0].number, consortium.buyer.number
        now_s = int(time.time())
        key, _ = new_api_key(store, maker, [Scope.PROVENANCE], "bench", now_s=now_s, life_s=_DAY_S)
    (home / SETTINGS_FILE).write_text(
        f'database = "sqlite:///bench.sqlite"\ngateway_auth = "required"\ngateway_participant = {owner}\n'
        f"gateway_rate = {_RATE_LIMIT}\n"
    )
    return part, key


@contextmanager
def serving(home: Path) -> Iterator[tuple[int, int]]:
    """Runs a gateway on a free port of the loopback; yields its port and process id."""
    command = [sys.executable, "-c", _START, "--home", str(home), "gateway"]
    with held_port() as port, (home / "gateway.log").open("w") as log:
        environment = {**os.environ, "MILLMARK_GATEWAY_PORT": str(port)}
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            wait_for(port, process)
            yield port, process.pid
        finally:
            process.terminate()
            process.wait()


async def _round(name: str, port: int, key: str, paths: list[str], rate: int, process: int) -> RequestTimes:
    load, before = os.getloadavg()[0], cpu_s(process)
    # Connections are opened before the round, and reused, so that only requests are timed.
    idle: asyncio.Queue[_Connection] = asyncio.Queue()
    for _ in range(_CONNECTIONS):
        idle.put_nowait(await _Connection.open(port, key))
    begun = time.perf_counter() + 0.1
    asked = [_ask(idle, path, begun + place / rate) for place, path in enumerate(paths)]
    answers = await asyncio.gather(*asked)
    cpu_ms = 1000 * (cpu_s(process) - before) / len(paths)
    while not idle.empty():
        idle.get_nowait().close()
    times = sorted(1000 * took for took, _ in answers)
    errors = sum(not right for _, right in answers)
    last = times[min(len(times) - 1, int(len(times) * 0.99))]
    return RequestTimes(
        name, len(times), errors, *(round(one, 1) for one in (statistics.median(times), last, times[-1], cpu_ms, load))
    )


async def _ask(idle: asyncio.Queue[_Connection], path: str, due: float) -> tuple[float, bool]:
    """Seconds from the due time to the response, and whether the response was complete with status 200."""
    await asyncio.sleep(max(0.0, due - time.perf_counter()))
    connection = await idle.get()
    try:
        right = await connection.ask(path)
    finally:
        idle.put_nowait(connection)
    return time.perf_counter() - due, right


class _Connection:
    """A persistent connection that does minimal work per request, because the client shares the machine."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: str) -> None:
        self._reader, self._writer = reader, writer
        self._head = f"Host: localhost\r\nAuthorization: Bearer {key}\r\nX-Request-ID: {secrets.token_hex(8)}\r\n\r\n"

    @classmethod
    async def open(cls, port: int, key: str) -> _Connection:
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 22), key)

    async def ask(self, path: str) -> bool:
        """Sends a request; tells whether a complete response with status 200 came."""
        self._writer.write(f"GET {path} HTTP/1.1\r\n{self._head}".encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await self._reader.readexactly(length)
        return head.startswith(b"http/1.1 200 ") and length > 0

    def close(self) -> None:
        self._writer.close()


_SENDERS = 4
_NOT_NEW: Final = re.compile(rb'"duplicate"|"rejected"|"duplicates":[1-9]|"refused":\[\{')
"""Matches responses in which an event was not accepted as new."""


@contextmanager
def run_server(name: str, folder: Path) -> Iterator[tuple[int, int]]:
    """Runs a server of tests.bench.epcis_servers; yields its port and process id. Raises SettingsError."""
    command = [sys.executable, "-m", "tests.bench.epcis_servers", name, str(folder)]
    with (
        (folder / f"{name}.txt").open("w") as report,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=report, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line.strip().isdigit():
                raise SettingsError(f"the {name} did not start", hint=f"see {folder / f'{name}.txt'}")
            yield int(line), process.pid
        finally:
            process.terminate()


async def send(port: int, path: str, bodies: Sequence[bytes]) -> float:
    """Posts all bodies over a few persistent connections; returns the time taken in seconds.

    Raises SettingsError if a request is refused or an event is not accepted as new.
    """
    waiting = iter(bodies)  # shared: whichever connection is free takes the next body
    heads = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\nContent-Length: "
    start = time.perf_counter()
    await asyncio.gather(*(_talk(port, heads.encode(), waiting) for _ in range(_SENDERS)))
    return time.perf_counter() - start


async def _talk(port: int, heads: bytes, bodies: Iterator[bytes]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for body in bodies:
        writer.write(b"%b%d\r\n\r\n%b" % (heads, len(body), body))
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith((b"http/1.1 200", b"http/1.1 201", b"http/1.1 202")):
            raise SettingsError("a server refused an event", hint="check that the disk has space")
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        if _NOT_NEW.search(await reader.readexactly(length)):
            raise SettingsError("a server did not accept an event as new", hint="report this as a bug")
    writer.close()
