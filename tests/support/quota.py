"""A share of the processor for some processes and what they start, by the kernel: it stops them for the rest of each
tenth of a second, as a slower processor would. Linux's control groups, of either version; root alone may set them."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["under_quota"]

_PERIOD_US, _MAX_S = 100_000, 10.0
_V1, _V2 = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")


@contextmanager
def under_quota(pids: Collection[int], share: float) -> Iterator[str | None]:
    """Holds the processes, and those that they start meanwhile, to `share` of one core together. Yields None; or, where
    that cannot be set on this machine, why not."""
    root = _V1 if (_V1 / "cgroup.procs").exists() else _V2
    group, quota = root / f"millmark-quota-{os.getpid()}", round(share * _PERIOD_US)
    try:
        group.mkdir()
        if root is _V1:
            (group / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        else:
            (group / "cpu.max").write_text(f"{quota} {_PERIOD_US}")
        _move(pids, group)
    except OSError as error:
        yield f"no quota can be set: {error}"
    else:
        yield None
    finally:
        _dissolve(group, root)


def _dissolve(group: Path, root: Path) -> None:
    """A process that is just ending keeps the group a moment longer."""
    end = time.monotonic() + _MAX_S
    while group.exists():
        _move([int(one) for one in (group / "cgroup.procs").read_text().split()], root)
        try:
            group.rmdir()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def _move(pids: Collection[int], group: Path) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):  # it has ended
            (group / "cgroup.procs").write_text(str(pid))
