"""Anvil in its own process, and the demonstration's companies at work on any engine."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from millmark.ledger.chain import HttpTransport, Transport
from millmark.ledger.store import Store
from millmark.quality import Inspector
from millmark.services.demo.consortium import found_consortium
from millmark.services.demo.delivery import deliver_parts, inspect_parts
from millmark.services.demo.plant import build_plant
from millmark.services.demo.production import Line, make_parts, place_orders
from tests.support import toolchain
from tests.support.patience import MAX_S


@contextmanager
def running_anvil(folder: Path) -> Iterator[HttpTransport]:
    """Runs a chain that mines each transaction immediately."""
    report = folder / "report.txt"  # a pipe that nobody reads would fill, and stop it
    anvil = str(toolchain.native_binary("anvil"))  # which leaves old states in the home folder unless told otherwise
    command = [anvil, "--port", "0", "--host", "127.0.0.1", "--cache-path", str(folder / "states")]
    with report.open("w") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            yield HttpTransport(f"http://{_listening(report)}")
        finally:
            process.kill()


def _listening(report: Path) -> str:
    deadline = time.monotonic() + MAX_S
    while time.monotonic() < deadline:
        if found := re.search(r"Listening on (127\.0\.0\.1:\d+)", report.read_text()):
            return found[1]
        time.sleep(0.05)
    raise AssertionError(f"anvil did not start: {report.read_text()}")


def run_demonstration(store: Store, transport: Transport | None, orders: int) -> Line:
    """Runs a few orders from placing to delivery."""
    consortium = found_consortium(store, transport)
    model = (resources.files("millmark.quality") / "models" / "forda.bin").read_bytes()
    now = int(time.time())
    line = place_orders(consortium, build_plant(consortium, model, "{}"), orders, now)
    make_parts(line)
    width = Inspector(model).model.width
    inspect_parts(line, line.jobs, [[(place * step) % 97 for place in range(width)] for step in range(orders)], now)
    deliver_parts(line)
    return line
