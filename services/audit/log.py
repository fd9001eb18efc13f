"""Writer of the log: one line per entry, a new file when the current one is full.

Several processes may write: each takes the lock on the folder and appends after the last entry that is then there. An
entry is handed to the operating system before the response is sent, so it survives the end of the process. A background
thread brings it to the disk about a second later, so that no request waits for the disk. A power cut may lose the last
entries. At most one synchronisation runs per second; what is written while one runs is covered by the next.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Final

from millmark.ledger.errors import MillmarkError
from millmark.ledger.files import is_named
from millmark.services.audit import entries

_HINT_SET_BACK: Final = (
    "put the files back; if they are lost, keep what is left for `millmark audit verify` and start the gateway again"
)


MAX_FILE_BYTES = 16 << 20
_ANONYMOUS_PER_DAY: Final = 20_000
LEFT_OUT: Final = "requests without a credential that were not logged one by one"
DELETED: Final = "deleted a file of the audit log"
RESUMED: Final = "the audit log can be written again; requests were refused meanwhile"
_BY = "gateway"
"""Credential of the entries that the log makes itself."""


class AuditLog:
    """The audit log of one folder. Thread-safe."""

    def __init__(
        self,
        folder: Path,
        clock: Callable[[], int],
        *,
        keep_files: int = 64,
        most_file_bytes: int = MAX_FILE_BYTES,
        anonymous_per_day: int = _ANONYMOUS_PER_DAY,
        read_anchored: Callable[[], int] | None = None,
    ) -> None:
        """`clock` returns Unix time in seconds. At most `keep_files` files are kept; the oldest is deleted, and an
        entry tells so. `read_anchored` returns the number of the last entry that is anchored on the ledger; with it,
        only files that end before are deleted. `anonymous_per_day`: quota of entries about anonymous requests. Raises
        AuditError for a folder that cannot be written."""
        self._folder, self._clock = folder, clock
        self._quota, self._read_anchored = Quota(anonymous_per_day), read_anchored
        self._keep, self._most = keep_files, most_file_bytes
        self._threads = threading.Lock()
        self.failing_since_s: float | None = None
        """Since when no entry could be written, in seconds since 1970; None if the latest one was."""
        self._file, self._descriptor, self._size = Path(), -1, -1
        self._number, self._head, self._syncer = 0, entries.START, Syncer()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(folder / entries.LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise entries.AuditError(
                f"the audit log cannot be opened in {folder}: {error.strerror}", hint="check the folder's permissions"
            ) from None

    @property
    def folder(self) -> Path:
        return self._folder

    def append(self, access: entries.Access) -> None:
        """Writes one entry, or counts it if it is beyond the quota of anonymous ones. Raises AuditError when that
        fails; the caller must then not answer the request."""
        with self._threads:
            written = not access.anonymous or self._quota.take()
            self._write([*self._left_out(), *([access] if written else [])])

    def _left_out(self, *, all_told: bool = False) -> list[entries.Access]:
        count = self._quota.left_out(all_told=all_told)
        return [_own(LEFT_OUT, str(count))] if count else []

    def _write(self, accesses: Sequence[entries.Access]) -> None:
        if not accesses:
            return
        try:
            with self._locked():
                for one in accesses:
                    self._append(one)
        except OSError as error:
            # How much was written is unknown: the next append opens the file again and looks for its end.
            self._forget()
            self.failing_since_s = self.failing_since_s or time.time()
            hint = _HINT_SET_BACK if error.errno == errno.ESTALE else "free disk space, or check the folder"
            raise entries.AuditError(f"the audit log cannot be written: {error.strerror}", hint=hint) from None
        self.failing_since_s = None

    def retry(self) -> None:
        """Writes an entry of its own if the latest could not be written: once nobody sends requests any more, nothing
        else would tell that they would be served again. Raises AuditError."""
        with self._threads:
            if self.failing_since_s is not None:
                self._write([_own(RESUMED, "")])

    def close(self) -> None:
        """Synchronises what was written, then releases files and lock."""
        with self._threads:
            with contextlib.suppress(entries.AuditError):  # the log is being closed; the count is all that is lost
                self._write(self._left_out(all_told=True))
            self._syncer.close()
            self._forget()
            os.close(self._lock)

    def flush(self) -> None:
        """Brings everything written so far to the disk. Raises AuditError."""
        try:
            self._syncer.flush()
        except OSError as error:
            raise entries.AuditError(
                f"the audit log cannot be written: {error.strerror}", hint="check the disk"
            ) from None

    def _append(self, access: entries.Access) -> None:
        # Under the folder's lock, so that the entry follows the last one of any process.
        self._catch_up()
        moment = datetime.fromtimestamp(self._clock(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        line, digest = entries.build_line(self._number + 1, moment, access, self._head)
        deleted = self._rotate() if self._size + len(line) + 1 > self._most and self._size else []
        written = os.write(self._descriptor, line + b"\n")
        if written != len(line) + 1:
            os.ftruncate(self._descriptor, self._size)  # removes the incomplete line: the next entry starts afresh
            raise OSError(0, "the disk is full")
        self._number, self._head, self._size = self._number + 1, digest, self._size + written
        self._syncer.note(self._descriptor)
        for name in deleted:
            self._append(_own(DELETED, name))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # flock belongs to the open file, so it also excludes a second AuditLog in this process.
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _catch_up(self) -> None:
        """Moves to the last entry of the log, which another process may have written. Raises OSError, with ESTALE if
        entries are gone that this process knows."""
        files = entries.list_files(self._folder)
        if not files:
            self._go_on(0, entries.START)
            self._open(entries.name_file(self._folder, 1))
            return
        # Another process rotated, this one just started, or something else moved or replaced the file.
        if files[-1] != self._file or not is_named(self._file, os.fstat(self._descriptor)):
            self._open(files[-1])
            self._size = -1  # equals no size, so the last entry is read below
        size = os.fstat(self._descriptor).st_size
        if size == self._size:
            return
        line, end = entries.read_last_line(self._file)
        if end != size:  # an incomplete line, left by a crash before its request was answered
            os.ftruncate(self._descriptor, end)
        self._size = end
        if line is not None:
            self._go_on(*entries.describe_line(line))
        elif len(files) > 1:  # a crash between creating this file and writing its first entry
            last, _ = entries.read_last_line(files[-2])
            if last is None:
                raise entries.AuditError(f"{files[-2]} contains no entry", hint="run `millmark audit verify`")
            self._go_on(*entries.describe_line(last))
        else:
            self._go_on(0, entries.START)

    def _go_on(self, number: int, head: bytes) -> None:
        """Takes an entry for the last one. Entries that others removed must not be written anew under their numbers."""
        if number < self._number or (number == self._number and head != self._head):
            raise OSError(errno.ESTALE, f"entry {self._number} is not in its files any more")
        self._number, self._head = number, head

    def _rotate(self) -> list[str]:
        """Opens a new file, and returns the names of the old ones that were deleted for it."""
        # The new file first: a crash before the deletion leaves one file too many, never one too few.
        self._open(entries.name_file(self._folder, self._number + 1))
        files = entries.list_files(self._folder)
        old = list(pairwise(files))[: max(len(files) - self._keep, 0)]
        if not old:
            return []
        if self._read_anchored is not None:
            try:
                anchored = self._read_anchored()
            except MillmarkError:
                return []  # it may delete nothing then; the next full file tries again
            old = [(path, following) for path, following in old if entries.first_number(following) - 1 <= anchored]
        for path, _ in old:
            path.unlink()
        return [path.name for path, _ in old]

    def _open(self, path: Path) -> None:
        self._forget()
        self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._file, self._size = path, os.fstat(self._descriptor).st_size

    def _forget(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._file, self._descriptor, self._size = Path(), -1, -1


def _own(action: str, target: str) -> entries.Access:
    return entries.Access(None, _BY, action, target, 200, "", None)


# How many entries callers that nobody knows may add, so that they cannot push out everybody else's.

_DAY_S: Final = 86_400
_TELL_S: Final = 60.0
"""Between two entries that tell how many were left out."""


class Quota:
    """A bucket that holds a day's entries and is refilled steadily. Not thread-safe."""

    def __init__(self, per_day: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_day, self._clock = per_day, clock
        self._tokens, self._at_s = float(per_day), clock()
        self._told_s = self._at_s - _TELL_S
        self._left_out = 0

    def take(self) -> bool:
        """Whether one more entry may be written; otherwise it is counted as left out."""
        now_s = self._clock()
        self._tokens = min(self._per_day, self._tokens + (now_s - self._at_s) * self._per_day / _DAY_S)
        self._at_s = now_s
        if self._tokens < 1:
            self._left_out += 1
            return False
        self._tokens -= 1
        return True

    def left_out(self, *, all_told: bool = False) -> int:
        """How many were left out since this was last told; 0 if it was told less than a minute ago, unless
        `all_told`."""
        if not self._left_out or not (all_told or self._clock() - self._told_s >= _TELL_S):
            return 0
        found, self._left_out, self._told_s = self._left_out, 0, self._clock()
        return found


_PAUSE_S: Final = 1.0


class Syncer:
    """Synchronises the files of one writer, in the background and at most once a second. Thread-safe."""

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
