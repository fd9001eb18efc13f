"""Captures events from files that machines write into a folder, one event per line: `*.jsonl` and `*.csv`.

Progress is kept by a file's inode and the hash of its beginning: a renamed (rotated) file is resumed, a truncated or
replaced one is read from its start. Progress is saved after the events are durable, so a crash in between repeats some
events, which the log recognises as duplicates. A last line without a newline is left until it is complete.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO

from structlog.typing import FilteringBoundLogger

from millmark.ledger.canonical import Json
from millmark.ledger.errors import SettingsError
from millmark.ledger.event_json import Parsed
from millmark.services.files import write_whole
from millmark.services.node.config import FolderSource
from millmark.services.node.dead_letters import Origin
from millmark.services.node.errors import EventRefusedError
from millmark.services.node.events import MAX_EVENT_BYTES, Event, parse_event
from millmark.services.node.intake import Intake, build_conflict
from millmark.services.serving.loop import Loop

_SOURCE = "folder"
_PATTERNS = ("*.jsonl*", "*.csv*")
_PACKED = (".gz", ".xz", ".zst", ".bz2", ".zip", ".tmp", ".part")
_HEAD_BYTES = 256
_MAX_BATCH = 2000
_MAX_LINE_BYTES = 2 * MAX_EVENT_BYTES
_COMMIT_S = 60.0
_MEMBERS = ("id", "time", "lot", "order")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one file has been read."""

    offset: int
    head_bytes: int
    head: str
    """SHA-256 of the first `head_bytes` bytes, because a deleted file's inode is reused."""


class FolderCapture:
    """Watches one folder in a thread of its own."""

    def __init__(self, source: FolderSource, intake: Intake, state: Path, logger: FilteringBoundLogger) -> None:
        """`state`: file of the progress. Raises SettingsError if it cannot be read."""
        self._source = source
        self._intake = intake
        self._state = state
        self._logger = logger
        self._progress = _read_progress(state)
        self._links: set[Path] = set()
        """Links that were logged, each once."""
        self.loop = Loop(
            "millmark-folder",
            self._round,
            logger.bind(stream=source.stream),
            failed="folder failed",
            retry_s=source.interval_s,
            stop_s=_COMMIT_S,
        )

    is_connected = True
    """Folders are always there, or the step says why they are not."""

    def start(self) -> None:
        self.loop.start()

    def stop(self) -> None:
        self.loop.stop()

    def step(self) -> int:
        """Reads the new lines of all files, oldest file first, and returns their number.

        Raises OSError, LogError, InputError or TimeoutError; the next step resumes after the last durable batch.
        """
        paths = {path for pattern in _PATTERNS for path in self._source.path.glob(pattern)}
        found = sorted((path for path in paths if path.suffix not in _PACKED and self._is_own(path)), key=_age)
        lines = sum(self._take_file(path) for path in found)
        self._forget({_key(path) for path in found})
        self._links &= paths
        return lines

    def _round(self) -> float:
        self.step()
        return self._source.interval_s

    def _is_own(self, path: Path) -> bool:
        """Whether it is a file, and not a link: who may write here could otherwise have any file that the node may read
        listed among the refused lines."""
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:  # moved away since the folder was listed
            return False
        if stat.S_ISLNK(mode) and path not in self._links:
            self._links.add(path)
            self._logger.warning("link not followed", file=path.name)
        return stat.S_ISREG(mode)

    def _take_file(self, path: Path) -> int:
        taken = 0
        # Without following a link that took the file's place since.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            # From the open file, not the path, which may name another file by now.
            key, progress = _key_of(os.fstat(file.fileno())), self._resume(file)
            file.seek(progress.offset)
            header = _header(file) if ".csv" in path.name else None
            file.seek(max(progress.offset, file.tell() if header is not None and not progress.offset else 0))
            while (lines := _whole_lines(file)) and not self.loop.is_stopping:
                self._take(path, file.tell() - sum(map(len, lines)), lines, header)
                taken += len(lines)
                # After the batch is durable. In the other order a crash would lose events.
                self._save(key, _measure(file, file.tell()))
        return taken

    def _resume(self, file: BinaryIO) -> Progress:
        found = self._progress.get(_key_of(os.fstat(file.fileno())))
        if found is None or os.fstat(file.fileno()).st_size < found.offset:
            return Progress(0, 0, "")  # new, or truncated
        file.seek(0)
        same = hashlib.sha256(file.read(found.head_bytes)).hexdigest() == found.head
        return found if same else Progress(0, 0, "")

    def _take(self, path: Path, begin: int, lines: Sequence[bytes], header: Sequence[str] | None) -> None:
        """Returns once every line is durable or refused. `begin`: byte offset of the first line in the file."""
        events: list[Event] = []
        offsets: list[int] = []
        for offset, line in zip(accumulate(map(len, lines), initial=begin), lines, strict=False):
            if not line.strip():
                continue
            try:
                parsed = parse_event(line) if header is None else _parse_row(line, header)
                events.append(self._intake.check(parsed, self._source.stream)[1])
                offsets.append(offset)
            except EventRefusedError as error:
                self._refuse(path, offset, error, line)
        if not events:
            return
        found = self._intake.submit(self._source.stream, events).result(_COMMIT_S)
        for position in found.conflicts:
            self._refuse(path, offsets[position], build_conflict(), events[position].content)
        taken = {"request_id": f"{path.name}:{offsets[0]}", "last_line": offsets[-1], "duplicates": found.duplicates}
        self._logger.info("lines taken", leaves={self._source.stream: found.leaves()}, **taken)

    def _refuse(self, path: Path, offset: int, error: EventRefusedError, line: bytes) -> None:
        origin = Origin(_SOURCE, f"{path.name}:{offset}", self._source.stream)
        self._intake.refuse(origin, error, line)
        self._logger.warning("line refused", request_id=origin.request_id, reason=error.reason)

    def _save(self, key: str, progress: Progress) -> None:
        self._progress[key] = progress
        self._write()

    def _forget(self, present: set[str]) -> None:
        """Drops the progress of files that no longer exist."""
        if gone := self._progress.keys() - present:
            for key in gone:
                del self._progress[key]
            self._write()

    def _write(self) -> None:
        rows = {key: [one.offset, one.head_bytes, one.head] for key, one in self._progress.items()}
        write_whole(self._state, json.dumps(rows).encode())


def _whole_lines(file: BinaryIO) -> list[bytes]:
    """Reads a bounded number of complete lines and leaves the file positioned after them. A line over the limit is
    returned in pieces, so the reader gets past it."""
    found: list[bytes] = []
    size = 0
    while len(found) < _MAX_BATCH and size < _MAX_LINE_BYTES * 8:
        line = file.readline(_MAX_LINE_BYTES)
        if not line.endswith(b"\n") and len(line) < _MAX_LINE_BYTES:
            file.seek(-len(line), os.SEEK_CUR)  # the machine is still writing this line
            break
        found.append(line)
        size += len(line)
    return found


def _header(file: BinaryIO) -> list[str] | None:
    """The column names of a CSV file; empty if its first line is incomplete. Leaves the file positioned after that
    line."""
    file.seek(0)
    line = file.readline(_MAX_LINE_BYTES)
    return next(_rows(line), []) if line.endswith(b"\n") else []


def _parse_row(line: bytes, header: Sequence[str]) -> Parsed:
    """Builds an event from a CSV row: `id`, `time`, `lot` and `order` are its members, all other columns its data.
    Raises EventRefusedError."""
    cells = next(_rows(line), [])
    if "id" not in header or len(set(header)) != len(header):
        raise EventRefusedError(
            "columns-unusable", "a CSV file needs a column named id, and no two columns of the same name"
        )
    if len(cells) != len(header):
        raise EventRefusedError("cells-wrong", f"the row has {len(cells)} cells, but the header has {len(header)}")
    row = dict(zip(header, cells, strict=True))
    members: dict[str, Json] = {name: row[name] for name in _MEMBERS if row.get(name)}
    data: dict[str, Json] = {name: _cell(cell) for name, cell in row.items() if name not in _MEMBERS}
    return Parsed({**members, "data": data})


def _rows(line: bytes) -> Iterator[list[str]]:
    try:
        yield from csv.reader([line.decode("utf-8-sig").rstrip("\r\n")], strict=True)
    except (csv.Error, UnicodeDecodeError):
        raise EventRefusedError("not-csv", "the line is not CSV in UTF-8") from None


def _cell(text: str) -> Json:
    """The cell as a number if it is a JSON number, as text otherwise."""
    try:
        value = parse_event(text.encode()).value
    except EventRefusedError:
        return text
    return value if isinstance(value, int | float) and not isinstance(value, bool) else text


def _measure(file: BinaryIO, offset: int) -> Progress:
    size = min(offset, _HEAD_BYTES)
    file.seek(0)
    head = hashlib.sha256(file.read(size)).hexdigest()
    file.seek(offset)
    return Progress(offset, size, head)


def _key(path: Path) -> str:
    return _key_of(path.lstat())


def _key_of(facts: os.stat_result) -> str:
    return f"{facts.st_dev}:{facts.st_ino}"


def _age(path: Path) -> tuple[int, str]:
    return path.lstat().st_mtime_ns, path.name


def _read_progress(path: Path) -> dict[str, Progress]:
    try:
        rows = json.loads(path.read_bytes())
        return {key: Progress(*row) for key, row in rows.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError):
        raise SettingsError(
            f"{path} cannot be read", hint="remove it; events that are read again count as duplicates"
        ) from None
