"""Which events a stream's log has, by id: so that one sent again is answered as a duplicate.

An index beside the log, rebuilt from it whenever there is doubt. It is written after the log is durable, and never
synchronised: a killed process leaves it behind the log at most, never ahead; after another boot it is not trusted.

It is a file of hash tables, mapped into memory: looking into a database costs several times all else that is done for
an event. A slot is 8 bytes: 0, or 20 bits of the id's hash above 44 of where the entry begins in the log, which has the
id itself to compare. Entries fill a table to a half; then one of four times its size is begun behind it, and nothing is
ever moved. Blocks are reserved before they are mapped, so that a full disk is an error of that call. A page that the
disk does not give kills the process; the next start reads the file through, and begins another where that fails.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from ledger.errors import StoreDamagedError, StoreError
from services.node.frames import LogEntry, entry_offsets
from services.node.streamlog import LogPosition, StreamLog

__all__ = ["DedupIndex"]

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MAGIC = b"millmark.known.1"
_HEADER = struct.Struct(">16s16s16sQQ16s")
_DIGEST_BYTES = 16
_HEADER_BYTES = 64 << 10
"""The size of the largest pages: tables are mapped from behind it."""
_FIRST_SLOTS = 1 << 20
_GROWTH = 4
_SLOT_BYTES = 8
_OFFSET_BITS = 44
_OFFSETS = (1 << _OFFSET_BITS) - 1
_READ_BYTES = 1 << 20


class _Named(msgspec.Struct):
    """Of an entry, what counts here."""

    id: str


_named = msgspec.json.Decoder(_Named).decode


class _Table:
    """Slots that are mapped into memory."""

    def __init__(self, file: int, offset: int, count: int) -> None:
        """Raises OSError when there is no room for it."""
        os.posix_fallocate(file, offset, count * _SLOT_BYTES)
        self._map = mmap.mmap(file, count * _SLOT_BYTES, offset=offset)
        self.slots = memoryview(self._map).cast("Q")
        self.mask = count - 1

    def close(self) -> None:
        self.slots.release()
        self._map.close()


class DedupIndex:
    """Of one thread at a time; the log's writer."""

    def __init__(self, path: Path, log: StreamLog) -> None:
        """Opens the index and brings it up to the log's end. Raises StoreDamagedError when it knows entries that the
        log does not have: those were acknowledged; StoreError when it cannot be written."""
        self._log = log
        self._hasher = hashlib.blake2b(digest_size=_SLOT_BYTES, key=log.start.digest)
        self._hashes: dict[str, int] = {}
        """Of the ids that were looked for last."""
        self._tables: list[_Table] = []
        self._room = 0
        """Entries that the tables have slots for."""
        self._boot = _boot_digest()
        position = _read_position(path, log, self._boot)
        if position is not None and position.index > log.end.index:
            raise StoreDamagedError(
                f"{log.path} has {log.end.index} entries, of {position.index} that were acknowledged",
                hint="restore the log from the latest backup, or its .torn file; or remove "
                f"{path} to go on without them",
            )
        self._behind = log.start if position is None else position
        try:
            if position is None:
                path.unlink(missing_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.posix_fallocate(self._file, 0, _HEADER_BYTES)
            self._header = mmap.mmap(self._file, _HEADER_BYTES)
            while self._room <= self._behind.index:
                self._grow()
            self.catch_up()
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error}", hint="see to the data folder's disk") from error

    def find(self, ids: Iterable[str]) -> dict[str, bytes]:
        """The contents of those of `ids` that are known. Raises OSError."""
        self.catch_up()
        found: dict[str, bytes] = {}
        self._hashes = {identity: self._hash(identity) for identity in ids}
        tables = [(table.slots, table.mask) for table in self._tables]
        for identity, number in self._hashes.items():
            for slots, mask in tables:
                at = number & mask
                while held := slots[at]:
                    if held >> _OFFSET_BITS == number >> _OFFSET_BITS:
                        content = self._content(held & _OFFSETS, identity)
                        if content is not None:
                            found[identity] = content
                    at = (at + 1) & mask
        return found

    def catch_up(self) -> None:
        """Takes in what the log has and the index has not. Raises OSError, and then knows no less than before."""
        if self._behind.offset == self._log.end.offset:
            return
        for frame in self._log.frames(self._behind):
            self.add([_named(entry.content).id for entry in frame.entries], frame.entries, self._behind.behind(frame))

    def add(self, ids: Sequence[str], entries: Sequence[LogEntry], position: LogPosition) -> None:
        """Takes in the frame that was just appended, up to `position`. Raises OSError; then the next `find` reads it
        from the log. Idempotent, as it has to be after a kill: a slot is the same then."""
        table, hashes = self._tables[-1], self._hashes
        offsets = entry_offsets(self._behind.offset, entries)
        for index, (identity, offset) in enumerate(zip(ids, offsets, strict=True), self._behind.index):
            if index >= self._room:
                table = self._grow()
            slots, mask = table.slots, table.mask
            number = hashes.get(identity) or self._hash(identity)
            value = number >> _OFFSET_BITS << _OFFSET_BITS | offset
            at = number & mask
            while (held := slots[at]) and held != value:
                at = (at + 1) & mask
            slots[at] = value
        self._behind = position
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
        """Begins a table for the entries that come next. Raises OSError when there is no room for it."""
        table = _Table(self._file, _tables_end(self._room), _FIRST_SLOTS * _GROWTH ** len(self._tables))
        self._tables.append(table)
        self._room += len(table.slots) // 2
        return table

    def _hash(self, identity: str) -> int:
        hasher = self._hasher.copy()
        hasher.update(identity.encode())
        return int.from_bytes(hasher.digest(), "big")

    def _content(self, offset: int, identity: str) -> bytes | None:
        """Of the entry there, if it has that id."""
        entry = self._log.entry(offset)
        try:
            return entry.content if entry is not None and _named(entry.content).id == identity else None
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None  # no entry begins there


def _read_position(path: Path, log: StreamLog, boot: bytes) -> LogPosition | None:
    """Up to where the index is sound; None when there is none, or one of another log or boot, or when it cannot be read
    to its end."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEADER.size + _DIGEST_BYTES)
            size = len(head)
            while part := file.read(_READ_BYTES):
                size += len(part)
    except OSError:
        return None
    packed, digest = head[: _HEADER.size], head[_HEADER.size :]
    if len(packed) < _HEADER.size or digest != _digest(packed):
        return None
    magic, noted_in, beginning, offset, index, position_digest = _HEADER.unpack(packed)
    found = LogPosition(offset, index, position_digest)
    if (magic, beginning) != (_MAGIC, log.start.digest):
        return None
    if found.index > log.end.index:
        return found
    whole = noted_in == boot and size >= _tables_end(found.index) and log.holds(found)
    return found if whole else None


def _tables_end(entries: int) -> int:
    """Bytes of a file that has room for so many entries."""
    room, slots, end = 0, _FIRST_SLOTS, _HEADER_BYTES
    while room < entries:
        room, slots, end = room + slots // 2, slots * _GROWTH, end + slots * _SLOT_BYTES
    return end


def _boot_digest() -> bytes:
    try:
        return _digest(_BOOT_ID.read_bytes())
    except OSError:
        return os.urandom(_DIGEST_BYTES)


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()
