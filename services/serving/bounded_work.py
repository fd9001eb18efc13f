"""Limits concurrent expensive work. Each waiting caller holds a thread of the server, so the queue is short, and more
callers are refused at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["BoundedWork"]


class BoundedWork:
    """At most `at_once` callers work, and `waiting` more wait. Threads share it."""

    def __init__(self, *, at_once: int, waiting: int) -> None:
        self._admitted = threading.BoundedSemaphore(at_once + waiting)
        self._working = threading.BoundedSemaphore(at_once)

    @contextmanager
    def take(self) -> Iterator[bool]:
        """True when the caller's turn comes; False at once when enough callers wait already."""
        if not self._admitted.acquire(blocking=False):
            yield False
            return
        try:
            with self._working:
                yield True
        finally:
            self._admitted.release()
