"""Programs that are measured beside each other: each a process of its own, asked in turns; and the rows that consist of
them, each in a process group that ends with its budget."""

import contextlib
import importlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from millmark.ledger.errors import SettingsError
from tests.bench.table.rows import Figure, Measured, Row

ROOT = Path(__file__).parents[3]
_LAST_CHARACTERS = 160


class MissingPeerError(Exception):
    """A peer cannot be run here; the text says why."""


@dataclass(frozen=True, slots=True)
class Timed:
    """One answer of a side."""

    cpu_s: float
    wall_s: float
    count: int
    """How many things it did."""
    result: Any

    def each(self, clock: str) -> float:
        """Seconds for one thing, by "cpu" or "wall"."""
        return (self.cpu_s if clock == "cpu" else self.wall_s) / self.count


class Side:
    """A running program, see `tests.bench.peers.answer`."""

    def __init__(self, process: subprocess.Popen[str], name: str, report: Path) -> None:
        self._process = process
        self._name = name
        self._report = report

    def ask(self, task: str) -> Timed:
        """Have it do a task once. Raises SettingsError if it ended."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()
        found = self.read()
        return Timed(found["cpu_s"], found["wall_s"], found["count"], found["result"])

    def read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SettingsError(f"{self._name} ended: {self._last_words()}", hint=f"see {self._report}")
        found: dict[str, Any] = json.loads(line)
        return found

    def _last_words(self) -> str:
        lines = self._report.read_text(errors="replace").strip().splitlines()
        return lines[-1][-_LAST_CHARACTERS:] if lines else "without a word"


def peer_python() -> Path:
    """Python of the peers' environment. Raises MissingPeerError if it is not set up."""
    python = ROOT / ".venv-peers" / "bin" / "python"
    if not python.exists():
        raise MissingPeerError("the peers' environment .venv-peers is not set up")
    return python


@contextmanager
def open_side(folder: Path, module: str, arguments: Mapping[str, object] | None = None) -> Iterator[Side]:
    """Runs a module: one of `peers` in the peers' environment, and one of `own` in Millmark's; a name that ends in .mjs
    by node. Raises MissingPeerError if it needs a package that is not installed, SettingsError if it does not start.
    """
    report = folder / f"{module.rpartition('/')[2]}.txt"
    environment = dict(os.environ)
    if module.startswith("peers"):
        # Peers are used as pip installs them, with the keccak that they choose themselves.
        environment.pop("ETH_HASH_BACKEND", None)
    with (
        report.open("w") as errors,
        subprocess.Popen(
            _command(module), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT,
            env=environment,
        ) as process,
    ):  # fmt: skip
        side = Side(process, module, report)
        try:
            assert process.stdin is not None
            process.stdin.write(json.dumps(arguments or {}) + "\n")
            process.stdin.flush()
            try:
                side.read()
            except (SettingsError, BrokenPipeError) as error:
                errors.flush()
                raise _explain(error, report) from error
            yield side
        finally:
            process.kill()


def _command(module: str) -> list[str]:
    if module.endswith(".mjs"):
        return ["node", str(ROOT / "tests" / "bench" / module)]
    python = str(peer_python()) if module.startswith("peers") else sys.executable
    return [python, "-m", "tests.bench.peers.answer", f"tests.bench.{module}"]


def _explain(error: Exception, report: Path) -> Exception:
    text = report.read_text(errors="replace")
    for line in text.splitlines():
        if line.startswith("ModuleNotFoundError") or "ERR_MODULE_NOT_FOUND" in line:
            return MissingPeerError(line[:_LAST_CHARACTERS])
    return error if isinstance(error, SettingsError) else SettingsError(f"{report.stem} ended as it started")


def ask_in_turns(sides: Mapping[str, Side], task: str, rounds: int) -> dict[str, list[Timed]]:
    """A-B-A-B; a first round warms up and is dropped."""
    return ask_tasks_in_turns(sides, dict.fromkeys(sides, task), rounds)


def ask_tasks_in_turns(sides: Mapping[str, Side], tasks: Mapping[str, str], rounds: int) -> dict[str, list[Timed]]:
    """As `ask_in_turns`, with a task for each side."""
    found: dict[str, list[Timed]] = {name: [] for name in sides}
    for turn in range(rounds + 1):
        for name, side in sides.items():
            timed = side.ask(tasks[name])
            if turn:
                found[name].append(timed)
    return found


def compare(own: Sequence[Timed], peer: Sequence[Timed], scale: float, unit: str, clock: str = "cpu") -> Figure:
    """Medians, and the least and largest ratio of a round. `scale`: units in a second."""
    mine, theirs = ([one.each(clock) for one in side] for side in (own, peer))
    ratios = sorted(b / a for a, b in zip(mine, theirs, strict=True))
    return Figure(
        statistics.median(mine) * scale, unit, statistics.median(theirs) * scale, low=ratios[0], high=ratios[-1]
    )


@contextmanager
def open_sides(
    folder: Path, modules: Mapping[str, tuple[str, Mapping[str, object]]]
) -> Iterator[tuple[dict[str, Side], dict[str, str]]]:
    """Opens sides by name; yields those that run, and why the others are left out. The first is Millmark's own."""
    running: dict[str, Side] = {}
    missing: dict[str, str] = {}
    with ExitStack() as stack:
        for name, (module, arguments) in modules.items():
            try:
                running[name] = stack.enter_context(open_side(folder, module, arguments))
            except MissingPeerError as error:
                missing[name] = str(error)
        yield running, missing


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
