"""A stream's log on disk, written in frames, each durable before its entries are acknowledged.

Crash windows. A frame is written after the last durable one and then synchronised. Only the last frame can be torn,
because a frame is begun only once the previous one is durable. On opening, a torn tail is saved to a separate file and
cut off: none of it was acknowledged. Invalid bytes before a valid frame, or more of them than the largest frame has,
are not a torn tail but damage, and the log is not opened.

After a failed write or fdatasync the kernel may mark pages as clean that never reached the disk. Before the next append
the file is therefore reopened, its tail cut off, and its last frame read back.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from millmark.ledger.errors import SettingsError, StoreDamagedError
from millmark.ledger.files import is_named, replace_file
from millmark.services.node.errors import LogError, LogFullError
from millmark.services.node.frames import (
    ENTRY_BYTES,
    FILE_HEADER_BYTES,
    FRAME_BYTES,
    MAX_BODY_BYTES,
    Frame,
    LogEntry,
    build_file_header,
    build_frame,
    holds_frame,
    parse_entry,
    parse_file_header,
    parse_frame,
)

_MAX_FRAME_BYTES = FRAME_BYTES + MAX_BODY_BYTES
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_HINT = "stop the node, keep the file, and restore it from the latest backup (services/node/OPERATIONS.md)"
_HINT_MOVED = "stop the node, put the file back, and start again; the sender keeps the batch"


@dataclass(frozen=True, slots=True)
class LogPosition:
    """A position between two frames."""

    offset: int
    index: int
    """Number of entries before it."""
    digest: bytes
    """Digest of the frame before it, or of the file's header. Chains everything before the position."""

    def after(self, frame: Frame) -> LogPosition:
        """The position after a frame that begins here."""
        return LogPosition(self.offset + frame.size, self.index + len(frame.entries), frame.digest)


class StreamLog:
    """A log file. One thread appends; others may read meanwhile. `sync` makes written data durable (fdatasync(2))."""

    def __init__(
        self,
        path: Path,
        stream: bytes,
        *,
        known: LogPosition | None = None,
        sync: Callable[[int], None] = os.fdatasync,
    ) -> None:
        """Opens the log or creates it. `known`: a position from an earlier run; if the log has the same digest there,
        frames before it are not read and verified again.

        Raises StoreDamagedError if the log is damaged other than by a torn tail, SettingsError if it belongs to another
        stream or cannot be opened.
        """
        self.path = path
        self._sync = sync
        self._broken = False
        try:
            if not path.exists():
                _begin(path, stream)
            self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise SettingsError(f"{path} cannot be opened: {error.strerror}", hint="check the data folder") from error
        header = parse_file_header(os.pread(self._file, FILE_HEADER_BYTES, 0))
        if header is None:
            raise StoreDamagedError(f"{path} is not a log, or is damaged before its first entry", hint=_HINT)
        if header.stream != stream:
            raise SettingsError(
                f"{path} is the log of stream 0x{header.stream.hex()}",
                hint="correct the subject or the data_folder",
            )
        self._marker = header.marker
        self.start = LogPosition(FILE_HEADER_BYTES, 0, header.digest)
        self.end = self.start if known is None or not self.holds(known) else known
        """Position after the last durable frame. The object is immutable and replaced as a whole, so other threads can
        read it without a lock."""
        self._last_bytes = 0
        """Size of the last durable frame."""
        self.torn_bytes = self._find_end()
        """Size in bytes of the torn tail that was cut off when the log was opened."""

    def append(self, entries: Sequence[LogEntry]) -> int:
        """Makes entries durable, all or none, and returns the index of the first.

        Raises LogFullError or LogError; then none of them is in the log, even if their bytes are on the disk.
        """
        self._verify_named()
        if self._broken:
            self._recover()
        frame = build_frame(self._marker, self.end.digest, self.end.index, entries)
        try:
            self._write(frame)
            self._sync(self._file)
        except OSError as error:
            # `end` stays, so readers never see the frame. It is removed before the next append, not here, where the
            # disk has just failed.
            self._broken = True
            raise explain_failure(self.path.name, error) from error
        first = self.end.index
        # Only now visible to readers: what they read, and anchor, is durable.
        self.end = LogPosition(self.end.offset + len(frame), first + len(entries), frame[-16:])
        self._last_bytes = len(frame)
        return first

    def holds(self, position: LogPosition) -> bool:
        """Whether the log has the position's digest at its offset, and so the same content before it. Does not
        establish that those frames are undamaged, since they are not read."""
        if position.offset <= self.start.offset:
            return position == self.start
        digest = os.pread(self._file, len(position.digest), position.offset - len(position.digest))
        return digest == position.digest

    def frames(self, position: LogPosition) -> Iterator[Frame]:
        """Yields the durable frames from `position` up to the end at the time of the call. Raises StoreDamagedError."""
        end = self.end
        while position.offset < end.offset:
            frame = self._read(position)
            if frame is None:
                raise self._damaged(position)
            position = position.after(frame)
            yield frame

    def entry(self, offset: int) -> LogEntry | None:
        """The durable entry at a byte offset obtained earlier; None if no entry can start there. The entry's frame is
        not verified."""
        head = os.pread(self._file, ENTRY_BYTES, offset)
        size = ENTRY_BYTES + int.from_bytes(head[:4], "big")
        return parse_entry(_read_all(self._file, size, offset)) if offset + size <= self.end.offset else None

    def close(self) -> None:
        os.close(self._file)

    def _verify_named(self) -> None:
        """Raises LogError if the file is not at its path any more: what was written to it would be gone with this
        process, and `_recover` would cut off another file."""
        try:
            named = is_named(self.path, os.fstat(self._file))
        except OSError as error:
            raise explain_failure(self.path.name, error) from error
        if not named:
            raise LogError(f"{self.path.name} was removed or replaced while it was in use", hint=_HINT_MOVED)

    def _write(self, data: bytes) -> None:
        # At the offset of the last durable frame's end, not the file's: a failed append may have left bytes there.
        at = 0
        while at < len(data):
            at += os.pwrite(self._file, data[at:], self.end.offset + at)

    def _recover(self) -> None:
        """Reopens the file and cuts it off after the last durable frame. Raises LogError as long as that fails."""
        # fdatasync reports a lost write only once; after that it succeeds although the pages never reached the disk. A
        # second fdatasync therefore proves nothing, and the tail has to be written again from scratch.
        try:
            fresh = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
            os.dup2(fresh, self._file, inheritable=False)  # atomic: other threads read from this descriptor meanwhile
            os.close(fresh)
            os.ftruncate(self._file, self.end.offset)
            self._sync(self._file)
        except OSError as error:
            raise explain_failure(self.path.name, error) from error
        if self._last_bytes:
            # The failed write may have shared a page with the end of the last durable frame.
            data = os.pread(self._file, self._last_bytes, self.end.offset - self._last_bytes)
            frame = parse_frame(data, 0, self._marker)
            if frame is None or frame.digest != self.end.digest:
                raise LogError(f"{self.path} has lost its latest entries", hint=_HINT)
        self._broken = False

    # Opening

    def _find_end(self) -> int:
        """Reads frames to the last valid one and cuts off a torn tail. Returns the tail's size in bytes."""
        size = os.fstat(self._file).st_size
        while (frame := self._read(self.end)) is not None:
            self.end = self.end.after(frame)
            self._last_bytes = frame.size
        torn = size - self.end.offset
        if torn:
            self._set_aside(torn)
        return torn

    def _read(self, position: LogPosition) -> Frame | None:
        head = os.pread(self._file, FRAME_BYTES, position.offset)
        if len(head) < FRAME_BYTES:
            return None
        length = int.from_bytes(head[44:48], "big")
        if length > MAX_BODY_BYTES:  # a damaged length must not make the node read gigabytes
            return None
        frame = parse_frame(
            _read_all(self._file, FRAME_BYTES + length, position.offset), 0, self._marker, position.digest
        )
        return frame if frame is not None and frame.first == position.index else None

    def _set_aside(self, torn: int) -> None:
        """Saves a torn tail to a file of its own and cuts it off. Raises StoreDamagedError if it is not a torn tail."""
        if torn > _MAX_FRAME_BYTES:
            raise self._damaged(self.end)
        data = _read_all(self._file, torn, self.end.offset)
        # A valid frame was acknowledged, so the bytes before it are damage, and cutting off would lose entries.
        if holds_frame(data, self._marker):
            raise self._damaged(self.end)
        aside = self.path.with_name(f"{self.path.name}.torn-{self.end.offset}")
        try:
            aside.write_bytes(data)  # not synchronised: it helps an investigation, and nothing depends on it
            os.ftruncate(self._file, self.end.offset)
            self._sync(self._file)
        except OSError as error:
            raise SettingsError(
                f"cannot cut off the torn tail of {self.path}: {error.strerror}", hint="free space on the disk"
            ) from error

    def _damaged(self, position: LogPosition) -> StoreDamagedError:
        last = f"the last good entry is {position.index - 1}" if position.index else "no entry before it is good"
        return StoreDamagedError(f"{self.path} is damaged at byte {position.offset}; {last}", hint=_HINT)


def _begin(path: Path, stream: bytes) -> None:
    """Creates a log with its header, atomically: after a crash the file is complete or absent."""
    draft = path.with_name(f".{path.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, build_file_header(stream, secrets.token_bytes(16)))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    replace_file(draft, path)


def _read_all(descriptor: int, size: int, offset: int) -> bytes:
    """Reads `size` bytes at `offset`; fewer only at the end of the file."""
    parts, at = [], 0
    while at < size and (part := os.pread(descriptor, size - at, offset + at)):
        parts.append(part)
        at += len(part)
    return b"".join(parts)


def explain_failure(name: str, error: OSError) -> LogError:
    """The LogError for a failed disk operation, as the sender of a batch sees it. `name`: file or part that failed."""
    kind = LogFullError if error.errno in _FULL else LogError
    hint = "free space on the disk" if kind is LogFullError else "check the disk"
    return kind(f"{name} could not store the batch: {error.strerror}", hint=f"{hint}, then send the batch again")
