"""Programs of Millmark that the laboratory starts as processes, and the ports that it gives them."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ledger.errors import ChainError, MillmarkError

__all__ = ["free_port", "run_command", "start", "stop", "wait_for"]

_READY_S = 60.0
_STOP_S = 20.0
_START = "from services.entry import main; main()"


def free_port() -> int:
    """A port that is currently free. Another program may take it before it is used."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Returns when something listens on the port. Raises ChainError if the process ends, or takes over a minute."""
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise ChainError("a program did not start", hint="run it by itself to see why")


def start(arguments: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Starts `millmark` with the arguments. What it prints goes to the file `log`."""
    with log.open("ab") as output:  # a file: nobody reads a pipe here, and once full it would block the process
        return subprocess.Popen([sys.executable, "-c", _START, *arguments], stdout=output, stderr=output)


def stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Asks the processes to end, all at once, and kills those that have not ended in time."""
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + _STOP_S
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def run_command(arguments: Sequence[str], log: Path) -> None:
    """Runs `millmark` with the arguments until it ends. Raises MillmarkError with its last line if it fails."""
    process = start(arguments, log)
    if process.wait() != 0:
        said = log.read_text(errors="replace").strip().splitlines()
        raise MillmarkError(f"`millmark {' '.join(arguments)}` failed: {said[-1] if said else ''}", hint=f"see {log}")
