"""A clock that never goes back, whatever the system's does.

If it went back, nonces that were forgotten as expired could be spent again, and expired credentials would be accepted.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from millmark.ledger.errors import StoreError
from millmark.ledger.store import Store
from millmark.services.access.repository import AccessRepository

_STORED_EVERY_S: Final = 60


class SteadyClock:
    """Seconds since 1970. Follows the system's clock forward; when that is set back, goes on at its own pace until it
    is overtaken. Thread-safe.

    The newest time is kept in the database, so that this holds after a restart and for every process on it; up to a
    minute may be missing, except after a sign-in.
    """

    def __init__(
        self,
        store: Store,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises StoreError."""
        self._store, self._wall, self._monotonic = store, wall, monotonic
        with store.reading() as connection:
            self._stored_s = AccessRepository(connection).newest_time()
        # One tuple, replaced as a whole, so that threads need no lock.
        self._at: tuple[float, float] = (float(self._stored_s), monotonic())

    def __call__(self) -> int:
        newest_s, seen = self._at
        moment = self._monotonic()
        now_s = max(self._wall(), newest_s + moment - seen)
        self._at = now_s, moment
        if now_s - self._stored_s >= _STORED_EVERY_S:
            self._stored_s = int(now_s)  # even if it then fails: the next minute tries again
            # In a thread of its own, because the event loop asks for the time, and must not wait for a lock or a disk.
            threading.Thread(target=self._remember, args=(int(now_s),), name="millmark-clock", daemon=True).start()
        return int(now_s)

    def _remember(self, now_s: int) -> None:
        try:
            with self._store.transaction() as connection:
                newest_s = AccessRepository(connection).see_time(now_s)
        except StoreError:
            return
        if newest_s > now_s:  # of another process
            self._at = float(newest_s), self._monotonic()
