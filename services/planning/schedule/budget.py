"""What a computation may take: CPU seconds, or a count of work that comes out the same everywhere."""

from __future__ import annotations

import time

from millmark.ledger.plans.problem import PathTable

_S_PER_START = 1.2e-7
"""CPU seconds that one start in a table of paths takes, about, on the machines that we measured."""
_S_PER_TABLE = 4e-5
"""The same for a table, however small."""


class Work:
    """Work done so far, in seconds that it takes about."""

    def __init__(self) -> None:
        self.done_s = 0.0


class Budget:
    """What is left of the seconds that a computation may take.

    They are CPU seconds of all threads of the process: the only clock that means the same on a busy machine. With
    `work` they are a count of what was done instead, as far as `charge` is told of it: the result then depends on
    nothing but what is asked, and takes about as long.
    """

    def __init__(self, cpu_s: float, work: Work | None = None) -> None:
        self.cpu_s = cpu_s
        self._work = work
        self._start = self._now_s()

    def _now_s(self) -> float:
        return time.process_time() if self._work is None else self._work.done_s

    @property
    def is_counted(self) -> bool:
        return self._work is not None

    @property
    def spent_s(self) -> float:
        return self._now_s() - self._start

    @property
    def left_s(self) -> float:
        return self.cpu_s - self.spent_s

    def part(self, cpu_s: float) -> Budget:
        """A budget from now on, of `cpu_s` or what is left. Work counts in both."""
        return Budget(max(0.0, min(cpu_s, self.left_s)), self._work)

    def charge(self, table: PathTable) -> None:
        """Count a table of paths."""
        if self._work is not None:
            starts = sum(len(costs) for stage in table.stages for _, _, costs in stage)
            self._work.done_s += _S_PER_TABLE + _S_PER_START * starts

    def charge_s(self, cpu_s: float) -> None:
        """Count what took about so long."""
        if self._work is not None:
            self._work.done_s += cpu_s
