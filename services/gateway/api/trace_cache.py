"""Answers that were given, for as long as they are right: while what they were read from is the same.

An answer for one company is never given to another: whoever asks is part of what was asked.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

__all__ = ["Remembered"]

_MOST_BYTES = 32 * 1024 * 1024
_AT_ONCE = 2
"""Answers in the making: one computes while the other waits for the database. More would take Python's one lock from
each other at every query, and all be done later."""


class Remembered:
    """In bounded memory; what was longest not asked for is forgotten first. Threads share it."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most = most_bytes
        self._state: Hashable = None
        self._answers: OrderedDict[Hashable, bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self._working = threading.BoundedSemaphore(_AT_ONCE)

    def get(self, state: Hashable, asked: Hashable, work: Callable[[], bytes]) -> bytes:
        """What `work` gives, or gave in the same state. It has to read that state and no other."""
        found = self._find(state, asked)
        if found is not None:
            return found
        with self._working:
            found = self._find(state, asked)  # by whoever was at work until now
            if found is None:
                found = work()
                self._keep(state, asked, found)
        return found

    def _find(self, state: Hashable, asked: Hashable) -> bytes | None:
        with self._lock:
            if state != self._state:
                self._answers.clear()
                self._state, self._bytes = state, 0
            found = self._answers.get(asked)
            if found is not None:
                self._answers.move_to_end(asked)
            return found

    def _keep(self, state: Hashable, asked: Hashable, answer: bytes) -> None:
        with self._lock:
            if state != self._state or asked in self._answers:
                return
            self._answers[asked] = answer
            self._bytes += len(answer)
            while self._bytes > self._most:
                self._bytes -= len(self._answers.popitem(last=False)[1])
