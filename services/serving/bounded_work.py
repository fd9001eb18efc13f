"""Dear work, a little at a time. Whoever has to wait holds a thread of those that answer everybody, so few may wait."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["BoundedWork"]


class BoundedWork:
    """`at_once` have a turn, `waiting` more may wait for one. Threads share it."""

    def __init__(self, *, at_once: int, waiting: int) -> None:
        self._places = threading.BoundedSemaphore(at_once + waiting)
        self._turns = threading.BoundedSemaphore(at_once)

    @contextmanager
    def take(self) -> Iterator[bool]:
        """A turn, as soon as there is one; False, at once, where enough wait already."""
        if not self._places.acquire(blocking=False):
            yield False
            return
        try:
            with self._turns:
                yield True
        finally:
            self._places.release()
