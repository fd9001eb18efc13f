"""CPU time, of all threads of the process: the only clock that means the same on a busy machine."""

from __future__ import annotations

import time


class Budget:
    """What is left of the CPU seconds that a computation may take."""

    def __init__(self, cpu_s: float) -> None:
        self._start = time.process_time()
        self.cpu_s = cpu_s

    @property
    def spent_s(self) -> float:
        return time.process_time() - self._start

    @property
    def left_s(self) -> float:
        return self.cpu_s - self.spent_s

    def part(self, cpu_s: float) -> Budget:
        """A budget from now on, of `cpu_s` or what is left."""
        return Budget(max(0.0, min(cpu_s, self.left_s)))
