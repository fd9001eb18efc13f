"""Servers under measurement, each a process on a free port, and the HTTP client that sends load to all of them."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from millmark.ledger.errors import SettingsError

__all__ = ["cpu_s", "run_server", "send"]

_CONNECTIONS = 4
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


def cpu_s(process: int) -> float:
    """CPU time that a process has used, user and system, in seconds: fields 14 and 15 of /proc/PID/stat (proc(5))."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def send(port: int, path: str, bodies: Sequence[bytes]) -> float:
    """Posts all bodies over a few persistent connections; returns the time taken in seconds.

    Raises SettingsError if a request is refused or an event is not accepted as new.
    """
    waiting = iter(bodies)  # shared: whichever connection is free takes the next body
    heads = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\nContent-Length: "
    start = time.perf_counter()
    await asyncio.gather(*(_talk(port, heads.encode(), waiting) for _ in range(_CONNECTIONS)))
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
