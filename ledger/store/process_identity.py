"""Names of processes that are never reused, and whether the named process is still running."""

from __future__ import annotations

import socket
from pathlib import Path

_START_FIELD, _STATE_FIELD = 19, 0
"""Positions in /proc/PID/stat after the command's name (proc(5)): start time in clock ticks since boot; state."""
_DEAD = ("Z", "X")
"""States of a process that has ended but was not waited for by its parent yet."""


def describe_process(number: int) -> str:
    """Host name, process id and start time: no other process of the same boot ever has the same."""
    return f"{socket.gethostname()}/{number}/{_began(number) or ''}"


def is_gone(holder: str) -> bool:
    """Whether the holder is a process of this host that has ended. False if that cannot be established.

    Processes in a container that shares host name and database with this one, but not the process table, are wrongly
    taken to have ended.
    """
    host, number, began = holder.rsplit("/", 2)
    # Another host's processes cannot be seen from here, so they count as running.
    if host != socket.gethostname() or not began or not number.isdecimal():
        return False
    # A process id may be reused, but then with another start time.
    return _began(int(number)) != began


def _began(number: int) -> str | None:
    """The start time of a running process; None if it has ended, and always on systems without /proc."""
    try:
        # The command's name, in parentheses, may itself contain spaces and parentheses.
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return None
    return None if fields[_STATE_FIELD] in _DEAD else fields[_START_FIELD]
