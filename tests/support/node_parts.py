"""Parts of a node in this process: a log, its committer and an intake, without chain or socket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from millmark.services.node.events import DeadLetter, DeadLetters, read_dead_letters
from millmark.services.node.intake import Intake, Lots, Metrics, StreamIntake
from millmark.services.node.streamlog import Committer, DedupIndex, StreamLog

STREAM = bytes(range(32))


@dataclass(slots=True)
class Parts:
    """The parts of a node with one stream."""

    folder: Path
    log: StreamLog
    intake: Intake
    metrics: Metrics

    def contents(self) -> list[bytes]:
        return [entry.content for frame in self.log.frames(self.log.start) for entry in frame.entries]

    def dead_letters(self) -> list[DeadLetter]:
        return list(read_dead_letters(self.folder / "dead", 1000))


@contextmanager
def open_parts(folder: Path, samples_field: str | None = None, lots: Lots | None = None) -> Iterator[Parts]:
    """Opens the parts for one stream, `press`."""
    log = StreamLog(folder / "log", STREAM)
    known = DedupIndex(folder / "known", log)
    committer = Committer(log, known)
    metrics = Metrics()
    streams = {"press": StreamIntake(committer, samples_field, lots)}
    try:
        yield Parts(folder, log, Intake(streams, DeadLetters(folder / "dead", metrics.refused), metrics), metrics)
    finally:
        committer.stop()
        known.close()
        log.close()
