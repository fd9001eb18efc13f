"""Rows of whole programs: how long they take to start, and the demonstration."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ledger.errors import SettingsError
from services.lab.bench.table.declared import Figure, Measured
from services.lab.bench.table.sides import ROOT

__all__ = ["measure_demo", "measure_starts"]

_MILLMARK = (sys.executable, "-c", "from services.entry import main; main()")
_STARTS = {
    "help": (*_MILLMARK, "--help"),
    "trace": (*_MILLMARK, "trace", "--help"),
    "verify": (sys.executable, "-m", "ledger.verify", "--help"),
    "python": (sys.executable, "-c", "pass"),
}
_ROUNDS = 7


def measure_starts() -> Measured:
    """CPU seconds of a process from its start to its end, with bytecode in the cache."""
    found: dict[str, list[float]] = {name: [] for name in _STARTS}
    for turn in range(_ROUNDS + 1):
        for name, command in _STARTS.items():
            used = _run(command)
            if turn:
                found[name].append(used)
    return Measured({name: Figure(statistics.median(times), "s") for name, times in found.items()})


def measure_demo() -> Measured:
    """CPU time a record of `millmark demo --fast`, without what its imports take."""
    with tempfile.TemporaryDirectory(prefix="millmark-bench-") as name:
        file = Path(name) / "demo.json"
        started = _run((sys.executable, "-c", "import services.lab.demo.run, services.commands, services.cli"))
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
