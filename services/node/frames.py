"""The byte format of a stream's log: builds and parses it, without I/O. This docstring specifies the format.

A file begins with a header: magic 16 | stream 32 | marker 16 | digest 16. Frames follow, one for each group commit:

    marker 16 | previous digest 16 | first index 8 | entries 4 | body bytes 4 | body | digest 16

A body is a sequence of entries: content bytes 4 | received at, ms since 1970, 8 | salt 32 | content, canonical JSON.
Integers are big-endian. A digest is a 16-byte BLAKE2b (RFC 7693) over the header or frame up to the digest; a frame
includes the digest of the frame before it, or of the header. Digests detect accidental damage. A rewrite of the whole
file can be detected only by the anchors on the ledger.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

_MAGIC = b"millmark.log.v1\0"
_MARKER_BYTES = _DIGEST_BYTES = 16
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
