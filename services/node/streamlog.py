"""A stream's log on disk: appended to in frames, each durable before its entries are acknowledged.

Crash windows. A frame is written behind the last durable one and then synchronised; only the last frame can be torn,
because none is begun before the one in front of it is durable. On opening, a torn tail is set aside in a file of its
own and cut off: nothing of it was acknowledged. What is broken in front of a sound frame, or longer than any frame, is
no torn tail but damage, and is refused.

After a failed write or synchronisation the kernel may hold pages as clean that never reached the disk. So the tail is
cut off again, the file closed and opened anew, and the last frame read back, before anything else is appended.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ledger.errors import SettingsError, StoreDamagedError
from services.node.errors import LogError, LogFullError
from services.node.frames import (
    ENTRY_BYTES,
    FILE_HEADER_BYTES,
    FRAME_BYTES,
    MOST_BODY_BYTES,
    Frame,
    LogEntry,
    build_file_header,
    build_frame,
    holds_frame,
    parse_entry,
    parse_file_header,
    parse_frame,
)

__all__ = ["LogPosition", "StreamLog", "explain_failure", "sync_folder"]

_MOST_FRAME_BYTES = FRAME_BYTES + MOST_BODY_BYTES
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_HINT = "stop the node, keep the file, and restore it from the latest backup (services/node/OPERATIONS.md)"


@dataclass(frozen=True, slots=True)
class LogPosition:
    """A position between two frames."""

    offset: int
    index: int
    """Entries before it."""
    digest: bytes
    """Of what is before it."""

    def behind(self, frame: Frame) -> LogPosition:
        """The position behind a frame that begins here."""
        return LogPosition(self.offset + frame.size, self.index + len(frame.entries), frame.digest)


class StreamLog:
    """The one writer of a file, which may be read meanwhile. `sync` makes written data durable (fdatasync(2))."""

    def __init__(
        self,
        path: Path,
        stream: bytes,
        *,
        known: LogPosition | None = None,
        sync: Callable[[int], None] = os.fdatasync,
    ) -> None:
        """Opens the log, or begins it. Raises StoreDamagedError when entries in its middle are broken, SettingsError
        when it is of another stream or cannot be opened. `known`: a position up to which it was read before; where the
        log has the same digest there, what is in front of it is not read again."""
        self.path = path
        self._sync = sync
        self._broken = False
        try:
            if not path.exists():
                _begin(path, stream)
            self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise SettingsError(f"{path} cannot be opened: {error.strerror}", hint="see to the data folder") from error
        header = parse_file_header(os.pread(self._file, FILE_HEADER_BYTES, 0))
        if header is None:
            raise StoreDamagedError(f"{path} is no log, or damaged before its first entry", hint=_HINT)
        if header.stream != stream:
            raise SettingsError(
                f"{path} is the log of stream 0x{header.stream.hex()}", hint="name the folder that holds this one's"
            )
        self._marker = header.marker
        self.start = LogPosition(FILE_HEADER_BYTES, 0, header.digest)
        self.end = self.start if known is None or not self.holds(known) else known
        """Behind the last durable frame. Replaced, never changed, so that threads can share it."""
        self._last_bytes = 0
        """Size of the last durable frame."""
        self.torn_bytes = self._find_end()
        """Bytes that were set aside when the log was opened."""

    def append(self, entries: Sequence[LogEntry]) -> int:
        """Makes entries durable, all or none, and gives the index of the first. Raises LogFullError or LogError; then
        none of them is in the log, whatever the disk holds."""
        if self._broken:
            self._recover()
        frame = build_frame(self._marker, self.end.digest, self.end.index, entries)
        try:
            self._write(frame)
            self._sync(self._file)
        except OSError as error:
            self._broken = True
            raise explain_failure(self.path.name, error) from error
        first = self.end.index
        self.end = LogPosition(self.end.offset + len(frame), first + len(entries), frame[-16:])
        self._last_bytes = len(frame)
        return first

    def holds(self, position: LogPosition) -> bool:
        """Whether the log is, up to this position, the one in which it was noted."""
        if position.offset <= self.start.offset:
            return position == self.start
        digest = os.pread(self._file, len(position.digest), position.offset - len(position.digest))
        return digest == position.digest

    def frames(self, position: LogPosition) -> Iterator[Frame]:
        """Durable frames from `position` on, up to the end as it is now. Raises StoreDamagedError."""
        end = self.end
        while position.offset < end.offset:
            frame = self._read(position)
            if frame is None:
                raise self._damaged(position)
            position = position.behind(frame)
            yield frame

    def entry(self, offset: int) -> LogEntry | None:
        """The durable entry that begins at `offset`, as somebody noted; None where none can."""
        head = os.pread(self._file, ENTRY_BYTES, offset)
        size = ENTRY_BYTES + int.from_bytes(head[:4], "big")
        return parse_entry(_read_all(self._file, size, offset)) if offset + size <= self.end.offset else None

    def close(self) -> None:
        os.close(self._file)

    def _write(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            at += os.pwrite(self._file, data[at:], self.end.offset + at)

    def _recover(self) -> None:
        """Back to the last durable frame, on a newly opened file. Raises LogError while that does not work."""
        try:
            fresh = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
            os.dup2(fresh, self._file, inheritable=False)  # at once, under a thread that reads
            os.close(fresh)
            os.ftruncate(self._file, self.end.offset)
            self._sync(self._file)
        except OSError as error:
            raise explain_failure(self.path.name, error) from error
        if self._last_bytes:
            data = os.pread(self._file, self._last_bytes, self.end.offset - self._last_bytes)
            frame = parse_frame(data, 0, self._marker)
            if frame is None or frame.digest != self.end.digest:
                raise LogError(f"{self.path} does not hold its last entries any more", hint=_HINT)
        self._broken = False

    # Opening

    def _find_end(self) -> int:
        size = os.fstat(self._file).st_size
        while (frame := self._read(self.end)) is not None:
            self.end = self.end.behind(frame)
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
        if length > MOST_BODY_BYTES:
            return None
        frame = parse_frame(
            _read_all(self._file, FRAME_BYTES + length, position.offset), 0, self._marker, position.digest
        )
        return frame if frame is not None and frame.first == position.index else None

    def _set_aside(self, torn: int) -> None:
        if torn > _MOST_FRAME_BYTES:
            raise self._damaged(self.end)
        data = _read_all(self._file, torn, self.end.offset)
        if holds_frame(data, self._marker):
            raise self._damaged(self.end)
        aside = self.path.with_name(f"{self.path.name}.torn-{self.end.offset}")
        try:
            aside.write_bytes(data)
            os.ftruncate(self._file, self.end.offset)
            self._sync(self._file)
        except OSError as error:
            raise SettingsError(
                f"{self.path} cannot be mended: {error.strerror}", hint="make room on the disk"
            ) from error

    def _damaged(self, position: LogPosition) -> StoreDamagedError:
        last = f"the last good entry is {position.index - 1}" if position.index else "no entry before it is good"
        return StoreDamagedError(f"{self.path} is damaged at byte {position.offset}; {last}", hint=_HINT)


def _begin(path: Path, stream: bytes) -> None:
    """The file appears with its whole header, or not at all."""
    draft = path.with_name(f".{path.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, build_file_header(stream, secrets.token_bytes(16)))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    draft.replace(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Makes the names in a folder durable. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_all(descriptor: int, size: int, offset: int) -> bytes:
    """Fewer bytes only where the file ends."""
    parts, at = [], 0
    while at < size and (part := os.pread(descriptor, size - at, offset + at)):
        parts.append(part)
        at += len(part)
    return b"".join(parts)


def explain_failure(name: str, error: OSError) -> LogError:
    """What the sender of a batch is told."""
    kind = LogFullError if error.errno in _FULL else LogError
    hint = "make room on the disk" if kind is LogFullError else "see to the disk"
    return kind(f"{name} did not take a batch: {error.strerror}", hint=f"{hint}, and send the batch again")
