"""Refused events and the reason for each, for the operator to read. Bounded, so refused events cannot fill the disk."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from prometheus_client import Counter

from millmark.ledger.errors import MillmarkError
from millmark.ledger.files import replace_file
from millmark.services.node.errors import EventRefusedError

_MAX_BYTES = 8 << 20
"""Bytes per file. The previous file is kept as well."""
_MAX_SHOWN = 2048
_ALL = 2 * _MAX_BYTES


@dataclass(frozen=True, slots=True)
class Origin:
    """The source and the request that an event came with."""

    source: str
    """`http`, `folder`, `mqtt` or `opcua`; `certificate` for an entry that is kept but cannot be certified."""
    request_id: str
    stream: str = ""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One refused event."""

    refused_at_s: float
    stream: str
    source: str
    reason: str
    """The stable reason of the EventRefusedError."""
    cause: str
    event: str
    """The beginning of the event, with bytes that are not UTF-8 escaped."""
    request_id: str = ""
    """Finds the refusal in the node's log: the id of the HTTP request or message, file name and byte offset of a line,
    or the leaf that got no certificate."""

    def to_json(self) -> dict[str, object]:
        return asdict(self)


class DeadLetters:
    """Appends to one file and rotates it when it is full. Not synchronised to disk: a power cut may lose the latest
    lines, but never an accepted event."""

    def __init__(self, path: Path, refused: Counter | None = None) -> None:
        """`refused` counts each refusal by source and reason, here and nowhere else: what is listed is counted."""
        self._path = path
        self._refused = refused
        self._lock = threading.Lock()
        self.failed = 0
        """Number of refusals that could not be written."""

    def add(self, origin: Origin, error: EventRefusedError, event: bytes) -> None:
        """Counts and writes one refusal. `event`: its bytes as received. Raises no OSError: the event stays refused
        even if it cannot be listed."""
        if self._refused is not None:
            self._refused.labels(origin.source, error.reason).inc()
        shown = event[:_MAX_SHOWN].decode("utf-8", "backslashreplace")
        at_s, stream, source = round(time.time(), 3), origin.stream, origin.source
        letter = DeadLetter(at_s, stream, source, error.reason, _cause(error), shown, origin.request_id)
        line = json.dumps(letter.to_json(), ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
        try:
            # The threads of several sources add refusals. The size is checked under the lock, or two of them could
            # rotate at once.
            with self._lock:
                if self._path.exists() and self._path.stat().st_size + len(line) > _MAX_BYTES:
                    # Replaces the file before it, so two files are the most that refusals can take.
                    replace_file(self._path, _older(self._path))
                # Opened for each refusal, since the rotation above may just have renamed the file.
                with self._path.open("ab") as file:
                    file.write(line)
        except OSError:
            self.failed += 1

    def uncertified(self, stream: str) -> set[tuple[str, str]]:
        """Request id and reason of the refusals of certificates that are listed for a stream."""
        letters = read_dead_letters(self._path, _ALL)
        return {(one.request_id, one.reason) for one in letters if (one.source, one.stream) == ("certificate", stream)}


def read_dead_letters(path: Path, most: int) -> Sequence[DeadLetter]:
    """The latest refusals, `most` at most, oldest first. Skips a line that a crash cut off."""
    lines: list[bytes] = []
    for file in (_older(path), path):
        if file.exists():
            lines += file.read_bytes().splitlines()
    found = []
    for line in lines[-most:]:
        try:
            found.append(DeadLetter(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return found


def _older(path: Path) -> Path:
    return path.with_name(path.name + ".1")


def _cause(error: MillmarkError) -> str:
    return str(error)[:500]
