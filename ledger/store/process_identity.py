"""Processes, named so that nobody else ever has the same name, and whether one that was noted is still there."""

from __future__ import annotations

import socket
from pathlib import Path

__all__ = ["describe_process", "is_gone"]

_START_FIELD, _STATE_FIELD = 19, 0
"""In /proc/PID/stat after the name (proc(5)): when the process began, in ticks since boot; what it does."""
_DEAD = ("Z", "X")


def describe_process(number: int) -> str:
    """Host, process id and when it began: no other process ever has the same."""
    return f"{socket.gethostname()}/{number}/{_began(number) or ''}"


def is_gone(holder: str) -> bool:
    """Whether the holder is a process of this host that ended. A container that shares host name and database, but not
    the process table, would be taken for gone."""
    host, number, began = holder.rsplit("/", 2)
    if host != socket.gethostname() or not began or not number.isdecimal():
        return False
    return _began(int(number)) != began


def _began(number: int) -> str | None:
    """None for a process that is not there any more; and for every one where there is no /proc."""
    try:
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return None
    return None if fields[_STATE_FIELD] in _DEAD else fields[_START_FIELD]
