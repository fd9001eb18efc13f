"""Bringing what was written to the disk, in a thread of its own: whoever answers a request waits for no disk.

What was written while one synchronisation runs is on the disk with the next: at most one runs in a second.
"""

from __future__ import annotations

import os
import threading
from typing import Final

__all__ = ["Syncer"]

_PAUSE_S: Final = 1.0


class Syncer:
    """Of one writer's files. Threads share it."""

    def __init__(self) -> None:
        self._guard, self._syncing = threading.Lock(), threading.Lock()
        self._wake, self._stop = threading.Event(), threading.Event()
        self._pending: dict[tuple[int, int], int] = {}
        """Descriptors of our own, by the file's device and number."""
        self._failure: OSError | None = None
        self._thread: threading.Thread | None = None

    def note(self, descriptor: int) -> None:
        """Something was written to that file. Raises the OSError with which an earlier one did not get to the disk."""
        with self._guard:
            failure, self._failure = self._failure, None
            if failure is not None:
                raise failure
            found = os.fstat(descriptor)
            if (found.st_dev, found.st_ino) not in self._pending:
                self._pending[found.st_dev, found.st_ino] = os.dup(descriptor)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="millmark-audit-sync", daemon=True)
                self._thread.start()
        self._wake.set()

    def flush(self) -> None:
        """What was noted is on the disk when this returns. Raises OSError."""
        with self._syncing:
            with self._guard:
                pending, self._pending = self._pending, {}
            try:
                for descriptor in pending.values():
                    os.fdatasync(descriptor)
            finally:
                for descriptor in pending.values():
                    os.close(descriptor)

    def close(self) -> None:
        """As `flush`, and the thread has ended."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        self.flush()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.wait()
            self._wake.clear()
            try:
                self.flush()
            except OSError as error:
                with self._guard:
                    self._failure = error
            self._stop.wait(_PAUSE_S)
