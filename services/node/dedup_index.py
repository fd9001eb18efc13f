"""Dedup index of a stream's log: finds an event by its id, so that an event sent again is recognised as a duplicate.

The index is a file beside the log and can always be rebuilt from it. It is written after the log is durable and never
synchronised to disk: a killed process can leave it behind the log but never ahead, and after a reboot it is not
trusted.

The file holds hash tables that are mapped into memory, since a database lookup would cost several times as much as the
rest of an event's processing. A slot has 8 bytes: 0 if empty, otherwise the upper 20 bits of the id's hash followed by
a 44-bit byte offset of the entry in the log, where the id itself is compared. When a table is half full, one of four
times the size is appended; slots never move. Blocks are allocated before they are mapped, so that a full disk raises an
error instead of killing the process. A page that the disk fails to read does kill it; the next start reads the whole
file first and begins a new one if that fails.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from millmark.ledger.errors import StoreDamagedError, StoreError
from millmark.services.node.frames import LogEntry, entry_offsets
from millmark.services.node.streamlog import LogPosition, StreamLog

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MAGIC = b"millmark.known.1"
_HEADER = struct.Struct(">16s16s16sQQ16s")
_DIGEST_BYTES = 16
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
        """Opens or rebuilds the index and adds what the log has beyond it.

        Raises StoreDamagedError if the index has entries that the log lacks (they were acknowledged, so the log has
        lost data), and StoreError if the file cannot be written.
        """
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
            _MAGIC, self._boot, self._log.start.digest, position.offset, position.index, position.digest
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
    if (magic, beginning) != (_MAGIC, log.start.digest):
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


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()
