"""Servers that are measured, each in a process of its own, and the one client that asks them all."""

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

from ledger.errors import SettingsError

__all__ = ["cpu_s", "send", "serving"]

_CONNECTIONS = 4
_NOT_NEW: Final = re.compile(rb'"duplicate"|"rejected"|"duplicates":[1-9]|"refused":\[\{')
"""In an answer: an event was not taken as a new one."""


@contextmanager
def serving(name: str, folder: Path) -> Iterator[tuple[int, int]]:
    """Port and process of one of services.lab.bench.epcis_servers."""
    command = [sys.executable, "-m", "services.lab.bench.epcis_servers", name, str(folder)]
    with (
        (folder / f"{name}.txt").open("w") as report,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=report, text=True) as process,
    ):
        try:
            assert process.stdout is not None  # noqa: S101 - for the type checker
            line = process.stdout.readline()
            if not line.strip().isdigit():
                raise SettingsError(f"the {name} did not start", hint=f"see {folder / f'{name}.txt'}")
            yield int(line), process.pid
        finally:
            process.terminate()


def cpu_s(process: int) -> float:
    """What it has computed so far: fields 14 and 15 of /proc/PID/stat (proc(5))."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def send(port: int, path: str, bodies: Sequence[bytes]) -> float:
    """Seconds for all of them, over a few connections that stay open."""
    waiting = iter(bodies)
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
            raise SettingsError("a server did not take an event", hint="see that the disk has room")
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        if _NOT_NEW.search(await reader.readexactly(length)):
            raise SettingsError("a server did not take an event as new", hint="report this")
    writer.close()
