"""The demonstration as in life, stopped in the middle: nothing that it started goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]
MAX_S = 120.0
FOUNDED = "registering machines"
"""It says so once chain and gateways run."""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "ends"
    made.mkdir()
    random = np.random.default_rng(7)
    rows = np.column_stack([np.array([-1, 1] * 5), random.normal(size=(10, 500))])
    np.savetxt(made / "windows.tsv", rows, delimiter="\t", fmt=["%d", *["%.6f"] * 500])
    yield made
    for number in running_in(made):
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)


def running_in(folder: Path) -> list[int]:
    """Processes that were started in the folder, or name it."""
    found = []
    for process in Path("/proc").iterdir():
        with suppress(OSError):
            here = process.name.isdigit() and (process / "cwd").readlink() == folder
            if here or (process.name.isdigit() and str(folder).encode() in (process / "cmdline").read_bytes()):
                found.append(int(process.name))
    return found


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGKILL, marks=pytest.mark.left_out)], ids=lambda one: one.name
)
def test_nothing_goes_on_after_the_demonstration_was_stopped(folder: Path, number: signal.Signals) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "millmark.services.cli", "demo", "--orders=3", "--data=windows.tsv"]
    with subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True) as demo:
        assert demo.stderr is not None
        assert any(FOUNDED in line for line in demo.stderr)
        others = set(running_in(folder)) - {demo.pid}
        assert len(others) > 10, "a chain and nine gateways, at least"
        demo.send_signal(number)
        demo.stderr.read()
        assert demo.wait(MAX_S) == (128 + number if number == signal.SIGTERM else -number)
    deadline = time.monotonic() + MAX_S
    while left := running_in(folder):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
