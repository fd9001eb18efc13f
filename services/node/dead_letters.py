"""Events that were refused, with the reason: the operator's list. Bounded, so that nobody fills a disk with rubbish."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ledger.errors import MillmarkError
from services.node.errors import EventRefusedError

__all__ = ["DeadLetter", "DeadLetters", "Origin", "read_dead_letters"]

_MOST_BYTES = 8 << 20
"""Of one file; the one before it is kept too."""
_MOST_SHOWN = 2048


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an event came from."""

    source: str
    """How it came in: `http`, `folder`, `mqtt`, `certificate`."""
    request_id: str
    stream: str = ""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One refusal."""

    refused_at_s: float
    stream: str
    source: str
    reason: str
    """One word, as EventRefusedError has it."""
    cause: str
    event: str
    """Its beginning, as far as it is text."""
    request_id: str = ""
    """By which it is found in the log: of the HTTP request or the message; file and byte of a line; or the leaf without
    certificate."""

    def to_json(self) -> dict[str, object]:
        return asdict(self)


class DeadLetters:
    """Appends to one file, and begins another when that is full. Not synchronised: what is lost here in a power cut was
    refused all the same."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self.failed = 0
        """Refusals that could not be written down."""

    def add(self, origin: Origin, error: EventRefusedError, event: bytes) -> None:
        """Raises nothing: a refusal stands whether or not it can be written down."""
        shown = event[:_MOST_SHOWN].decode("utf-8", "backslashreplace")
        at_s, stream, source = round(time.time(), 3), origin.stream, origin.source
        letter = DeadLetter(at_s, stream, source, error.reason, _cause(error), shown, origin.request_id)
        line = json.dumps(letter.to_json(), ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
        try:
            with self._lock:
                if self._path.exists() and self._path.stat().st_size + len(line) > _MOST_BYTES:
                    self._path.replace(_older(self._path))
                with self._path.open("ab") as file:
                    file.write(line)
        except OSError:
            self.failed += 1


def read_dead_letters(path: Path, most: int) -> Sequence[DeadLetter]:
    """The latest `most`, the oldest of them first. A line that was cut off by a crash is left out."""
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
