"""Bringing what was written to the disk, in a thread of its own: whoever answers a request waits for no disk.

What was written while one synchronisation runs is on the disk with the next: at most one runs in a second.
"""

from __future__ import annotations

import contextlib
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
        """What the next writer is told."""
        self._lost: OSError | None = None
        """The kernel tells of a failure once: what it is asked later says nothing of those bytes."""
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
        """What was noted is on the disk when this returns. Raises OSError, from the first failure on for good."""
        with self._syncing:
            with self._guard:
                pending, self._pending = self._pending, {}
            failures = [error for one in pending.values() if (error := _sync_and_close(one))]
            with self._guard:
                if failures:
                    self._failure = self._lost = failures[0]
                if self._lost is not None:
                    raise self._lost

    def close(self) -> None:
        """As `flush`, but for failures that were told already; and the thread has ended."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        told = self._lost
        try:
            self.flush()
        except OSError as error:
            if error is not told:
                raise

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.wait()
            self._wake.clear()
            with contextlib.suppress(OSError):  # which is kept, for whoever notes or flushes next
                self.flush()
            self._stop.wait(_PAUSE_S)


def _sync_and_close(descriptor: int) -> OSError | None:
    try:
        os.fdatasync(descriptor)
    except OSError as error:
        return error
    finally:
        os.close(descriptor)
    return None
