"""How many entries callers that nobody knows may add, so that they cannot push out everybody else's."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

_DAY_S: Final = 86_400
_TELL_S: Final = 60.0
"""Between two entries that tell how many were left out."""


class Quota:
    """A bucket that holds a day's entries and is refilled steadily. Not thread-safe."""

    def __init__(self, per_day: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_day, self._clock = per_day, clock
        self._tokens, self._at_s = float(per_day), clock()
        self._told_s = self._at_s - _TELL_S
        self._left_out = 0

    def take(self) -> bool:
        """Whether one more entry may be written; otherwise it is counted as left out."""
        now_s = self._clock()
        self._tokens = min(self._per_day, self._tokens + (now_s - self._at_s) * self._per_day / _DAY_S)
        self._at_s = now_s
        if self._tokens < 1:
            self._left_out += 1
            return False
        self._tokens -= 1
        return True

    def left_out(self, *, all_told: bool = False) -> int:
        """How many were left out since this was last told; 0 if it was told less than a minute ago, unless
        `all_told`."""
        if not self._left_out or not (all_told or self._clock() - self._told_s >= _TELL_S):
            return 0
        found, self._left_out, self._told_s = self._left_out, 0, self._clock()
        return found
