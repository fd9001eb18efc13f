"""Group commit: whatever waits while the disk synchronises goes into the next frame, with one synchronisation."""

from __future__ import annotations

import queue
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from ledger.errors import MillmarkError
from ledger.evidence import SALT_BYTES
from services.node.dedup_index import DedupIndex
from services.node.errors import LogBusyError, LogError
from services.node.events import Event
from services.node.frames import MOST_BODY_BYTES, LogEntry, body_bytes
from services.node.streamlog import StreamLog, explain_failure

__all__ = ["Committer", "Outcome"]

_MOST_WAITING_BYTES = 4 * MOST_BODY_BYTES


@dataclass(slots=True)
class Outcome:
    """What became of a batch."""

    first: int
    """Index in the stream's tree of the first event that was accepted; the others follow it."""
    accepted: int = 0
    """Are durable."""
    duplicates: int = 0
    """Were durable before."""
    conflicts: list[int] = field(default_factory=list)
    """Positions in the batch of those whose id was used for another content; they are not kept."""

    def leaves(self) -> list[int]:
        """The first and the last of those that were accepted, for the log; none where none was."""
        return [self.first, self.first + self.accepted - 1] if self.accepted else []


@dataclass(slots=True)
class _Batch:
    events: Sequence[Event]
    size: int
    received_at_ms: int
    done: Future[Outcome] = field(default_factory=Future)


class Committer:
    """The thread that writes one stream's log. `noticed` is called after each frame, with the number of its entries."""

    def __init__(self, log: StreamLog, known: DedupIndex, noticed: Callable[[int], None] = lambda _: None) -> None:
        self._log = log
        self._known = known
        self._noticed = noticed
        self._waiting: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting_bytes = 0
        self._left: _Batch | None = None
        self._stopping = False
        self.failure: MillmarkError | None = None
        """Why the latest frame failed; None when it did not."""
        self._thread = threading.Thread(target=self._run, name="millmark-log", daemon=True)
        self._thread.start()

    def submit(self, events: Sequence[Event]) -> Future[Outcome]:
        """The outcome, once everything accepted is durable; or LogError, and then nothing of it is.

        Raises LogBusyError when too much waits already."""
        batch = _Batch(events, body_bytes([event.content for event in events]), time.time_ns() // 1_000_000)
        if batch.size > MOST_BODY_BYTES:
            raise LogBusyError("a batch is larger than a frame of the log", hint="send less at once")
        with self._lock:
            if self._stopping:
                raise LogError("the node stops", hint="send the batch again")
            if self._waiting_bytes and self._waiting_bytes + batch.size > _MOST_WAITING_BYTES:
                raise LogBusyError("the disk does not keep up", hint="send again in a second")
            self._waiting_bytes += batch.size
            self._waiting.put(batch)
        return batch.done

    def stop(self) -> None:
        """Returns when all that was submitted is settled."""
        with self._lock:
            self._stopping = True
            self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while batches := self._take():
            try:
                outcomes = self._commit(batches)
            except Exception as error:  # the thread must outlive any failure; every sender gets his answer
                self.failure = _explain(error)
                for batch in batches:
                    if batch.done.set_running_or_notify_cancel():  # a sender may be gone
                        batch.done.set_exception(self.failure)
            else:
                for batch, found in zip(batches, outcomes, strict=True):
                    if batch.done.set_running_or_notify_cancel():
                        batch.done.set_result(found)
            with self._lock:
                self._waiting_bytes -= sum(batch.size for batch in batches)

    def _take(self) -> list[_Batch]:
        """Waits for a batch, and takes all that wait with it as far as a frame holds them. Empty at the end."""
        first = self._left or self._waiting.get()
        self._left = None
        if first is None:
            return []
        taken, size = [first], first.size
        while not self._waiting.empty():
            batch = self._waiting.get()
            if batch is None:
                self._waiting.put(None)  # the end comes after what was taken
                break
            if size + batch.size > MOST_BODY_BYTES:
                self._left = batch
                break
            taken.append(batch)
            size += batch.size
        return taken

    def _commit(self, batches: Sequence[_Batch]) -> list[Outcome]:
        known = self._known.find([event.id for batch in batches for event in batch.events])
        ids: list[str] = []
        entries: list[LogEntry] = []
        outcomes = []
        for batch in batches:
            outcome = Outcome(self._log.end.index + len(entries))
            salts = secrets.token_bytes(SALT_BYTES * len(batch.events))
            for position, (identity, _, content) in enumerate(batch.events):
                before = known.get(identity)
                if before is None:
                    known[identity] = content
                    ids.append(identity)
                    salt = salts[SALT_BYTES * position : SALT_BYTES * (position + 1)]
                    entries.append(LogEntry(batch.received_at_ms, salt, content))
                elif before == content:
                    outcome.duplicates += 1
                else:
                    outcome.conflicts.append(position)
            outcome.accepted = self._log.end.index + len(entries) - outcome.first
            outcomes.append(outcome)
        if entries:
            self._log.append(entries)
            self.failure = None
            self._note(ids, entries)
        return outcomes

    def _note(self, ids: Sequence[str], entries: Sequence[LogEntry]) -> None:
        """The events are durable whether or not the index takes them: it can read them from the log."""
        try:
            self._known.add(ids, entries, self._log.end)
        except OSError as error:
            self.failure = _explain(error)
        self._noticed(len(entries))


def _explain(error: Exception) -> MillmarkError:
    if isinstance(error, MillmarkError):
        return error
    if isinstance(error, OSError):
        return explain_failure("the index of known events", error)
    return LogError("the log failed in a way that is not foreseen", hint="see the node's log")
