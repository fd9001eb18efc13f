"""Rows of whole programs: how long they take to start, and the demonstration."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from millmark.ledger.errors import SettingsError
from millmark.services.store import open_store
from tests.bench.table.rows import Figure, Measured
from tests.bench.table.sides import ROOT
from tests.support.plant_store import draw_plant, write_plant

_MILLMARK = (sys.executable, "-c", "from millmark.services.entry import main; main()")
_STARTS = {
    "help": (*_MILLMARK, "--help"),
    "trace": (*_MILLMARK, "trace", "--help"),
    "verify": (sys.executable, "-m", "millmark.ledger.verify", "--help"),
    "python": (sys.executable, "-c", "pass"),
}
_VECTOR = ROOT / "tests" / "vectors" / "bundle"
_VERIFIES = (
    *(
        sys.executable,
        "-m",
        "millmark.ledger.verify",
        str(_VECTOR / "part.bundle"),
        "--trust",
        str(_VECTOR / "trust.json"),
    ),
    *("--max-age", "100000"),  # days: the vector does not get younger
)
_LOTS = 100
_ROUNDS = 7


def measure_starts() -> Measured:
    """CPU seconds of a process from its start to its end, with bytecode in the cache.

    `--help` prints a text that is kept ready, so a command that does something is started as well.
    """
    with tempfile.TemporaryDirectory(prefix="millmark-bench-") as home:
        plant = draw_plant(_LOTS, 1)
        with open_store(f"sqlite:///{home}/millmark.sqlite") as store:
            write_plant(store, plant)
        traces = (*_MILLMARK, "--home", home, "trace", plant.identity(plant.finished[0]).identifier)
        starts = {**_STARTS, "traces": traces, "verifies": _VERIFIES}
        found: dict[str, list[float]] = {name: [] for name in starts}
        for turn in range(_ROUNDS + 1):
            for name, command in starts.items():
                used = _run(command)
                if turn:
                    found[name].append(used)
    return Measured({name: Figure(statistics.median(times), "s") for name, times in found.items()})


def measure_demo() -> Measured:
    """CPU time a record of `millmark demo --fast`, without what its imports take."""
    with tempfile.TemporaryDirectory(prefix="millmark-bench-") as name:
        file = Path(name) / "demo.json"
        started = _run(
            (
                sys.executable,
                "-c",
                "import millmark.services.demo.run, millmark.services.commands, millmark.services.cli",
            )
        )
        used = _run((*_MILLMARK, "demo", "--fast", "--out", str(Path(name) / "out"), "--json", str(file)))
        records = sum(json.loads(file.read_text())["records"].values())
    return Measured({
        "record": Figure((used - started) / records * 1e3, "ms"),
        "whole": Figure(used, "s"),
        "records": Figure(records, "records"),
    })  # fmt: skip


def _run(command: Sequence[str]) -> float:
    """CPU seconds of a process and its children. Raises SettingsError if it fails."""
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, cwd=ROOT)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            last = errors.read().strip().splitlines()[-1:]
            raise SettingsError(f"{' '.join(command[3:])} failed: {' '.join(last)}")
    return used.ru_utime + used.ru_stime
