"""Checking the log: every entry follows the one before it, and none was changed, left out, moved or put in."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ledger.canonical import Json, canonical_json
from ledger.errors import CanonicalError
from services.audit.entries import START, hash_entry
from services.audit.errors import AuditError, AuditTamperedError
from services.audit.files import (
    HASH,
    LOCK,
    MOST_LINE_BYTES,
    describe_line,
    first_number,
    list_files,
    parse_line,
    read_last_line,
)
from services.audit.heads import AnchoredHeads

__all__ = ["AuditReport", "read_audit", "read_hashes", "read_last_number", "verify_audit"]

_MEMBERS = frozenset(
    (
        "number",
        "time",
        "participant",
        "credential",
        "action",
        "target",
        "status",
        "decision",
        "request_id",
        "body",
        "previous",
        "hash",
    )
)


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What was checked."""

    first: int
    """Number of the first entry that is there; more than 1 when older files were taken away."""
    last: int
    """0 for an empty log."""
    files: int
    head: bytes
    """What the next entry will follow. Who kept an earlier head can tell that nothing up to it was rewritten."""
    follows: bytes
    """What the first entry follows: 32 zeros at the beginning of the log."""


def verify_audit(folder: Path, known_head: bytes | None = None, anchored: AnchoredHeads | None = None) -> AuditReport:
    """Every entry is in its one form, hashes to what it says, has the next number, and follows the one before.

    With `known_head`, an entry of that hash must be there: so that neither the end was cut off nor all of it written
    anew since. With `anchored`, every entry that it tells of must be the one that it tells of, as far as files are
    there. Raises AuditTamperedError, whose number is that of the first wrong entry, AuditError. Not established of what
    is behind the known head and the anchored ones: that it is all there, and is what was written.
    """
    anchored = anchored or AnchoredHeads(())
    first, last, head, follows, found = 0, 0, START, START, known_head in (None, START)
    files: set[Path] = set()
    for path, line in _lines(folder):
        value = parse_line(line) or {}
        files.add(path)
        if not first:
            first, last, head = _beginning(path, value)
            follows = head
            anchored.verify(last, head)
        _verify_form(line, value, last + 1)
        if value["previous"] != head.hex():
            raise AuditTamperedError(max(last, 1), "the next one does not follow it: it was changed, hash and all")
        last, head = last + 1, bytes.fromhex(str(value["hash"]))
        anchored.verify(last, head)
        found = found or head == known_head
    anchored.verify_end(last)
    if not found:
        raise AuditTamperedError(last + 1, "the log ends without ever having the head that is known")
    return AuditReport(first, last, len(files), head, follows)


def read_audit(folder: Path) -> Iterator[dict[str, Json]]:
    """The entries, in order; unchecked. Raises AuditError for what is none."""
    for path, line in _lines(folder):
        value = parse_line(line)
        if value is None or value.keys() != _MEMBERS:
            raise AuditError(f"{path} holds what is no entry", hint="verify the audit log")
        yield value


def read_last_number(folder: Path) -> int:
    """Of the last entry that is there; 0 for an empty log. Raises AuditError."""
    try:
        lines = (read_last_line(path)[0] for path in reversed(list_files(folder)))
        line = next((one for one in lines if one is not None), None)
    except OSError as error:
        raise AuditError(f"the audit log cannot be read: {error.strerror}", hint="check its rights") from None
    return 0 if line is None else describe_line(line)[0]


def read_hashes(folder: Path, after: int, most: int) -> tuple[int, list[bytes]]:
    """Hashes of up to `most` entries behind number `after`, and the number of the first: a later one when older files
    were deleted; unchecked. Raises AuditError."""
    start, hashes = after + 1, list[bytes]()
    for _, line in _lines(folder, start):
        number, digest = describe_line(line)
        if number < start:
            continue
        if not hashes:
            start = number
        hashes.append(digest)
        if len(hashes) == most:
            break
    return start, hashes


def _beginning(path: Path, value: Mapping[str, Json]) -> tuple[int, int, bytes]:
    """Number of the first entry that is there, and number and hash of the one that it follows."""
    first, previous = first_number(path), str(value.get("previous"))
    if first <= 1 or not HASH.fullmatch(previous):
        return 1, 0, START
    return first, first - 1, bytes.fromhex(previous)


def _verify_form(line: bytes, value: Mapping[str, Json], number: int) -> None:
    try:
        whole = value.keys() == _MEMBERS and canonical_json(dict(value)) == line
        hashed = whole and hash_entry(value).hex() == value["hash"]
    except CanonicalError:
        whole = hashed = False
    if not whole:
        raise AuditTamperedError(number, "it is not in the form that entries have")
    if value["number"] != number:
        raise AuditTamperedError(number, f"number {value['number']!r} stands in its place")
    if not hashed:
        raise AuditTamperedError(number, "it was changed: it does not hash to what it says")


def _lines(folder: Path, start: int = 1) -> Iterator[tuple[Path, bytes]]:
    """All lines of the files as they follow each other, from the one on that holds entry `start`; up to where the log
    was at the call. Nobody who writes waits for longer than it takes to open them."""
    try:
        with ExitStack() as opened:
            for path, file, size in _open_files(folder, start, opened):
                while file.tell() < size and (line := file.readline(MOST_LINE_BYTES + 1)):
                    yield path, line.removesuffix(b"\n") if line.endswith(b"\n") else line + b"\n"
    except OSError as error:
        raise AuditError(f"the audit log cannot be read: {error.strerror}", hint="check its rights") from None


def _open_files(folder: Path, start: int, opened: ExitStack) -> list[tuple[Path, BinaryIO, int]]:
    """Under the writers' lock, with the size that each has then."""
    try:
        lock = os.open(folder / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise AuditError(f"{folder} holds no audit log: {error.strerror}", hint="name the gateway's home") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
        paths = list_files(folder)
        later = [path for path in paths if first_number(path) > start]
        files = [(path, opened.enter_context(path.open("rb"))) for path in paths[max(0, len(paths) - len(later) - 1) :]]
        return [(path, file, os.fstat(file.fileno()).st_size) for path, file in files]
    finally:
        os.close(lock)
