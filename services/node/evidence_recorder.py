"""From the log to the outbox: evidence kept in the private book, anchors and certificates queued, in order.

The log alone says what there is to record. The outbox says how far that has come: the greatest size of an anchor in it.
An anchor, the entries that it is the first to cover, for the book, and their certificates go into one database
transaction, so a crash at any moment leaves either all of them or none, and the next start goes on from there.
"""

from __future__ import annotations

import json
import time
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from structlog.typing import FilteringBoundLogger

from ledger.chain import call_data
from ledger.errors import SettingsError, StoreDamagedError
from ledger.evidence import EVIDENCE_TAG, EvidenceEntry
from ledger.merkle import leaf_hash
from ledger.records import Anchor, Record
from ledger.store import Book, Store
from ledger.store.outbox import Entry, Outbox, enqueue_in
from services.node.config import AnchorRule
from services.node.drafts import Drafts
from services.node.frames import ENTRY_BYTES, Frame, LogEntry, body_bytes
from services.node.merkle_frontier import MerkleFrontier
from services.node.resume import ResumePoint, read_resume_point, write_resume_point
from services.node.streamlog import StreamLog

if TYPE_CHECKING:
    from services.node.inspection import Certified, Certifier

__all__ = ["StreamRecorder", "anchor_key"]


def anchor_key(stream: bytes, size: int) -> str:
    """Idempotency key of an anchor; keys of one stream ascend with the size."""
    return f"{_anchor_prefix(stream)}{size:013d}"


def _anchor_prefix(stream: bytes) -> str:
    return f"node/anchor/{stream.hex()}/"


@dataclass(slots=True)
class _Unanchored:
    """What no anchor covers yet."""

    count: int = 0
    size_bytes: int = 0
    since_s: float = 0.0
    """Monotonic, of the first entry."""
    entries: list[LogEntry] = field(default_factory=list)
    """Those that the book does not have."""
    leaves: list[bytes] = field(default_factory=list)
    """Hashes of their leaves."""


class StreamRecorder:
    """Of one stream; used by one thread."""

    def __init__(
        self,
        name: str,
        stream: bytes,
        log: StreamLog,
        store: Store,
        signer: bytes,
        rule: AnchorRule,
        drafts: Drafts,
        logger: FilteringBoundLogger,
        certifier: Certifier | None = None,
        resume_path: Path | None = None,
    ) -> None:
        """`resume_path`: file of how far the log was recorded. Raises StoreDamagedError when the log has fewer entries
        than were anchored or kept."""
        self.name = name
        self._stream = stream
        self._log = log
        self._store = store
        self._signer = signer
        self._rule = rule
        self._drafts = drafts
        self._certifier = certifier
        self._logger = logger
        self._resume_path = resume_path
        self._left: Sequence[LogEntry] = ()
        """Of a frame that was read, what was not taken in when an anchor became due."""
        self._unanchored = _Unanchored()
        latest = Outbox(store).latest_key(_anchor_prefix(stream))
        self.anchored = 0 if latest is None else int(latest.rpartition("/")[2])
        """Entries under the latest anchor in the outbox."""
        with store.reading() as connection:
            self._kept = Book(connection).evidence_size(stream)
        least = max(self.anchored, self._kept)
        if log.end.index < least:
            raise StoreDamagedError(
                f"{log.path} has {log.end.index} entries, of {least} that are anchored or in the database",
                hint="restore the log from the latest backup; no node may go on with a shorter one",
            )
        found = None if resume_path is None else read_resume_point(resume_path)
        if found is None or not log.holds(found.position) or found.peaks.size > min(self.anchored, self._kept):
            found = ResumePoint(log.start)
        self._resume_point = found
        self._position = self._frame = found.position
        """Behind the frame that was read last, and at its beginning."""
        self._peaks = MerkleFrontier(found.peaks.size, found.peaks.peaks)

    @property
    def open_count(self) -> int:
        """Entries that no anchor covers yet, as far as they were taken in."""
        return self._unanchored.count

    @property
    def stream(self) -> bytes:
        """The stream's subject."""
        return self._stream

    def verify_anchored(self, size: int, root: bytes) -> None:
        """That the ledger's latest anchor is of this log, and that the outbox knows of it. Raises SettingsError when
        the outbox is older than the ledger, StoreDamagedError when the log is another than the anchored one."""
        if size > self.anchored:
            raise SettingsError(
                f"stream {self.name} is anchored up to {size} entries, the outbox knows of {self.anchored}: "
                "the database is older than the ledger",
                hint="restore the newest database (services/node/OPERATIONS.md)",
            )
        known = self._resume_point if self._resume_point.peaks.size <= size else ResumePoint(self._log.start)
        peaks = MerkleFrontier(known.peaks.size, known.peaks.peaks)
        for frame in self._log.frames(known.position) if peaks.size < size else ():
            peaks.extend(_leaves(frame.entries[peaks.size - frame.first : size - frame.first]))
            if peaks.size == size:
                break
        if peaks.root() != root:
            raise StoreDamagedError(
                f"the first {size} entries of {self._log.path} are not those that were anchored",
                hint="restore the log from the latest backup",
            )

    def step(self) -> None:
        """Takes in what is new, and queues an anchor for whatever is due. Raises StoreError, InputError or OSError when
        the disk does not take it; the next step tries again."""
        self._anchor_if_due()
        while self._left or self._position.offset < self._log.end.offset:
            if not self._left:
                self._read(next(self._log.frames(self._position)))
            while self._left:
                self._take()
                self._anchor_if_due()

    def _read(self, frame: Frame) -> None:
        self._frame = self._position
        self._position = self._position.behind(frame)
        self._left = frame.entries[max(self._peaks.size - frame.first, 0) :]

    def _take(self) -> None:
        """What was read, as far as one anchor covers it."""
        first = self._peaks.size
        queued = first < self.anchored
        number = self.anchored - first if queued else self._room()
        taken, self._left = self._left[:number], self._left[number:]
        leaves = _leaves(taken)
        self._peaks.extend(leaves)
        if self._certifier is not None:
            self._feed(self._certifier, first, taken, leaves, queued)
        new = max(self._kept - first, 0)
        self._unanchored.entries += taken[new:]
        self._unanchored.leaves += leaves[new:]
        if queued:
            return
        if not self._unanchored.count:
            self._unanchored.since_s = time.monotonic()
        self._unanchored.count += len(taken)
        self._unanchored.size_bytes += body_bytes([entry.content for entry in taken])

    def _room(self) -> int:
        """Entries until an anchor is due, one at least."""
        number = max(self._rule.count - self._unanchored.count, 1)
        sizes = accumulate([ENTRY_BYTES + len(content) for _, _, content in self._left[:number]])
        return min(bisect_left(list(sizes), self._rule.bytes - self._unanchored.size_bytes) + 1, number)

    @staticmethod
    def _feed(
        certifier: Certifier, first: int, taken: Sequence[LogEntry], leaves: Sequence[bytes], queued: bool
    ) -> None:
        # A search of the bytes spares the parser all events without a lot. A flag in each entry of the log would spare
        # no more than this search, and what has a lot is parsed for its samples all the same.
        for index, (kept, leaf) in enumerate(zip(taken, leaves, strict=True), first):
            if b'"lot":' in kept.content:
                entry = EvidenceEntry(index, kept.salt, json.loads(kept.content), leaf)
                certifier.feed(entry, kept.received_at_ms, queued)

    def _anchor_if_due(self) -> None:
        rule, waiting = self._rule, self._unanchored
        if waiting.count and (
            waiting.count >= rule.count
            or waiting.size_bytes >= rule.bytes
            or time.monotonic() - waiting.since_s >= rule.seconds
        ):
            self._anchor()

    def _anchor(self) -> None:
        """Certificates are built again after a crash in front of the transaction, and drafts replaced by name."""
        certified = [] if self._certifier is None else self._certifier.build()
        size = self._peaks.size
        if certified:
            self._drafts.put(f"{self.name}-{size:013d}", [one.draft for one in certified])
        self._queue(Anchor(self._stream, size, self._peaks.root()), certified)
        self._logger.info(
            "anchor queued",
            stream=self.name,
            record=anchor_key(self._stream, size),
            first_leaf=self.anchored,
            size=size,
            certificates=[one.draft.key for one in certified],
        )
        self.anchored, self._kept = size, max(self._kept, size)
        if self._certifier is not None:
            self._certifier.done()
        self._unanchored = _Unanchored()
        self._note()

    def _note(self) -> None:
        """Where windows are unfinished, the next start needs their entries, and the resume point before stays."""
        if self._resume_path is None or (self._certifier is not None and not self._certifier.is_even):
            return
        position = self._frame if self._left else self._position
        write_resume_point(self._resume_path, ResumePoint(position, self._peaks))

    def _queue(self, anchor: Anchor, certified: Sequence[Certified]) -> None:
        """With the entries that it covers, all at once."""
        key, opened = anchor_key(self._stream, anchor.size), self._unanchored
        first = anchor.size - len(opened.entries)
        salts, texts = [entry.salt for entry in opened.entries], [entry.content for entry in opened.entries]
        with self._store.transaction() as connection:
            Book(connection).add_evidence_run(self._stream, first, salts, texts, opened.leaves)
            enqueue_in(connection, self._signer, _entry(key, anchor, None))
            for one in certified:
                enqueue_in(connection, self._signer, _entry(one.draft.key, one.record, key))


def _leaves(entries: Sequence[LogEntry]) -> list[bytes]:
    """As `build_leaf_data` has them, from the canonical bytes."""
    return [leaf_hash(EVIDENCE_TAG + salt + content) for _, salt, content in entries]


def _entry(key: str, record: Record, depends_on: str | None) -> Entry:
    return Entry(key, record.contract.value, type(record).__name__, call_data(record), depends_on)
