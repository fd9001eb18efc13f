"""What a process has taken, as Linux counts it (proc(5))."""

from __future__ import annotations

import os
from pathlib import Path

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
"""The unit in which processor time is counted."""


def cpu_s(pid: int) -> float:
    """Processor time of a process with all its threads, user and system, in seconds. Raises OSError if it has ended."""
    # After the program's name, which may contain spaces and parentheses, the fields are numbers.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def private_kib(pid: int) -> int:
    """Memory that the process alone has, and has written to, in units of 1,024 bytes. Raises OSError."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty:"))
