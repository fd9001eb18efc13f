"""Programs of Millmark that the laboratory starts as processes, and the ports that it gives them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ledger.errors import ChainError

__all__ = ["free_port", "run_command", "running", "wait_for"]

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
