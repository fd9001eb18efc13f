"""Reads entries from the end of the log, page by page, unverified."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from millmark.ledger.canonical import Json
from millmark.services.audit.errors import AuditError
from millmark.services.audit.files import first_number, list_files, parse_line

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

    A page may be short, or empty, although more follow. Raises AuditError.
    """
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
