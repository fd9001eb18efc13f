"""The resume point: how far a stream's log has been recorded, so that a start reads only the rest of the log.

A resume point is used only if the log has the same digest at its position; since digests chain all earlier frames, it
then belongs to this log. The file can be removed at any time, at the cost of reading the whole log once.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from millmark.services.node.merkle_frontier import MerkleFrontier
from millmark.services.node.streamlog import LogPosition


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """Entries before `peaks.size` are stored in the book, anchored in the outbox, and not part of an unfinished
    window."""

    position: LogPosition
    """Start of the frame that contains the entry `peaks.size`, or end of the log."""
    peaks: MerkleFrontier = field(default_factory=MerkleFrontier)


def read_resume_point(path: Path) -> ResumePoint | None:
    """Reads a resume point; None if the file is missing or damaged."""
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
    """Writes a resume point; not durable on return. Raises OSError."""
    position, peaks = resume_point.position, resume_point.peaks
    value = {
        "offset": position.offset,
        "index": position.index,
        "digest": position.digest.hex(),
        "size": peaks.size,
        "peaks": [peak.hex() for peak in peaks.peaks],
    }
    # In place, because some file systems wait for the disk when a file is truncated to zero or replaced. A crash can
    # leave a mixture of old and new bytes, which the check digest reveals.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(descriptor, os.write(descriptor, json.dumps({**value, "check": _check(value)}).encode()))
    finally:
        os.close(descriptor)


def _check(value: dict[str, object]) -> str:
    """Digest of the other members."""
    # A slightly wrong position would make valid frames look like a torn tail, which is cut off.
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=16).hexdigest()
