"""Entries of the audit log: content and hash of each, the files that hold them, and reading from the end."""

from __future__ import annotations

import enum
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from millmark.ledger.canonical import Json, canonical_json, parse_json, sha256
from millmark.ledger.errors import CanonicalError, MillmarkError, Retry


class AuditError(MillmarkError):
    """The audit log cannot be written or read."""

    code = "audit-failed"
    retry = Retry.OPERATOR


class AuditTamperedError(AuditError):
    """An entry of the audit log is not the one that was written; `number` is the first such entry."""

    code = "audit-tampered"

    def __init__(self, number: int, cause: str) -> None:
        self.number = number
        super().__init__(f"entry {number} of the audit log: {cause}", hint="compare the log with a backup")


START = bytes(32)
"""The `previous` hash of the first entry."""
_TAG = b"millmark.audit-entry.v1\0"
_MAX_TARGET, _MAX_ANONYMOUS_BYTES = 1024, 128


class Decision(enum.Enum):
    """Outcome of a request."""

    ALLOWED = "allowed"
    DENIED = "denied"
    """The caller is not authenticated, or lacks the permission."""
    ABSENT = "absent"
    """The resource does not exist, or is not visible to the caller."""
    REFUSED = "refused"
    """The request was invalid or conflicted with the present state."""
    FAILED = "failed"

    @classmethod
    def of(cls, status: int) -> Decision:
        """The decision that an HTTP status stands for."""
        if status < 400:
            return cls.ALLOWED
        if status in (401, 403):
            return cls.DENIED
        if status == 404:
            return cls.ABSENT
        return cls.REFUSED if status < 500 else cls.FAILED


@dataclass(frozen=True, slots=True)
class Access:
    """One request and the decision on it."""

    participant: int | None
    """The caller; None if unauthenticated, and for the operator on this machine."""
    credential: str
    """Public part of the session or API key; `operator` for commands."""
    action: str
    """Method and route, or the command."""
    target: str
    """The path without its query, or the argument of the command."""
    status: int
    """HTTP status of the response."""
    request_id: str
    body_digest: bytes | None
    """SHA-256 of the request body; None if there is no body."""
    anonymous: bool = False
    """Whether nobody was authenticated. The text that such a caller chose is cut, and its entries are counted against a
    quota."""

    @property
    def logged_target(self) -> str:
        """The target as it is written."""
        if not self.anonymous:
            return self.target[:_MAX_TARGET].encode("utf-8", "replace").decode()
        # Escaped in JSON, a control character takes six bytes.
        plain = "".join(one if one.isprintable() else "?" for one in self.target[:_MAX_ANONYMOUS_BYTES])
        return plain.encode("utf-8", "replace")[:_MAX_ANONYMOUS_BYTES].decode("utf-8", "ignore")


def build_line(number: int, time: str, access: Access, previous: bytes) -> tuple[bytes, bytes]:
    """The entry as canonical JSON (RFC 8785) without a newline, and its hash. `time` is UTC, ISO 8601."""
    value: dict[str, Json] = {
        "number": number,
        "time": time,
        "participant": access.participant,
        "credential": access.credential,
        "action": access.action,
        "target": access.logged_target,
        "status": access.status,
        "decision": Decision.of(access.status).value,
        "request_id": access.request_id,
        "body": None if access.body_digest is None else access.body_digest.hex(),
        "previous": previous.hex(),
    }
    digest = hash_entry(value)
    return canonical_json({**value, "hash": digest.hex()}), digest


def hash_entry(value: Mapping[str, Json]) -> bytes:
    """Hash of an entry, which the next one repeats: SHA-256(tag || JCS of all members but `hash`). Raises
    CanonicalError."""
    return sha256(_TAG + canonical_json({name: member for name, member in value.items() if name != "hash"}))


# The files of the log, `audit-N.jsonl`, where N is the number of the file's first entry in twelve digits.

LOCK = "lock"
MAX_LINE_BYTES = 16 << 10
HASH = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"audit-([0-9]{12})\.jsonl")


def name_file(folder: Path, number: int) -> Path:
    return folder / f"audit-{number:012}.jsonl"


def list_files(folder: Path) -> list[Path]:
    """The files of the log in the order of their entries."""
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))


def read_last_line(path: Path) -> tuple[bytes | None, int]:
    """The last complete line, or None if there is none, and the byte offset of its end."""
    # Two lines' worth of bytes hold at least one complete line, even behind a line that a power cut left incomplete.
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        start = max(0, size - 2 * MAX_LINE_BYTES)
        file.seek(start)
        tail = file.read()
    end = tail.rfind(b"\n")
    if end < 0:
        return None, 0 if start == 0 else size
    return tail[tail.rfind(b"\n", 0, end) + 1 : end], start + end + 1


def parse_line(line: bytes) -> dict[str, Json] | None:
    """The members of an entry; None if the line is not a JSON object within the bounds."""
    try:
        value = parse_json(line, max_bytes=MAX_LINE_BYTES, max_depth=2)
    except CanonicalError:
        return None
    return value if isinstance(value, dict) else None


def describe_line(line: bytes) -> tuple[int, bytes]:
    """Number and hash of an entry. Raises AuditError for a line that is not an entry: nothing may be appended to it."""
    value = parse_line(line) or {}
    number, digest = value.get("number"), value.get("hash")
    if not isinstance(number, int) or not isinstance(digest, str) or not HASH.fullmatch(digest):
        raise AuditError("the last entry of the audit log cannot be read", hint="run `millmark audit verify`")
    return number, bytes.fromhex(digest)


def first_number(path: Path) -> int:
    """Number of a file's first entry, taken from the file name."""
    return int(path.stem.removeprefix("audit-"))


# Reads entries from the end of the log, page by page, unverified.

_MAX_SCANNED = 20_000
"""Entries that are looked through for one page."""


@dataclass(frozen=True, slots=True)
class LatestEntries:
    """A page of entries."""

    entries: tuple[Mapping[str, Json], ...]
    after: int | None
    """Number after which the list continues; None at its end."""


def read_latest(
    folder: Path, after: int | None, most: int, *, newest_first: bool = True, target: str = ""
) -> LatestEntries:
    """At most `most` entries whose target contains a text, after the entry with a number, newest first or oldest first.

    A page may be short, or empty, although more follow. Raises AuditError."""
    found: list[Mapping[str, Json]] = []
    try:
        for scanned, (number, line) in enumerate(_lines(folder, after, newest_first), 1):
            entry = parse_line(line)
            if entry is None or entry.get("number") != number:
                raise AuditError(f"entry {number} cannot be read", hint="run `millmark audit verify`")
            if target in str(entry["target"]):
                found.append(entry)
            if len(found) == most or scanned == _MAX_SCANNED:
                more = next(_lines(folder, number, newest_first), None)
                return LatestEntries(tuple(found), None if more is None else number)
    except OSError as error:
        raise AuditError(f"the audit log cannot be read: {error.strerror}", hint="check its permissions") from None
    return LatestEntries(tuple(found), None)


def _lines(folder: Path, after: int | None, newest_first: bool) -> Iterator[tuple[int, bytes]]:
    """The lines with their numbers, which are consecutive in a file, from the one after `after` on."""
    files = [(path, first_number(path)) for path in list_files(folder)]
    for path, first in reversed(files) if newest_first else files:
        if newest_first and after is not None and first >= after:
            continue
        try:
            lines = path.read_bytes().split(b"\n")[:-1]  # what follows the last newline is not written whole yet
        except FileNotFoundError:  # deleted since, as the oldest ones are
            continue
        numbers = range(first, first + len(lines))
        if newest_first:
            numbers = range(first, min(first + len(lines), after or first + len(lines)))[::-1]
        elif after is not None:
            numbers = range(max(first, after + 1), first + len(lines))
        for number in numbers:
            yield number, lines[number - first]
