"""Thread-safe LRU caches in bounded memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")
_AT_ONCE = 2
"""Values computed at the same time: one thread computes while the other waits for the database. More would only take
the interpreter lock from each other at every query, and all finish later."""


class LruCache(Generic[T]):
    """Evicts the least recently used entries when the sizes passed to `put` add up to more than `max_bytes`."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._entries: OrderedDict[Hashable, tuple[T, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> T | None:
        with self._lock:
            found = self._entries.get(key)
            if found is None:
                return None
            self._entries.move_to_end(key)
            return found[0]

    def put(self, key: Hashable, value: T, size: int) -> None:
        """Adds or replaces an entry. A value larger than the whole cache is not stored."""
        with self._lock:
            before = self._entries.pop(key, None)
            self._bytes += size - (0 if before is None else before[1])
            self._entries[key] = value, size
            # This may evict the new entry itself, if it is larger than the whole cache.
            while self._bytes > self._max_bytes:
                self._bytes -= self._entries.popitem(last=False)[1][1]


class StateCache:
    """Caches bytes that are valid for one state. The first request for another state empties the cache."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._state: Hashable = None
        self._values: LruCache[bytes] = LruCache(max_bytes)
        self._lock = threading.Lock()
        self._computing = threading.BoundedSemaphore(_AT_ONCE)

    def get_or_compute(self, state: Hashable, key: Hashable, compute: Callable[[], bytes]) -> bytes:
        """The cached value, or what `compute` returns. `compute` must read exactly this state."""
        found = self._find(state, key)
        if found is not None:
            return found
        with self._computing:
            found = self._find(state, key)  # another thread may have computed it while this one waited
            if found is None:
                found = compute()
                self._keep(state, key, found)
        return found

    def _find(self, state: Hashable, key: Hashable) -> bytes | None:
        with self._lock:
            if state != self._state:
                self._state, self._values = state, LruCache(self._max_bytes)
            return self._values.get(key)

    def _keep(self, state: Hashable, key: Hashable, value: bytes) -> None:
        with self._lock:
            if state == self._state:  # otherwise the value was outdated before it was ready
                self._values.put(key, value, len(value))
