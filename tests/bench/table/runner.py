"""Runs rows, each in a process group of its own that ends with the row's budget."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.bench.table.declared import Figure, Measured, Row
from tests.bench.table.sides import MissingPeerError

__all__ = ["MOST_S", "Outcome", "measure_here", "run_rows"]

MOST_S = 20 * 60.0
"""A run takes no longer: rows that are left then are named as left out."""
_WORDS = 200
_LEAVE_S = 30.0
"""A measurement that is to end has so long to stop what it started: PostgreSQL, which leaves the process group."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a row."""

    row: Row
    figures: dict[str, Figure] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    """Why a figure is missing, by its name; under "" of the whole row."""
    notes: tuple[str, ...] = ()
    failure: str = ""
    wall_s: float = 0.0


def measure_here(row: Row) -> dict[str, Any]:
    """Measures a row in this process; returns what its parent reads."""
    module, _, name = row.measure.partition(":")
    measure: Callable[[], Measured] = getattr(importlib.import_module(f"tests.bench.table.{module}"), name)
    try:
        found = measure()
    except MissingPeerError as error:
        found = Measured({}, {"": str(error)})
    return asdict(found)


def run_rows(rows: Iterable[Row], tell: Callable[[str], None], most_s: float = MOST_S) -> Iterator[Outcome]:
    """Measures rows one after the other. What fails is an `Outcome` with its `failure`."""
    end = time.monotonic() + most_s
    for row in rows:
        left = end - time.monotonic()
        if left <= 0:
            yield Outcome(row, left_out={"": f"no time left within {most_s / 60:.0f} minutes"})
            continue
        tell(f"measuring {row.name}")
        start = time.monotonic()
        command = [sys.executable, "-m", "tests.bench.table", "--measure", row.name]
        yield _read(row, *_run(command, min(row.budget_s, left)), time.monotonic() - start)


def _run(command: list[str], most_s: float) -> tuple[int | None, str, str]:
    """Exit code, None if it took too long, and both outputs. Nothing that it started is left running."""
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, stdin=subprocess.DEVNULL, text=True, start_new_session=True
        )
        try:
            out, _ = process.communicate(timeout=most_s)
            code: int | None = process.returncode
        except subprocess.TimeoutExpired:
            code, out = None, ""
        finally:
            _end(process)
        errors.seek(0)
        return code, out, errors.read()


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        # It alone first: it knows how to stop what it started, and what has left its group.
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_LEAVE_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _read(row: Row, code: int | None, out: str, errors: str, wall_s: float) -> Outcome:
    if code is None:
        return Outcome(row, failure=f"not done after {wall_s:.0f} s", wall_s=wall_s)
    if code:
        lines = errors.strip().splitlines()
        return Outcome(row, failure=lines[-1][-_WORDS:] if lines else f"exit code {code}", wall_s=wall_s)
    found = json.loads(out)
    figures = {name: Figure(**one) for name, one in found["figures"].items()}
    return Outcome(row, figures, found["left_out"], tuple(found["notes"]), wall_s=wall_s)
