"""Brings what was written to the disk, in the background and at most once a second."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from typing import Final

_PAUSE_S: Final = 1.0


class Syncer:
    """Synchronises the files of one writer. Thread-safe."""

    def __init__(self) -> None:
        self._guard, self._syncing = threading.Lock(), threading.Lock()
        self._wake, self._stop = threading.Event(), threading.Event()
        self._pending: dict[tuple[int, int], int] = {}
        """Duplicated descriptors, by device and inode, so that the writer may close its own at any time."""
        self._failure: OSError | None = None
        """Raised to the next writer, once."""
        self._lost: OSError | None = None
        """The first failure, for good: the kernel reports a failed write-back once, and a later fdatasync that succeeds
        says nothing about the lost pages."""
        self._thread: threading.Thread | None = None

    def note(self, descriptor: int) -> None:
        """Schedules the synchronisation of a file that was written. Raises the OSError of an earlier failed one."""
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
        """Synchronises all scheduled files before it returns. Raises OSError, on every call after the first failure."""
        # `_syncing` lets one flush at a time run, so a caller returns only when its own files are on disk as well.
        # `_guard` is held just for the swap: writers must not wait for fdatasync.
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
        """Ends the thread and flushes. Raises OSError unless that failure was raised before."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        # A failure that was raised before is not raised twice, but one of this last flush must not pass unnoticed.
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
            with contextlib.suppress(OSError):  # kept in _failure and _lost for the next note or flush
                self._flush_whatever_happens()
            self._stop.wait(_PAUSE_S)  # collects a second's entries into one synchronisation

    def _flush_whatever_happens(self) -> None:
        """Flushes. Whatever fails other than the disk is raised to the next writer as well: without this thread,
        entries would be acknowledged that nothing brings to the disk."""
        try:
            self.flush()
        except OSError:
            raise
        except BaseException as error:
            with self._guard:
                self._failure = self._lost = OSError(errno.EIO, f"synchronising failed: {type(error).__name__}")


def _sync_and_close(descriptor: int) -> OSError | None:
    try:
        os.fdatasync(descriptor)
    except OSError as error:
        return error
    finally:
        os.close(descriptor)
    return None
