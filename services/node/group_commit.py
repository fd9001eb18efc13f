"""Group commit: all batches that arrive during one fdatasync are written as the next frame, with one fdatasync."""

from __future__ import annotations

import queue
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from millmark.ledger.errors import MillmarkError
from millmark.ledger.evidence import SALT_BYTES
from millmark.services.node.dedup_index import DedupIndex
from millmark.services.node.errors import LogBusyError, LogError
from millmark.services.node.events import Event
from millmark.services.node.frames import MAX_BODY_BYTES, LogEntry, body_bytes
from millmark.services.node.streamlog import StreamLog, explain_failure

_MAX_WAITING_BYTES = 4 * MAX_BODY_BYTES


@dataclass(slots=True)
class Outcome:
    """The result of committing a batch."""

    first: int
    """Index in the stream's Merkle tree of the first accepted event; the other accepted ones follow it."""
    accepted: int = 0
    """Number of events made durable by this commit."""
    duplicates: int = 0
    """Number of events that the log already had."""
    conflicts: list[int] = field(default_factory=list)
    """Positions in the batch of events whose id belongs to an event with other content. They are not stored."""
    salts: list[tuple[int, bytes]] = field(default_factory=list)
    """Position in the batch, and salt, of each accepted event."""

    def leaves(self) -> list[int]:
        """Index of the first and of the last accepted event; empty if there is none."""
        return [self.first, self.first + self.accepted - 1] if self.accepted else []


@dataclass(slots=True)
class _Batch:
    events: Sequence[Event]
    size: int
    received_at_ms: int
    done: Future[Outcome] = field(default_factory=Future)


class Committer:
    """Writes one stream's log in a thread of its own. `on_frame` is called after each frame with its number of
    entries."""

    def __init__(
        self, log: StreamLog, dedup_index: DedupIndex, on_frame: Callable[[int], None] = lambda _: None
    ) -> None:
        self._log = log
        self._dedup_index = dedup_index
        self._on_frame = on_frame
        self._waiting: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting_bytes = 0
        self._left: _Batch | None = None
        self._stopping = False
        self.failure: MillmarkError | None = None
        """Why the latest commit failed; None if it succeeded."""
        self._thread = threading.Thread(target=self._run, name="millmark-log", daemon=True)
        self._thread.start()

    def submit(self, events: Sequence[Event]) -> Future[Outcome]:
        """Queues a batch. The future yields the outcome once all accepted events are durable, or raises LogError if
        none is acknowledged.

        Raises LogBusyError if too many bytes are waiting or the batch exceeds a frame, LogError after `stop`.
        """
        batch = _Batch(events, body_bytes([event.content for event in events]), time.time_ns() // 1_000_000)
        if batch.size > MAX_BODY_BYTES:
            raise LogBusyError("the batch is larger than a frame of the log", hint="send smaller batches")
        with self._lock:
            if self._stopping:
                raise LogError("the node is stopping", hint="send the batch again later")
            # A batch that fits into a frame is always accepted when nothing is waiting.
            if self._waiting_bytes and self._waiting_bytes + batch.size > _MAX_WAITING_BYTES:
                raise LogBusyError("the disk cannot keep up", hint="send the batch again in a second")
            self._waiting_bytes += batch.size
            self._waiting.put(batch)
        return batch.done

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs, without which no batch gets an outcome."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Refuses further batches, and returns once every submitted one has its outcome."""
        with self._lock:  # so that no batch is queued behind the end marker, where nobody would read it
            self._stopping = True
            self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while batches := self._take():
            try:
                outcomes = self._commit(batches)
            except BaseException as error:  # the thread must survive anything, and every sender needs an answer
                self.failure = _explain(error)
                for batch in batches:
                    if batch.done.set_running_or_notify_cancel():  # a sender may have cancelled its future
                        batch.done.set_exception(self.failure)
            else:
                for batch, found in zip(batches, outcomes, strict=True):
                    if batch.done.set_running_or_notify_cancel():
                        batch.done.set_result(found)
            # Released after the commit, so that the bound covers the batches being written too.
            with self._lock:
                self._waiting_bytes -= sum(batch.size for batch in batches)

    def _take(self) -> list[_Batch]:
        """Waits for a batch, then adds the other waiting batches that fit into one frame. Empty when stopping."""
        first = self._left or self._waiting.get()
        self._left = None
        if first is None:
            return []
        taken, size = [first], first.size
        while not self._waiting.empty():
            batch = self._waiting.get()
            if batch is None:
                self._waiting.put(None)  # the marker is read again after these batches are committed
                break
            if size + batch.size > MAX_BODY_BYTES:
                self._left = batch  # first of the next frame: a queue cannot take it back at its front
                break
            taken.append(batch)
            size += batch.size
        return taken

    def _commit(self, batches: Sequence[_Batch]) -> list[Outcome]:
        known = self._dedup_index.find([event.id for batch in batches for event in batch.events])
        ids: list[str] = []
        entries: list[LogEntry] = []
        outcomes = []
        # Nobody else writes to the log or the index, so no event can be added between the lookup and the append.
        for batch in batches:
            outcome = Outcome(self._log.end.index + len(entries))
            salts = secrets.token_bytes(SALT_BYTES * len(batch.events))
            for position, (identity, _, content) in enumerate(batch.events):
                before = known.get(identity)
                if before is None:
                    # An id may occur twice in one frame; the second is then a duplicate or a conflict of the first.
                    known[identity] = content
                    ids.append(identity)
                    salt = salts[SALT_BYTES * position : SALT_BYTES * (position + 1)]
                    outcome.salts.append((position, salt))
                    entries.append(LogEntry(batch.received_at_ms, salt, content))
                elif before == content:
                    outcome.duplicates += 1
                else:
                    outcome.conflicts.append(position)
            outcome.accepted = self._log.end.index + len(entries) - outcome.first
            outcomes.append(outcome)
        if entries:
            # One fdatasync for all batches. If it fails, every batch gets the error: also those with duplicates alone,
            # whose senders just repeat them.
            self._log.append(entries)
            self.failure = None
            self._index(ids, entries)
        return outcomes

    def _index(self, ids: Sequence[str], entries: Sequence[LogEntry]) -> None:
        """Adds durable entries to the dedup index. A failure does not fail the batch: the next lookup adds the entries
        from the log."""
        try:
            self._dedup_index.add(ids, entries, self._log.end)
        except OSError as error:
            self.failure = _explain(error)
        self._on_frame(len(entries))


def _explain(error: BaseException) -> MillmarkError:
    if isinstance(error, MillmarkError):
        return error
    if isinstance(error, OSError):
        return explain_failure("the dedup index", error)
    return LogError("the log failed unexpectedly", hint="see the node's standard error")
