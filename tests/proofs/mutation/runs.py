"""One run of tests on a mutant: in a fork that may do as it likes, within limits of processor time and memory."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import hypothesis

__all__ = ["BROKEN", "KILLED", "SURVIVED", "in_fork", "quieten"]

SURVIVED, KILLED, BROKEN = 0, 1, 3
"""Exit codes. `BROKEN`: it cannot be run so."""
_TIMES, _SPARE_CPU_S, _STUCK_S = 4, 60, 60
"""A mutant may take so many times the processor time of its tests, and so much more, before it counts as endless; or it
does if it takes none at all for so long. The spare time is for fixtures that many tests share: the first to be measured
was charged with them, and here it may be another."""
_MEMORY = 3 << 30


def in_fork(run: Callable[[Path], int], cpu_s: float) -> dict[str, object]:
    """Outcome, the test that failed and the processor time of tests that take `cpu_s` on the code as it is. `run` may
    write the test's name into the file that it is given."""
    folder = Path(tempfile.mkdtemp(prefix="mutant-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))  # noqa: S108
    told = folder / "killer"
    child = os.fork()
    if not child:
        os._exit(_guard(run, told, int(_TIMES * cpu_s + _SPARE_CPU_S)))
    status, usage = _await(child)
    killer = told.read_text() if told.exists() else ""
    shutil.rmtree(folder, ignore_errors=True)
    return {"outcome": _outcome(status), "killer": killer, "cpu_s": round(usage.ru_utime + usage.ru_stime, 2)}


def _guard(run: Callable[[Path], int], told: Path, cpu_s: int) -> int:
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 2))
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
    try:
        return run(told)
    except BaseException:
        return BROKEN  # the runner, not a test


def _await(child: int) -> tuple[int, resource.struct_rusage]:
    """Waits until it ends. One that takes no processor time any more is stuck, however busy the machine is."""
    pause_s, seen, moved = 0.005, 0, time.monotonic()
    while True:
        found, status, usage = os.wait4(child, os.WNOHANG)
        if found:
            return status, usage
        ticks = sum(map(int, Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[11:13]))
        if ticks > seen:
            seen, moved = ticks, time.monotonic()
        elif time.monotonic() - moved > _STUCK_S:
            os.kill(child, signal.SIGKILL)
            _, status, usage = os.wait4(child, 0)
            return status, usage
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, 0.2)


def _outcome(status: int) -> str:
    if os.WIFSIGNALED(status):
        return "endless" if os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL) else "killed"
    code = os.waitstatus_to_exitcode(status)
    if code == SURVIVED:
        return "survived"
    return "unfit" if code == BROKEN else "killed"


def quieten() -> None:
    """Prints nothing any more. An example that fails is enough; it need not be small, nor come back in the next run."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile(
        "mutants", hypothesis.settings(), database=None, derandomize=True, phases=phases, print_blob=False
    )
    hypothesis.settings.load_profile("mutants")
