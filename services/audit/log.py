"""Writing the log: one line an entry, a new file when one is full.

Several processes may write: each entry is written under a lock on the folder, by whoever has it, after the last entry
that is there. An entry is in the hands of the operating system before its answer goes out, so it survives the end of
the process; on the disk it is a second later, by a thread that no answer waits for, so a
power cut may take the last of them.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from services.audit.entries import START, Access, build_line
from services.audit.errors import AuditError
from services.audit.files import LOCK, describe_line, list_files, name_file, read_last_line
from services.audit.sync import Syncer

__all__ = ["MOST_FILE_BYTES", "AuditLog"]

MOST_FILE_BYTES = 16 << 20


class AuditLog:
    """The log in one folder; threads share it."""

    def __init__(
        self,
        folder: Path,
        clock: Callable[[], int],
        *,
        keep_files: int = 64,
        most_file_bytes: int = MOST_FILE_BYTES,
    ) -> None:
        """`keep_files`: how many files there are at most; the oldest is deleted. Raises AuditError for a folder that
        cannot be written."""
        self._folder, self._clock = folder, clock
        self._keep, self._most = keep_files, most_file_bytes
        self._threads = threading.Lock()
        self._file, self._descriptor, self._size = Path(), -1, -1
        self._number, self._head, self._syncer = 0, START, Syncer()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise AuditError(f"{folder} cannot hold the audit log: {error.strerror}", hint="check its rights") from None

    @property
    def folder(self) -> Path:
        return self._folder

    def append(self, access: Access) -> None:
        """Raises AuditError when it cannot be written; then nothing may be answered."""
        with self._threads:
            try:
                with self._locked():
                    self._append(access)
            except OSError as error:
                self._forget()
                raise AuditError(f"the audit log cannot be written: {error.strerror}", hint="make room") from None

    def close(self) -> None:
        """What was written is on the disk."""
        with self._threads:
            self._syncer.close()
            self._forget()
            os.close(self._lock)

    def flush(self) -> None:
        """What was written so far is on the disk. Raises AuditError."""
        try:
            self._syncer.flush()
        except OSError as error:
            raise AuditError(f"the audit log cannot be written: {error.strerror}", hint="check the disk") from None

    def _append(self, access: Access) -> None:
        self._catch_up()
        moment = datetime.fromtimestamp(self._clock(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        line, digest = build_line(self._number + 1, moment, access, self._head)
        if self._size + len(line) + 1 > self._most and self._size:
            self._rotate()
        written = os.write(self._descriptor, line + b"\n")
        if written != len(line) + 1:
            os.ftruncate(self._descriptor, self._size)  # as it was: half an entry is none
            raise OSError(0, "the disk is full")
        self._number, self._head, self._size = self._number + 1, digest, self._size + written
        self._syncer.note(self._descriptor)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _catch_up(self) -> None:
        """To the last entry that is there, when another process wrote it."""
        files = list_files(self._folder)
        if not files:
            self._open(name_file(self._folder, 1))
            self._number, self._head = 0, START
            return
        if files[-1] != self._file:
            self._open(files[-1])
            self._size = -1
        size = os.fstat(self._descriptor).st_size
        if size == self._size:
            return
        line, end = read_last_line(self._file)
        if end != size:  # half a line, cut off by a power cut before its answer went out
            os.ftruncate(self._descriptor, end)
        self._size = end
        if line is not None:
            self._number, self._head = describe_line(line)
        elif len(files) > 1:
            last, _ = read_last_line(files[-2])
            if last is None:
                raise AuditError(f"{files[-2]} holds no entry", hint="verify the audit log")
            self._number, self._head = describe_line(last)

    def _rotate(self) -> None:
        self._open(name_file(self._folder, self._number + 1))
        for old in list_files(self._folder)[: -self._keep]:
            old.unlink()

    def _open(self, path: Path) -> None:
        self._forget()
        self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._file, self._size = path, os.fstat(self._descriptor).st_size

    def _forget(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._file, self._descriptor, self._size = Path(), -1, -1
