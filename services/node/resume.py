"""How far a stream's log was read and recorded, so that a start reads what came after, however long the log has become.

A resume point is a hint. It counts only where the log holds, at its position, the digest that chains all frames before:
then it is about this very log. It can be removed at any time, at the cost of reading the whole log once.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from services.node.merkle_frontier import MerkleFrontier
from services.node.streamlog import LogPosition

__all__ = ["ResumePoint", "read_resume_point", "write_resume_point"]


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """The entries before `peaks.size` are anchored in the outbox and in the book, and no window needs them any more."""

    position: LogPosition
    """Of a frame's beginning, at that entry or before it."""
    peaks: MerkleFrontier = field(default_factory=MerkleFrontier)


def read_resume_point(path: Path) -> ResumePoint | None:
    """None where there is none that can be used."""
    try:
        found = json.loads(path.read_bytes())
        if found.pop("check") != _check(found):
            return None
        position = LogPosition(int(found["offset"]), int(found["index"]), bytes.fromhex(found["digest"]))
        return ResumePoint(
            position, MerkleFrontier(int(found["size"]), [bytes.fromhex(peak) for peak in found["peaks"]])
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write_resume_point(path: Path, resume_point: ResumePoint) -> None:
    """Raises OSError when the disk does not take it."""
    position, peaks = resume_point.position, resume_point.peaks
    value = {
        "offset": position.offset,
        "index": position.index,
        "digest": position.digest.hex(),
        "size": peaks.size,
        "peaks": [peak.hex() for peak in peaks.peaks],
    }
    # In place: some file systems wait for the disk where a file is emptied or replaced.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(descriptor, os.write(descriptor, json.dumps({**value, "check": _check(value)}).encode()))
    finally:
        os.close(descriptor)


def _check(value: dict[str, object]) -> str:
    """A digest: a position that is off by a little would make sound frames look torn."""
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=16).hexdigest()
