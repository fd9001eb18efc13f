"""What was made with effort and may be wanted again, in bounded memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["Shelf"]

T = TypeVar("T")


class Shelf(Generic[T]):
    """At most `most_bytes` as whoever puts something there counts them; what was longest not asked for goes first.
    Threads share it."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._things: OrderedDict[Hashable, tuple[T, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> T | None:
        with self._lock:
            found = self._things.get(key)
            if found is None:
                return None
            self._things.move_to_end(key)
            return found[0]

    def put(self, key: Hashable, thing: T, size: int) -> None:
        """In the place of what was there under the key. What is larger than the whole shelf is not kept."""
        with self._lock:
            before = self._things.pop(key, None)
            self._bytes += size - (0 if before is None else before[1])
            self._things[key] = thing, size
            while self._bytes > self._most:
                self._bytes -= self._things.popitem(last=False)[1][1]
