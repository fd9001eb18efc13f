"""A stream's log on disk, written in frames, each durable before its entries are acknowledged.

Crash windows. A frame is written after the last durable one and then synchronised. Only the last frame can be torn,
because a frame is begun only once the previous one is durable. On opening, a torn tail is saved to a separate file and
cut off: none of it was acknowledged. Invalid bytes before a valid frame, or more of them than the largest frame has,
are not a torn tail but damage, and the log is not opened.

After a failed write or fdatasync the kernel may mark pages as clean that never reached the disk. Before the next append
the file is therefore reopened, its tail cut off, and its last frame read back.

From the bytes up: the format, the log, the index that finds duplicates in it, and the commit of batches to both.
"""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
import queue
import secrets
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import msgspec

from millmark.ledger import evidence, files
from millmark.ledger.errors import MillmarkError, SettingsError, StoreDamagedError, StoreError
from millmark.services.node.events import Event, LogBusyError, LogError, LogFullError

# The byte format, which is built and parsed without I/O, is specified here.
#
# A file begins with a header: magic 16 | stream 32 | marker 16 | digest 16. Frames follow, one for each group commit:
#
#     marker 16 | previous digest 16 | first index 8 | entries 4 | body bytes 4 | body | digest 16
#
# A body is a sequence of entries: content bytes 4 | received at, ms since 1970, 8 | salt 32 | content, canonical JSON.
# Integers are big-endian. A digest is a 16-byte BLAKE2b (RFC 7693) over the header or frame up to the digest; a frame
# includes the digest of the frame before it, or of the header. Digests detect accidental damage. A rewrite of the whole
# file can be detected only by the anchors on the ledger.

_MAGIC = b"millmark.log.v1\0"
_DIGEST_BYTES = 16
_FILE = struct.Struct(">16s32s16s")
_HEAD = struct.Struct(">16s16sQII")
_ENTRY = struct.Struct(">IQ32s")
ENTRY_BYTES = _ENTRY.size
"""Size of an entry without its content."""
FILE_HEADER_BYTES = _FILE.size + _DIGEST_BYTES
FRAME_BYTES = _HEAD.size + _DIGEST_BYTES
"""Size of a frame without its body."""
MAX_BODY_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class FileHeader:
    stream: bytes
    """The stream's subject, 32 bytes."""
    marker: bytes
    """16 random bytes that begin every frame of this file. Senders do not know them, so no event can contain bytes that
    parse as a frame."""
    digest: bytes


class LogEntry(NamedTuple):
    """One stored event. A named tuple rather than a dataclass, because one is created for each event written or
    read."""

    received_at_ms: int
    """The node's clock when it received the event, milliseconds since 1970. Not evidence of when the event happened."""
    salt: bytes
    """Salt of the evidence leaf, 32 bytes."""
    content: bytes
    """Canonical JSON of the event."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The entries of one group commit."""

    first: int
    """Index of the first entry in the stream's Merkle tree."""
    entries: tuple[LogEntry, ...]
    digest: bytes
    size: int
    """Size of the frame in bytes, including head and digest."""


def body_bytes(contents: Sequence[bytes]) -> int:
    """Size in bytes of a body with these contents."""
    return ENTRY_BYTES * len(contents) + sum(map(len, contents))


def entry_offsets(at: int, entries: Sequence[LogEntry]) -> list[int]:
    """Byte offsets in the file of the entries of a frame that begins at offset `at`."""
    sizes = [ENTRY_BYTES + len(content) for _, _, content in entries]
    return list(accumulate(sizes[:-1], initial=at + _HEAD.size))


def build_file_header(stream: bytes, marker: bytes) -> bytes:
    head = _FILE.pack(_MAGIC, stream, marker)
    return head + _digest(head)


def parse_file_header(data: bytes) -> FileHeader | None:
    """Parses the first `FILE_HEADER_BYTES` of a file; None if they are not a valid header."""
    if len(data) != FILE_HEADER_BYTES or data[_FILE.size :] != _digest(data[: _FILE.size]):
        return None
    magic, stream, marker = _FILE.unpack(data[: _FILE.size])
    return FileHeader(stream, marker, data[_FILE.size :]) if magic == _MAGIC else None


def build_frame(marker: bytes, previous: bytes, first: int, entries: Sequence[LogEntry]) -> bytes:
    """Builds a frame. `previous` is the digest of the frame before it, or of the file's header."""
    pack = _ENTRY.pack
    body = b"".join([pack(len(content), at_ms, salt) + content for at_ms, salt, content in entries])
    framed = _HEAD.pack(marker, previous, first, len(entries), len(body)) + body
    return framed + _digest(framed)


def parse_frame(data: bytes, at: int, marker: bytes, previous: bytes | None = None) -> Frame | None:
    """Parses the frame that begins at `at`; None if it is incomplete or damaged.

    `previous` is the digest that the frame must refer to; None accepts any.
    """
    if len(data) - at < FRAME_BYTES:
        return None
    found, before, first, count, length = _HEAD.unpack_from(data, at)
    end = at + _HEAD.size + length
    if found != marker or length > MAX_BODY_BYTES or end + _DIGEST_BYTES > len(data):
        return None
    # The bounds were checked above: the length is not trustworthy until the digest has been verified.
    digest = data[end : end + _DIGEST_BYTES]
    if digest != _digest(memoryview(data)[at:end]) or previous not in (None, before):
        return None
    entries = _parse_body(data[at + _HEAD.size : end])
    # The digest covers the count, so a difference comes from a faulty writer, not from damage.
    return Frame(first, entries, digest, end + _DIGEST_BYTES - at) if len(entries) == count else None


def holds_frame(data: bytes, marker: bytes) -> bool:
    """Whether `data` contains a valid frame at any offset, whatever its predecessor."""
    at = data.find(marker)
    # Digests are computed only where the marker occurs, which in other bytes happens by chance with odds of 2**-128.
    while at != -1:
        if parse_frame(data, at, marker) is not None:
            return True
        at = data.find(marker, at + 1)
    return False


def parse_entry(data: bytes) -> LogEntry | None:
    """Parses the entry at the start of `data`; None if it is cut off. Does not verify a digest."""
    if len(data) < ENTRY_BYTES:
        return None
    length, received_at_ms, salt = _ENTRY.unpack_from(data)
    content = data[ENTRY_BYTES : ENTRY_BYTES + length]
    return LogEntry(received_at_ms, salt, content) if len(content) == length else None


def _parse_body(body: bytes) -> tuple[LogEntry, ...]:
    """Parses all entries of a body whose frame's digest has been verified."""
    entries, at, unpack, new = [], 0, _ENTRY.unpack_from, tuple.__new__
    last = len(body) - ENTRY_BYTES
    while at <= last:
        length, received_at_ms, salt = unpack(body, at)
        at += ENTRY_BYTES + length
        # What LogEntry(...) does, without its call, which takes as long as all the rest.
        entries.append(new(LogEntry, (received_at_ms, salt, body[at - length : at])))
    return tuple(entries)


def _digest(data: bytes | memoryview) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()


_MAX_FRAME_BYTES = FRAME_BYTES + MAX_BODY_BYTES
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
        frames before it are not read and verified again. Raises StoreDamagedError if the log is damaged other than by a
        torn tail, SettingsError if it belongs to another stream or cannot be opened."""
        self.path, self._sync = path, sync
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
        """Makes entries durable, all or none, and returns the index of the first. Raises LogFullError or LogError; then
        none of them is in the log, even if their bytes are on the disk."""
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
            named = files.is_named(self.path, os.fstat(self._file))
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
    files.replace_file(draft, path)


def _read_all(descriptor: int, size: int, offset: int) -> bytes:
    """Reads `size` bytes at `offset`; fewer only at the end of the file."""
    parts, at = [], 0
    while at < size and (part := os.pread(descriptor, size - at, offset + at)):
        parts.append(part)
        at += len(part)
    return b"".join(parts)


def explain_failure(name: str, error: OSError) -> LogError:
    """The LogError for a failed disk operation, as the sender of a batch sees it. `name`: file or part that failed."""
    kind = LogFullError if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else LogError
    hint = "free space on the disk" if kind is LogFullError else "check the disk"
    return kind(f"{name} could not store the batch: {error.strerror}", hint=f"{hint}, then send the batch again")


# Dedup index of a stream's log: finds an event by its id, so that an event sent again is recognised as a duplicate.
#
# The index is a file beside the log and can always be rebuilt from it. It is written after the log is durable and never
# synchronised to disk: a killed process can leave it behind the log but never ahead, and after a reboot it is not
# trusted.
#
# The file holds hash tables that are mapped into memory, since a database lookup would cost several times as much as
# the rest of an event's processing. A slot has 8 bytes: 0 if empty, otherwise the upper 20 bits of the id's hash
# followed by a 44-bit byte offset of the entry in the log, where the id itself is compared. When a table is half full,
# one of four times the size is appended; slots never move. Blocks are allocated before they are mapped, so that a full
# disk raises an error instead of killing the process. A page that the disk fails to read does kill it; the next start
# reads the whole file first and begins a new one if that fails.

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_INDEX_MAGIC = b"millmark.known.1"
_HEADER = struct.Struct(">16s16s16sQQ16s")
_HEADER_BYTES = 64 << 10
"""Tables begin here. The largest page size of any platform, because a mapping must begin at a page boundary."""
_FIRST_SLOTS = 1 << 20
_GROWTH = 4
_SLOT_BYTES = 8
_OFFSET_BITS = 44
_OFFSETS = (1 << _OFFSET_BITS) - 1
_READ_BYTES = 1 << 20


class _Named(msgspec.Struct):
    """The one member of an event that the index reads; msgspec skips the others."""

    id: str


_named = msgspec.json.Decoder(_Named).decode


class _Table:
    """One hash table: `count` slots of the file, mapped into memory. `count` is a power of two."""

    def __init__(self, file: int, offset: int, count: int) -> None:
        """Raises OSError if the disk has no room."""
        # Writing to a mapped page without a block behind it would raise SIGBUS, which cannot be handled here.
        os.posix_fallocate(file, offset, count * _SLOT_BYTES)
        self._map = mmap.mmap(file, count * _SLOT_BYTES, offset=offset)
        self.slots = memoryview(self._map).cast("Q")
        self.mask = count - 1

    def close(self) -> None:
        self.slots.release()
        self._map.close()


class DedupIndex:
    """Ids of the events in one log. Not thread-safe: used only by the thread that writes the log."""

    def __init__(self, path: Path, log: StreamLog) -> None:
        """Opens or rebuilds the index and adds what the log has beyond it. Raises StoreDamagedError if the index has
        entries that the log lacks (they were acknowledged, so the log has lost data), and StoreError if the file cannot
        be written."""
        # Keyed with a digest of the log's random marker: a sender cannot choose ids that collide and make every lookup
        # slow.
        self._log = log
        self._hasher = hashlib.blake2b(digest_size=_SLOT_BYTES, key=log.start.digest)
        self._hashes: dict[str, int] = {}
        """Hashes from the latest `find`, which `add` usually needs next."""
        self._tables: list[_Table] = []
        self._room = 0
        """Number of entries that fit into the tables at half load."""
        self._boot = _boot_digest()
        position = _read_position(path, log, self._boot)
        if position is not None and position.index > log.end.index:
            raise StoreDamagedError(
                f"{log.path} has {log.end.index} entries, but {position.index} were acknowledged",
                hint="restore the log from the latest backup or its .torn file, or remove "
                f"{path} to continue without the missing entries",
            )
        self._behind = log.start if position is None else position
        try:
            if position is None:
                path.unlink(missing_ok=True)
            # A discarded index is removed, not overwritten: all slots of a new file are zero.
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.posix_fallocate(self._file, 0, _HEADER_BYTES)
            self._header = mmap.mmap(self._file, _HEADER_BYTES)
            while self._room <= self._behind.index:
                self._grow()
            self.catch_up()
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error}", hint="check the disk of the data folder") from error

    def find(self, ids: Iterable[str]) -> dict[str, bytes]:
        """The content of each event in the log whose id is among `ids`, by id. Raises OSError."""
        self.catch_up()
        found: dict[str, bytes] = {}
        self._hashes = {identity: self._hash(identity) for identity in ids}
        # Every table is searched: entries stay in the table that was the last one when they were added.
        tables = [(table.slots, table.mask) for table in self._tables]
        for identity, number in self._hashes.items():
            for slots, mask in tables:
                at = number & mask
                # Linear probing. It ends because tables are at most half full and slots are never cleared.
                while held := slots[at]:
                    if held >> _OFFSET_BITS == number >> _OFFSET_BITS:
                        content = self._content(held & _OFFSETS, identity)
                        if content is not None:  # else another id with the same 20 bits
                            found[identity] = content
                    at = (at + 1) & mask
        return found

    def catch_up(self) -> None:
        """Adds what the log has beyond the index. Raises OSError; what was indexed before stays indexed."""
        if self._behind.offset == self._log.end.offset:
            return
        for frame in self._log.frames(self._behind):
            self.add([_named(entry.content).id for entry in frame.entries], frame.entries, self._behind.after(frame))

    def add(self, ids: Sequence[str], entries: Sequence[LogEntry], position: LogPosition) -> None:
        """Adds the frame that ends at `position`. Raises OSError; the next `find` then adds it from the log."""
        # A process killed before the header is written adds the same frame again at its next start. That finds its
        # slots filled with the same values, so adding is idempotent.
        table, hashes = self._tables[-1], self._hashes
        offsets = entry_offsets(self._behind.offset, entries)
        for index, (identity, offset) in enumerate(zip(ids, offsets, strict=True), self._behind.index):
            if index >= self._room:
                table = self._grow()
            slots, mask = table.slots, table.mask
            number = hashes.get(identity) or self._hash(identity)
            # Never 0, the mark of an empty slot: the first entry begins behind the file's header.
            value = number >> _OFFSET_BITS << _OFFSET_BITS | offset
            at = number & mask
            while (held := slots[at]) and held != value:
                at = (at + 1) & mask
            slots[at] = value
        self._behind = position
        # After the slots: the header never claims an entry whose slot was not written.
        packed = _HEADER.pack(
            _INDEX_MAGIC, self._boot, self._log.start.digest, position.offset, position.index, position.digest
        )
        self._header[: len(packed) + _DIGEST_BYTES] = packed + _digest(packed)

    def close(self) -> None:
        for table in self._tables:
            table.close()
        self._header.close()
        os.close(self._file)

    def _grow(self) -> _Table:
        """Appends a table for the entries to come. Raises OSError if the disk has no room."""
        table = _Table(self._file, _tables_end(self._room), _FIRST_SLOTS * _GROWTH ** len(self._tables))
        self._tables.append(table)
        self._room += len(table.slots) // 2
        return table

    def _hash(self, identity: str) -> int:
        hasher = self._hasher.copy()
        hasher.update(identity.encode())
        return int.from_bytes(hasher.digest(), "big")

    def _content(self, offset: int, identity: str) -> bytes | None:
        """Content of the entry at a byte offset; None if the entry has another id."""
        entry = self._log.entry(offset)
        try:
            return entry.content if entry is not None and _named(entry.content).id == identity else None
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None  # a damaged slot, whose offset is not the start of an entry


def _read_position(path: Path, log: StreamLog, boot: bytes) -> LogPosition | None:
    """The log position up to which the index is valid.

    None if the file is missing, unreadable, incomplete, or was written for another log or before the latest boot.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEADER.size + _DIGEST_BYTES)
            size = len(head)
            # Read to the end: a block that the disk cannot read raises OSError here, but SIGBUS once it is mapped.
            while part := file.read(_READ_BYTES):
                size += len(part)
    except OSError:
        return None
    packed, digest = head[: _HEADER.size], head[_HEADER.size :]
    if len(packed) < _HEADER.size or digest != _digest(packed):
        return None
    magic, written_in, beginning, offset, index, position_digest = _HEADER.unpack(packed)
    found = LogPosition(offset, index, position_digest)
    if (magic, beginning) != (_INDEX_MAGIC, log.start.digest):
        return None
    # Before the checks of boot and size, which a file that is ahead of its log may well fail: the caller refuses to
    # start rather than lose acknowledged entries silently.
    if found.index > log.end.index:
        return found
    whole = written_in == boot and size >= _tables_end(found.index) and log.holds(found)
    return found if whole else None


def _tables_end(entries: int) -> int:
    """Size in bytes of a file whose tables have room for `entries` entries."""
    room, slots, end = 0, _FIRST_SLOTS, _HEADER_BYTES
    while room < entries:
        room, slots, end = room + slots // 2, slots * _GROWTH, end + slots * _SLOT_BYTES
    return end


def _boot_digest() -> bytes:
    try:
        return _digest(_BOOT_ID.read_bytes())
    except OSError:
        return os.urandom(_DIGEST_BYTES)  # matches no file, so every start rebuilds the index


# Group commit: all batches that arrive during one fdatasync are written as the next frame, with one fdatasync.

_MAX_WAITING_BYTES = 4 * MAX_BODY_BYTES


@dataclass(slots=True)
class Outcome:
    """The result of committing a batch."""

    first: int
    """Index in the stream's Merkle tree of the first accepted event; the other accepted ones follow it."""
    accepted: int = 0
    """Number of events made durable by this commit."""
    duplicates: int = 0
    """Number of events that the log already had."""
    conflicts: list[int] = field(default_factory=list)
    """Positions in the batch of events whose id belongs to an event with other content. They are not stored."""
    salts: list[tuple[int, bytes]] = field(default_factory=list)
    """Position in the batch, and salt, of each accepted event."""

    def leaves(self) -> list[int]:
        """Index of the first and of the last accepted event; empty if there is none."""
        return [self.first, self.first + self.accepted - 1] if self.accepted else []


@dataclass(slots=True)
class _Batch:
    events: Sequence[Event]
    size: int
    received_at_ms: int
    done: Future[Outcome] = field(default_factory=Future)


class Committer:
    """Writes one stream's log in a thread of its own. `on_frame` is called after each frame with its number of
    entries."""

    def __init__(
        self, log: StreamLog, dedup_index: DedupIndex, on_frame: Callable[[int], None] = lambda _: None
    ) -> None:
        self._log, self._dedup_index, self._on_frame = log, dedup_index, on_frame
        self._waiting: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting_bytes = 0
        self._left: _Batch | None = None
        self._stopping = False
        self.failure: MillmarkError | None = None
        """Why the latest commit failed; None if it succeeded."""
        self._thread = threading.Thread(target=self._run, name="millmark-log", daemon=True)
        self._thread.start()

    def submit(self, events: Sequence[Event]) -> Future[Outcome]:
        """Queues a batch. The future yields the outcome once all accepted events are durable, or raises LogError if
        none is acknowledged. Raises LogBusyError if too many bytes are waiting or the batch exceeds a frame, LogError
        after `stop`."""
        batch = _Batch(events, body_bytes([event.content for event in events]), time.time_ns() // 1_000_000)
        if batch.size > MAX_BODY_BYTES:
            raise LogBusyError("the batch is larger than a frame of the log", hint="send smaller batches")
        with self._lock:
            if self._stopping:
                raise LogError("the node is stopping", hint="send the batch again later")
            # A batch that fits into a frame is always accepted when nothing is waiting.
            if self._waiting_bytes and self._waiting_bytes + batch.size > _MAX_WAITING_BYTES:
                raise LogBusyError("the disk cannot keep up", hint="send the batch again in a second")
            self._waiting_bytes += batch.size
            self._waiting.put(batch)
        return batch.done

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs, without which no batch gets an outcome."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Refuses further batches, and returns once every submitted one has its outcome."""
        with self._lock:  # so that no batch is queued behind the end marker, where nobody would read it
            self._stopping = True
            self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while batches := self._take():
            try:
                outcomes = self._commit(batches)
            except BaseException as error:  # the thread must survive anything, and every sender needs an answer
                self.failure = _explain(error)
                for batch in batches:
                    if batch.done.set_running_or_notify_cancel():  # a sender may have cancelled its future
                        batch.done.set_exception(self.failure)
            else:
                for batch, found in zip(batches, outcomes, strict=True):
                    if batch.done.set_running_or_notify_cancel():
                        batch.done.set_result(found)
            # Released after the commit, so that the bound covers the batches being written too.
            with self._lock:
                self._waiting_bytes -= sum(batch.size for batch in batches)

    def _take(self) -> list[_Batch]:
        """Waits for a batch, then adds the other waiting batches that fit into one frame. Empty when stopping."""
        first = self._left or self._waiting.get()
        self._left = None
        if first is None:
            return []
        taken, size = [first], first.size
        while not self._waiting.empty():
            batch = self._waiting.get()
            if batch is None:
                self._waiting.put(None)  # the marker is read again after these batches are committed
                break
            if size + batch.size > MAX_BODY_BYTES:
                self._left = batch  # first of the next frame: a queue cannot take it back at its front
                break
            taken.append(batch)
            size += batch.size
        return taken

    def _commit(self, batches: Sequence[_Batch]) -> list[Outcome]:
        known = self._dedup_index.find([event.id for batch in batches for event in batch.events])
        ids: list[str] = []
        entries: list[LogEntry] = []
        outcomes = []
        # Nobody else writes to the log or the index, so no event can be added between the lookup and the append.
        for batch in batches:
            outcome = Outcome(self._log.end.index + len(entries))
            salts = secrets.token_bytes(evidence.SALT_BYTES * len(batch.events))
            for position, (identity, _, content) in enumerate(batch.events):
                before = known.get(identity)
                if before is None:
                    # An id may occur twice in one frame; the second is then a duplicate or a conflict of the first.
                    known[identity] = content
                    ids.append(identity)
                    salt = salts[evidence.SALT_BYTES * position : evidence.SALT_BYTES * (position + 1)]
                    outcome.salts.append((position, salt))
                    entries.append(LogEntry(batch.received_at_ms, salt, content))
                elif before == content:
                    outcome.duplicates += 1
                else:
                    outcome.conflicts.append(position)
            outcome.accepted = self._log.end.index + len(entries) - outcome.first
            outcomes.append(outcome)
        if entries:
            # One fdatasync for all batches. If it fails, every batch gets the error: also those with duplicates alone,
            # whose senders just repeat them.
            self._log.append(entries)
            self.failure = None
            self._index(ids, entries)
        return outcomes

    def _index(self, ids: Sequence[str], entries: Sequence[LogEntry]) -> None:
        """Adds durable entries to the dedup index. A failure does not fail the batch: the next lookup adds the entries
        from the log."""
        try:
            self._dedup_index.add(ids, entries, self._log.end)
        except OSError as error:
            self.failure = _explain(error)
        self._on_frame(len(entries))


def _explain(error: BaseException) -> MillmarkError:
    if isinstance(error, MillmarkError):
        return error
    if isinstance(error, OSError):
        return explain_failure("the dedup index", error)
    return LogError("the log failed unexpectedly", hint="see the node's standard error")
