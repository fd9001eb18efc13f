"""The files of the log, `audit-N.jsonl`, where N is the number of the file's first entry in twelve digits."""

from __future__ import annotations

import os
import re
from pathlib import Path

from millmark.ledger.canonical import Json, parse_json
from millmark.ledger.errors import CanonicalError
from millmark.services.audit.errors import AuditError

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
