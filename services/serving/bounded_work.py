"""Limits concurrent expensive work. Waiting callers each hold a server thread, so the queue is short and further
callers are refused at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class BoundedWork:
    """Lets `at_once` callers work at a time and `waiting` more wait. Thread-safe."""

    def __init__(self, *, at_once: int, waiting: int) -> None:
        self._admitted = threading.BoundedSemaphore(at_once + waiting)
        self._working = threading.BoundedSemaphore(at_once)

    @contextmanager
    def take(self) -> Iterator[bool]:
        """Yields True once the caller may work, or False immediately if too many callers are waiting."""
        if not self._admitted.acquire(blocking=False):
            yield False
            return
        try:
            with self._working:
                yield True
        finally:
            self._admitted.release()
