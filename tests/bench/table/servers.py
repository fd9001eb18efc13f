"""Rows of servers: capture over HTTP, and memory at rest."""

import re
import tempfile
import time
from pathlib import Path

from millmark.services.settings import SETTINGS_FILE
from millmark.services.store import open_store
from tests.bench.capture import measure_epcis, measure_http, serve_node
from tests.bench.gateway import serving
from tests.bench.table.rows import Figure, Measured
from tests.support.processor import cpu_s

_BATCH = 100
_SETTLED_S = 4.0
"""A server is at rest once it has used next to no CPU for so long."""
_WAIT_S = 60.0


def measure_capture() -> Measured:
    with tempfile.TemporaryDirectory(prefix="millmark-bench-") as name:
        found = measure_http(Path(name), _BATCH)
    return _compare(found.us, found.cpu_us, "node", "plain")


def measure_epcis_capture() -> Measured:
    with tempfile.TemporaryDirectory(prefix="millmark-bench-") as name:
        found = measure_epcis(Path(name), batches=40, batch=_BATCH, singles=400)
    return _compare(found.us, found.cpu_us, "gateway", "peer")


def _compare(wall: dict[str, float], cpu: dict[str, float], own: str, peer: str) -> Measured:
    return Measured({
        "stored": Figure(cpu[own], "us", cpu[peer]),
        "memory": Figure(cpu[own], "us", cpu[f"{peer}-memory"]),
        "wall": Figure(wall[own], "us", wall[peer]),
    })  # fmt: skip


def measure_memory() -> Measured:
    """Resident memory of servers that have started and wait."""
    figures = {}
    with tempfile.TemporaryDirectory(prefix="millmark-bench-") as name:
        home, node = Path(name) / "home", Path(name) / "node"
        home.mkdir()
        node.mkdir()
        with open_store(f"sqlite:///{home / 'bench.sqlite'}"):
            pass  # as `millmark init` leaves it
        (home / SETTINGS_FILE).write_text('database = "sqlite:///bench.sqlite"\ngateway_auth = "loopback-open"\n')
        with serving(home) as (_, process):
            figures["gateway"] = Figure(_resident_mb(process), "MB")
        with serve_node(node) as (_, process):
            figures["node"] = Figure(_resident_mb(process), "MB")
    return Measured(figures)


def _resident_mb(process: int) -> float:
    _rest(process)
    status = Path(f"/proc/{process}/status").read_text()
    [(kilobytes,)] = [match.groups() for match in re.finditer(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)]
    return int(kilobytes) / 1024


def _rest(process: int) -> None:
    end, before = time.monotonic() + _WAIT_S, -1.0
    while time.monotonic() < end:
        used = cpu_s(process)
        if used - before < 0.05 * _SETTLED_S:
            return
        before = used
        time.sleep(_SETTLED_S)
