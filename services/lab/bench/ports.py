"""Ports of the loopback, and programs that come up on them."""

from __future__ import annotations

import socket
import subprocess
import time

from ledger.errors import ChainError

__all__ = ["free_port", "wait_for"]

_READY_S = 60.0


def free_port() -> int:
    """One that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Returns when something listens there. Raises ChainError when the process ends, or takes too long."""
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise ChainError("a program that is to be measured did not start", hint="run it by hand, and see why")
