"""The bytes of a stream's log: pure, no file is touched here. This is their document.

A file begins with a header that names the stream and a random marker. Frames follow, one for each group commit:

    marker 16 | digest of what is before 16 | first index 8 | entries 4 | body bytes 4 | body | digest 16

A body is entries end to end: bytes 4 | received at, ms since 1970, 8 | salt 32 | canonical JSON. Numbers are
big-endian; digests are BLAKE2b (RFC 7693) of 16 bytes over the frame up to there. Digests find accidents. Against
somebody who rewrites the whole file only the anchors on the ledger help.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

__all__ = [
    "ENTRY_BYTES",
    "FILE_HEADER_BYTES",
    "FRAME_BYTES",
    "MOST_BODY_BYTES",
    "FileHeader",
    "Frame",
    "LogEntry",
    "body_bytes",
    "build_file_header",
    "build_frame",
    "entry_offsets",
    "holds_frame",
    "parse_entry",
    "parse_file_header",
    "parse_frame",
]

_MAGIC = b"millmark.log.v1\0"
_MARKER_BYTES = _DIGEST_BYTES = 16
_FILE = struct.Struct(">16s32s16s")
_HEAD = struct.Struct(">16s16sQII")
_ENTRY = struct.Struct(">IQ32s")
ENTRY_BYTES = _ENTRY.size
"""Of an entry, beside its content."""
FILE_HEADER_BYTES = _FILE.size + _DIGEST_BYTES
FRAME_BYTES = _HEAD.size + _DIGEST_BYTES
"""Of a frame, beside its body."""
MOST_BODY_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class FileHeader:
    stream: bytes
    """The stream's subject, 32 bytes."""
    marker: bytes
    """16 random bytes before every frame of this file: nobody who sends events can write a frame into one."""
    digest: bytes


class LogEntry(NamedTuple):
    """One event as it is kept. A tuple, since each event makes one, and again when it is read."""

    received_at_ms: int
    """The node's clock when the event came in, since 1970; no evidence of when it happened."""
    salt: bytes
    """32 bytes, of the evidence leaf."""
    content: bytes
    """Canonical JSON of the event."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One group commit."""

    first: int
    """Index of the first entry in the stream's tree."""
    entries: tuple[LogEntry, ...]
    digest: bytes
    size: int
    """Bytes in the file."""


def body_bytes(contents: Sequence[bytes]) -> int:
    """Bytes that entries take of a body."""
    return ENTRY_BYTES * len(contents) + sum(map(len, contents))


def entry_offsets(at: int, entries: Sequence[LogEntry]) -> list[int]:
    """Where the entries of a frame at `at` begin in the file."""
    sizes = [ENTRY_BYTES + len(content) for _, _, content in entries]
    return list(accumulate(sizes[:-1], initial=at + _HEAD.size))


def build_file_header(stream: bytes, marker: bytes) -> bytes:
    head = _FILE.pack(_MAGIC, stream, marker)
    return head + _digest(head)


def parse_file_header(data: bytes) -> FileHeader | None:
    """None for the beginning of anything else."""
    if len(data) != FILE_HEADER_BYTES or data[_FILE.size :] != _digest(data[: _FILE.size]):
        return None
    magic, stream, marker = _FILE.unpack(data[: _FILE.size])
    return FileHeader(stream, marker, data[_FILE.size :]) if magic == _MAGIC else None


def build_frame(marker: bytes, previous: bytes, first: int, entries: Sequence[LogEntry]) -> bytes:
    """`previous`: digest of the frame before, or of the file's header."""
    pack = _ENTRY.pack
    body = b"".join([pack(len(content), at_ms, salt) + content for at_ms, salt, content in entries])
    framed = _HEAD.pack(marker, previous, first, len(entries), len(body)) + body
    return framed + _digest(framed)


def parse_frame(data: bytes, at: int, marker: bytes, previous: bytes | None = None) -> Frame | None:
    """The frame that begins at `at`, or None where no whole and sound one does. Without `previous` any predecessor is
    as good."""
    if len(data) - at < FRAME_BYTES:
        return None
    found, before, first, count, length = _HEAD.unpack_from(data, at)
    end = at + _HEAD.size + length
    if found != marker or length > MOST_BODY_BYTES or end + _DIGEST_BYTES > len(data):
        return None
    digest = data[end : end + _DIGEST_BYTES]
    if digest != _digest(memoryview(data)[at:end]) or previous not in (None, before):
        return None
    entries = _parse_body(data[at + _HEAD.size : end])
    return Frame(first, entries, digest, end + _DIGEST_BYTES - at) if len(entries) == count else None


def holds_frame(data: bytes, marker: bytes) -> bool:
    """Whether a sound frame begins anywhere, whatever it says is before it."""
    at = data.find(marker)
    while at != -1:
        if parse_frame(data, at, marker) is not None:
            return True
        at = data.find(marker, at + 1)
    return False


def parse_entry(data: bytes) -> LogEntry | None:
    """The entry with which `data` begins, None where it is cut off."""
    if len(data) < ENTRY_BYTES:
        return None
    length, received_at_ms, salt = _ENTRY.unpack_from(data)
    content = data[ENTRY_BYTES : ENTRY_BYTES + length]
    return LogEntry(received_at_ms, salt, content) if len(content) == length else None


def _parse_body(body: bytes) -> tuple[LogEntry, ...]:
    """As many entries as there are; the digest has shown that they are as they were written."""
    entries, at, unpack = [], 0, _ENTRY.unpack_from
    while at + ENTRY_BYTES <= len(body):
        length, received_at_ms, salt = unpack(body, at)
        at += ENTRY_BYTES + length
        entries.append(LogEntry(received_at_ms, salt, body[at - length : at]))
    return tuple(entries)


def _digest(data: bytes | memoryview) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()
