"""Verification of the log: every entry follows its predecessor, and none was changed, removed, moved or inserted."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from millmark.ledger import errors, evidence
from millmark.ledger.canonical import Json, canonical_json
from millmark.services.audit import entries

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
    """Range and hashes of a log that verified."""

    first: int
    """Number of the first entry present; above 1 when older files were removed."""
    last: int
    """0 for an empty log."""
    files: int
    head: bytes
    """Hash of the last entry. Passed as `known_head` later on, it shows that nothing up to it was rewritten."""
    follows: bytes
    """The `previous` hash of the first entry present; 32 zero bytes at the beginning of the log."""


def verify_audit(folder: Path, known_head: bytes | None = None, anchored: AnchoredHeads | None = None) -> AuditReport:
    """On return, every entry is in canonical form, matches its hash, has the next number, and follows its predecessor.

    With `known_head`, an entry with that hash is present: the log was neither cut off before it nor rewritten since it
    was noted. With `anchored`, every entry that an anchored head covers matches it, as far as files are present.

    Raises AuditTamperedError, whose number is that of the first wrong entry, or AuditError. Not established: that
    entries after the known head and the last anchor are complete and as they were written."""
    anchored = anchored or AnchoredHeads(())
    first, last, head, follows, found = 0, 0, entries.START, entries.START, known_head in (None, entries.START)
    files: set[Path] = set()
    for path, line in _lines(folder):
        value = entries.parse_line(line) or {}
        files.add(path)
        if not first:
            first, last, head = _beginning(path, value)
            follows = head
            anchored.verify(last, head)
        _verify_form(line, value, last + 1)
        if value["previous"] != head.hex():
            # Blame the predecessor: its content matches its hash, so both were replaced together.
            raise entries.AuditTamperedError(
                max(last, 1), "the next entry names a different hash, so this entry was replaced"
            )
        last, head = last + 1, bytes.fromhex(str(value["hash"]))
        anchored.verify(last, head)
        found = found or head == known_head
    anchored.verify_end(last)
    if not found:
        raise entries.AuditTamperedError(last + 1, "the log does not contain the known head")
    return AuditReport(first, last, len(files), head, follows)


def read_audit(folder: Path) -> Iterator[dict[str, Json]]:
    """Yields the entries in order, unverified. Raises AuditError for a line that is not an entry."""
    for path, line in _lines(folder):
        value = entries.parse_line(line)
        if value is None or value.keys() != _MEMBERS:
            raise entries.AuditError(f"{path} contains a line that is not an entry", hint="run `millmark audit verify`")
        yield value


def read_last_number(folder: Path) -> int:
    """Number of the last entry; 0 for an empty log. Raises AuditError."""
    try:
        lines = (entries.read_last_line(path)[0] for path in reversed(entries.list_files(folder)))
        line = next((one for one in lines if one is not None), None)
    except OSError as error:
        raise entries.AuditError(
            f"the audit log cannot be read: {error.strerror}", hint="check its permissions"
        ) from None
    return 0 if line is None else entries.describe_line(line)[0]


def read_hashes(folder: Path, after: int, most: int) -> tuple[int, list[bytes]]:
    """The hashes of up to `most` entries after number `after`, unverified, and the number of the first of them.

    That number is above `after + 1` when older files were deleted. Raises AuditError."""
    start, hashes = after + 1, list[bytes]()
    for _, line in _lines(folder, start):
        number, digest = entries.describe_line(line)
        if number < start:
            continue
        if not hashes:
            start = number
        hashes.append(digest)
        if len(hashes) == most:
            break
    return start, hashes


def _beginning(path: Path, value: Mapping[str, Json]) -> tuple[int, int, bytes]:
    """Number of the first entry present, and number and hash of its predecessor."""
    # Older files may have been deleted. The predecessor of the first entry present is then taken as given, and reported
    # as `follows`, so that it can be compared with a backup.
    first, previous = entries.first_number(path), str(value.get("previous"))
    if first <= 1 or not entries.HASH.fullmatch(previous):
        return 1, 0, entries.START
    return first, first - 1, bytes.fromhex(previous)


def _verify_form(line: bytes, value: Mapping[str, Json], number: int) -> None:
    try:
        whole = value.keys() == _MEMBERS and canonical_json(dict(value)) == line
        hashed = whole and entries.hash_entry(value).hex() == value["hash"]
    except errors.CanonicalError:
        whole = hashed = False
    if not whole:
        raise entries.AuditTamperedError(number, "it is not canonical JSON with the members of an entry")
    if value["number"] != number:
        raise entries.AuditTamperedError(number, f"its place is taken by entry {value['number']!r}")
    if not hashed:
        raise entries.AuditTamperedError(number, "it was changed: its content does not match its hash")


def _lines(folder: Path, start: int = 1) -> Iterator[tuple[Path, bytes]]:
    """Yields path and line of every entry, beginning with the file that holds entry `start`, up to the end that the log
    had at the call. Writers are blocked only while the files are opened."""
    try:
        with ExitStack() as opened:
            for path, file, size in _open_files(folder, start, opened):
                while file.tell() < size and (line := file.readline(entries.MAX_LINE_BYTES + 1)):
                    # A line without its newline is incomplete: with one added it cannot pass for canonical JSON.
                    yield path, line.removesuffix(b"\n") if line.endswith(b"\n") else line + b"\n"
    except OSError as error:
        raise entries.AuditError(
            f"the audit log cannot be read: {error.strerror}", hint="check its permissions"
        ) from None


def _open_files(folder: Path, start: int, opened: ExitStack) -> list[tuple[Path, BinaryIO, int]]:
    """Opens the files from the one with entry `start` on, with their sizes, all under the writers' lock."""
    try:
        lock = os.open(folder / entries.LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise entries.AuditError(
            f"{folder} contains no audit log: {error.strerror}", hint="name the gateway's home with --home"
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
        # Under the lock no entry is half written and no file is being deleted. The sizes bound what is read later.
        paths = entries.list_files(folder)
        later = [path for path in paths if entries.first_number(path) > start]
        # The file before the later ones may contain entry `start`.
        files = [(path, opened.enter_context(path.open("rb"))) for path in paths[max(0, len(paths) - len(later) - 1) :]]
        return [(path, file, os.fstat(file.fileno()).st_size) for path, file in files]
    finally:
        os.close(lock)


# Heads of the log as evidence entries, which are anchored on the ledger, and the check of the log against them.
#
# One evidence entry covers up to 1,000 log entries. It holds the hash of the last one, which commits to all before it,
# and four bytes of the hash of each, which locate the first altered entry.

KIND: Final = "audit-head"
MAX_MARKS: Final = 1_000
_MARK_BYTES: Final = 4
_MARKS: Final = re.compile(r"(?:[0-9a-f]{8}){1,1000}")


@dataclass(frozen=True, slots=True)
class AnchoredHead:
    """Commitment to the log entries `first` to `last`, both included."""

    first: int
    last: int
    head: bytes
    marks: bytes
    time: int
    """Unix time, in seconds, at which the head was taken."""

    def to_json(self) -> dict[str, Json]:
        return {
            "kind": KIND,
            "first": self.first,
            "last": self.last,
            "head": self.head.hex(),
            "marks": self.marks.hex(),
            "time": self.time,
        }

    def mark(self, number: int) -> bytes:
        start = (number - self.first) * _MARK_BYTES
        return self.marks[start : start + _MARK_BYTES]


def build_head(first: int, hashes: Sequence[bytes], now_s: int) -> AnchoredHead:
    """The head of consecutive entries that begin with number `first`; 1 to MAX_MARKS hashes."""
    marks = b"".join(one[:_MARK_BYTES] for one in hashes)
    return AnchoredHead(first, first + len(hashes) - 1, hashes[-1], marks, now_s)


def open_heads(log: evidence.EvidenceLog, size: int, root: bytes) -> list[AnchoredHead]:
    """The heads that an anchor on the ledger (size, root) covers, read from the private book. Raises AuditError when
    the book lacks some of them or holds others."""
    # Entries after the first `size` are stored but not anchored yet, so they prove nothing.
    if len(log.entries) < size or log.tree.root(size) != root:
        raise entries.AuditError(
            f"the database does not hold the {size} audit heads that are anchored on the ledger",
            hint="restore the latest database backup; until then the audit log cannot be checked against the ledger",
        )
    return [parse_head(one.entry) for one in log.entries[:size]]


def parse_head(entry: Json) -> AnchoredHead:
    """Reads a head from an evidence entry. Raises AuditError for any other entry: the stream may hold heads only."""
    if isinstance(entry, dict) and entry.get("kind") == KIND:
        first, last, head, marks, time = (entry.get(name) for name in ("first", "last", "head", "marks", "time"))
        if isinstance(first, int) and isinstance(last, int) and isinstance(time, int) and 0 < first <= last:
            whole = entries.HASH.fullmatch(str(head)) and _MARKS.fullmatch(str(marks))
            if whole and len(str(marks)) == (last - first + 1) * _MARK_BYTES * 2:
                return AnchoredHead(first, last, bytes.fromhex(str(head)), bytes.fromhex(str(marks)), time)
    raise entries.AuditError("the audit stream holds an entry that is not an audit head", hint="use a separate stream")


class AnchoredHeads:
    """Compares log entries, fed in ascending order, with the anchored heads."""

    def __init__(self, heads: Iterable[AnchoredHead]) -> None:
        self._heads = list(heads)
        self._at = 0

    @property
    def last(self) -> int:
        """Number of the last entry that an anchor covers; 0 if there is none."""
        return self._heads[-1].last if self._heads else 0

    def verify(self, number: int, digest: bytes) -> None:
        """Verifies that an entry is the anchored one. Raises AuditTamperedError. Entries outside all heads pass."""
        while self._at < len(self._heads) and self._heads[self._at].last < number:
            self._at += 1
        if self._at == len(self._heads) or number < self._heads[self._at].first:
            return
        head = self._heads[self._at]
        if head.mark(number) != digest[:_MARK_BYTES] or (number == head.last and head.head != digest):
            raise entries.AuditTamperedError(number, "its hash differs from the one anchored on the ledger")

    def verify_end(self, last: int) -> None:
        """Verifies that the log does not end before the last anchored entry. Raises AuditTamperedError."""
        if last < self.last:
            raise entries.AuditTamperedError(
                last + 1, f"the entry is missing, although the ledger anchors entries up to {self.last}"
            )
