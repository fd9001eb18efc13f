"""A real chain in its own process: anvil if its native binary is installed, otherwise the project's devchain."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from millmark.ledger.chain import EngineProfile, HttpTransport, find_profile
from millmark.ledger.errors import SettingsError

_START_S = 30.0
_PAUSE_S = 0.05
_STOP_S = 10.0
_URL = re.compile(r"(?:Listening on |http://)(127\.0\.0\.1:\d+)")
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True, slots=True)
class ChainProcess:
    """A running chain. `transport` reaches it directly, without injected faults."""

    engine: str
    """Name of its engine profile."""
    url: str
    transport: HttpTransport

    @property
    def profile(self) -> EngineProfile:
        return find_profile(self.engine)


def find_anvil() -> Path | None:
    """The native anvil binary, or None. The npm package's launcher is unsuitable: it does not pass signals on."""
    machine = _MACHINES.get(platform.machine().lower(), platform.machine().lower())
    package = Path("node_modules", "@foundry-rs", f"anvil-{sys.platform}-{machine}", "bin", "anvil")
    binary = Path(__file__).parents[2] / "contracts" / package
    return binary if binary.exists() else None


@contextmanager
def running_chain(folder: Path, *, need_anvil: bool = False) -> Iterator[ChainProcess]:
    """Runs a chain on a free port of the loopback until exit.

    Raises SettingsError if it does not start, or if anvil is needed and not installed.
    """
    anvil = find_anvil()
    if anvil is not None:
        # Old states go to the disk, gigabytes of them in a long run, and stay in the home folder unless told otherwise.
        arguments = [str(anvil), "--port", "0", "--host", "127.0.0.1", "--cache-path", str(folder / "states")]
    elif need_anvil:
        raise SettingsError("anvil is not installed", hint="run `npm ci --ignore-scripts` in contracts/")
    else:
        arguments = [sys.executable, "-m", "millmark.services.cli", "devchain", "--port", "0"]
    engine = "embedded" if anvil is None else "anvil"
    with _process(arguments, folder / "chain.txt") as url:
        yield ChainProcess(engine, url, HttpTransport(url))


@contextmanager
def _process(arguments: Sequence[str], report: Path) -> Iterator[str]:
    # Output goes to a file: nobody reads a pipe here, and once full it would block the process.
    with report.open("w") as output, subprocess.Popen(arguments, stdout=output, stderr=output) as process:
        try:
            yield _await_url(process, report)
        finally:
            stop_process(process, _STOP_S)


def stop_process(process: subprocess.Popen[bytes] | subprocess.Popen[str], most_s: float) -> None:
    """Asks a process to end, and kills it if it has not ended after `most_s` seconds."""
    process.terminate()
    try:
        process.wait(most_s)
    except subprocess.TimeoutExpired:
        process.kill()


def _await_url(process: subprocess.Popen[bytes], report: Path) -> str:
    deadline = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline:
        if found := _URL.search(report.read_text()):
            return f"http://{found[1]}"
        time.sleep(_PAUSE_S)
    raise SettingsError("the chain did not start", hint=f"see {report}")
