"""Records a stream's log: stores its entries in the book, and queues anchors and certificates in the outbox, in order.

The log alone determines what is recorded. Progress is the largest size among the stream's anchors in the outbox. An
anchor, the entries that it is the first to cover, and their certificates are written in one database transaction: a
crash leaves all of them or none, and the next start resumes from there.

First come its parts: the tree's root and the resume point.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from structlog.typing import FilteringBoundLogger

from millmark.ledger import canonical, chain, errors
from millmark.ledger.evidence import (
    EvidenceEntry,
    LeafKind,
    build_leaf_data,
)
from millmark.ledger.merkle import EMPTY_ROOT, hash_pairs, leaf_hash, node_hash
from millmark.ledger.records import Anchor, Record
from millmark.ledger.store import Book, Store
from millmark.ledger.store.outbox import Outbox, enqueue_in
from millmark.ledger.store.outbox_records import Entry
from millmark.services.node import config, events
from millmark.services.node.streamlog import ENTRY_BYTES, Frame, LogEntry, LogPosition, StreamLog, body_bytes
from millmark.services.node.windows import WINDOW_BEGINS, Drafts, is_window, parse_window

if TYPE_CHECKING:
    from millmark.services.node.inspection import Certified, Certifier


# Computes the root of a growing Merkle tree (RFC 9162 section 2.1) in logarithmic memory.

_HASH_BYTES = 32


class MerkleFrontier:
    """The peaks of the tree: roots of the complete subtrees into which its leaves divide, largest first."""

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        """Raises ValueError if the number of peaks or their length cannot be that of `size` leaves. Does not establish
        that the peaks are right."""
        if size < 0 or len(peaks) != size.bit_count() or any(len(peak) != _HASH_BYTES for peak in peaks):
            raise ValueError(f"a tree of {size} leaves cannot have these {len(peaks)} peaks")
        self.size = size
        self._peaks = list(peaks)

    @property
    def peaks(self) -> tuple[bytes, ...]:
        return tuple(self._peaks)

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Adds leaf hashes, 32 bytes each."""
        # Level by level instead of leaf by leaf. If a level has a peak, it is the left sibling of the first new node;
        # a last node without a sibling becomes the level's new peak.
        size, nodes, left = self.size, list(leaves), []
        while nodes:
            if size & 1:
                nodes.insert(0, self._peaks.pop())
            if len(nodes) & 1:
                left.append(nodes.pop())
            nodes = hash_pairs(nodes)
            size >>= 1
        self._peaks += reversed(left)
        self.size += len(leaves)

    def root(self) -> bytes:
        if not self._peaks:
            return EMPTY_ROOT
        *left, root = self._peaks
        for peak in reversed(left):
            root = node_hash(peak, root)
        return root


# The resume point: how far a stream's log has been recorded, so that a start reads only the rest of the log.
#
# A resume point is used only if the log has the same digest at its position; since digests chain all earlier frames, it
# then belongs to this log. The file can be removed at any time, at the cost of reading the whole log once.


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


_WINDOWS_AT_ONCE = 1000
_LOOK_S = 1.0
"""Time between looks at certificates that are held back."""


def anchor_key(stream: bytes, size: int) -> str:
    """Idempotency key of an anchor over `size` entries. The keys of a stream sort by size."""
    return f"{_anchor_prefix(stream)}{size:013d}"


def _anchor_prefix(stream: bytes) -> str:
    return f"node/anchor/{stream.hex()}/"


@dataclass(slots=True)
class _Unanchored:
    """Entries that no anchor covers yet."""

    count: int = 0
    size_bytes: int = 0
    since_s: float = 0.0
    """Monotonic time at which the first of them was read."""
    entries: list[LogEntry] = field(default_factory=list)
    """Those of them that the book lacks."""
    leaves: list[bytes] = field(default_factory=list)
    """Leaf hashes of `entries`."""


class StreamRecorder:
    """Records one stream. Not thread-safe."""

    def __init__(
        self,
        name: str,
        stream: bytes,
        log: StreamLog,
        store: Store,
        signer: bytes,
        rule: config.AnchorRule,
        drafts: Drafts,
        logger: FilteringBoundLogger,
        certifier: Certifier | None = None,
        resume_path: Path | None = None,
        write: Callable[[Sequence[events.Event]], object] = lambda _: None,
    ) -> None:
        """`stream`: the stream's subject. `signer`: address of the signing key. `resume_path`: file of the resume
        point. `write`: appends entries to the log, and returns when they are durable; only for a certifier's windows.
        Raises StoreDamagedError if the log has fewer entries than are anchored in the outbox or stored in the book."""
        self.name, self._stream, self._log, self._store = name, stream, log, store
        self.signer, self._rule, self._drafts, self._certifier = signer, rule, drafts, certifier
        self._logger, self._resume_path, self._write = logger, resume_path, write
        self._look_at_s = 0.0
        self._left: Sequence[LogEntry] = ()
        """Entries of the latest frame that are still to be recorded: an anchor became due in its middle."""
        self._unanchored = _Unanchored()
        latest = Outbox(store).latest_key(_anchor_prefix(stream))
        self.queued = 0 if latest is None else int(latest.rpartition("/")[2])
        """Number of entries under the latest anchor in the outbox, final or not."""
        with store.reading() as connection:
            self._kept = Book(connection).evidence_size(stream)
        least = max(self.queued, self._kept)
        if log.end.index < least:
            raise errors.StoreDamagedError(
                f"{log.path} has {log.end.index} entries, but {least} are anchored or in the database",
                hint="restore the log from the latest backup; a node cannot continue with a shorter log",
            )
        self._resume_point = found = self._find_resume_point()
        self._position = self._frame = found.position
        """End and start of the latest frame that was read."""
        self._peaks = MerkleFrontier(found.peaks.size, found.peaks.peaks)

    def _find_resume_point(self) -> ResumePoint:
        found = None if self._resume_path is None else read_resume_point(self._resume_path)
        # The file is not synchronised with the database. A point beyond either of the two (a database restored from a
        # backup, say) would skip entries, so the log is then read from its start.
        if found is None or not self._log.holds(found.position) or found.peaks.size > min(self.queued, self._kept):
            return ResumePoint(self._log.start)
        return found

    @property
    def open_count(self) -> int:
        """Number of entries read so far that no anchor covers yet."""
        return self._unanchored.count

    @property
    def waiting(self) -> int:
        """Number of windows whose certificates are not queued although an anchor covers them: see `Certifier`."""
        return 0 if self._certifier is None else self._certifier.count_due(self.queued)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is left to do until the log has new entries."""
        unread = bool(self._left) or self._position.offset < self._log.end.offset
        return not (unread or self.open_count or self.waiting)

    @property
    def stream(self) -> bytes:
        """The stream's subject."""
        return self._stream

    def count_anchored(self) -> int:
        """Number of entries under the latest anchor that is final on the ledger. Raises StoreError."""
        latest = Outbox(self._store).latest_final_key(_anchor_prefix(self._stream))
        return 0 if latest is None else int(latest.rpartition("/")[2])

    def is_own_anchor(self, size: int, root: bytes) -> bool:
        """Whether the outbox has exactly this anchor. Its root was then computed from this log, when it was queued."""
        key = anchor_key(self._stream, size)
        found = Outbox(self._store).find([key]).get(key)
        return found is not None and found.payload == chain.call_data(Anchor(self._stream, size, root))

    def verify_anchored(self, size: int, root: bytes) -> None:
        """Checks that the ledger's latest anchor, `root` over `size` entries, is in the outbox and matches the log.
        Raises SettingsError if the outbox is older than the ledger, StoreDamagedError if the log's entries differ."""
        # Anchors queued from such a database would not be larger than the ledger's latest one, which the contract
        # refuses.
        if size > self.queued:
            raise errors.SettingsError(
                f"stream {self.name} has {size} entries anchored on the ledger but {self.queued} in the outbox: "
                "the database is older than the ledger, or another node anchors this stream",
                hint="stop a node on a copy of this folder; or restore the newest database "
                "(services/node/OPERATIONS.md)",
            )
        # A frontier cannot be rolled back, so a resume point beyond the anchor does not help.
        start = self._resume_point if self._resume_point.peaks.size <= size else ResumePoint(self._log.start)
        peaks = MerkleFrontier(start.peaks.size, start.peaks.peaks)
        for frame in self._log.frames(start.position) if peaks.size < size else ():
            peaks.extend(_leaves(frame.entries[peaks.size - frame.first : size - frame.first]))
            if peaks.size == size:
                break
        if peaks.root() != root:
            raise errors.StoreDamagedError(
                f"the first {size} entries of {self._log.path} differ from those anchored on the ledger: "
                "the log was changed, or another node anchors this stream",
                hint="stop a node on a copy of this folder; or restore the log from the latest backup",
            )

    def step(self) -> None:
        """Reads new entries from the log and queues each anchor that is due. Raises StoreError, InputError or OSError
        if the disk fails; the next step tries again."""
        self._anchor_if_due()
        self._record()
        while self._write_windows():
            self._record()
        self._certify_held()

    def _record(self) -> None:
        while not self._is_full and (self._left or self._position.offset < self._log.end.offset):
            if not self._left:
                self._read(next(self._log.frames(self._position)))
            while self._left:
                self._take()
                self._anchor_if_due()

    def _write_windows(self) -> bool:
        """Appends the windows that lack an entry to the log; returns whether there were any."""
        windows = [] if self._certifier is None else self._certifier.unwritten()
        for start in range(0, len(windows), _WINDOWS_AT_ONCE):
            part = windows[start : start + _WINDOWS_AT_ONCE]
            self._write(part)
            # Only now: windows of a write that failed are given out again.
            if self._certifier is not None:
                self._certifier.wrote(part)
        return bool(windows)

    def _read(self, frame: Frame) -> None:
        self._frame = self._position
        self._position = self._position.after(frame)
        # The resume point's frame may contain entries that are already in its frontier.
        self._left = frame.entries[max(self._peaks.size - frame.first, 0) :]

    def _take(self) -> None:
        """Takes as many of the entries read as one anchor covers."""
        first = self._peaks.size
        queued = first < self.queued
        # A restart reads anchored entries again, for the tree and for unfinished windows. They stop at the old anchor's
        # size: entries beyond it belong to a new anchor, with certificates that are not queued yet.
        number = self.queued - first if queued else self._room()
        taken, self._left = self._left[:number], self._left[number:]
        leaves = _leaves(taken)
        self._peaks.extend(leaves)
        if self._certifier is not None:
            self._feed(self._certifier, first, taken, leaves, queued)
        # The book may hold more entries than are anchored; those are not stored again.
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
        """Number of entries until an anchor is due, at least one: a single entry may exceed the rule's bytes."""
        number = max(self._rule.count - self._unanchored.count, 1)
        sizes = accumulate([ENTRY_BYTES + len(content) for _, _, content in self._left[:number]])
        return min(bisect_left(list(sizes), self._rule.bytes - self._unanchored.size_bytes) + 1, number)

    @staticmethod
    def _feed(
        certifier: Certifier, first: int, taken: Sequence[LogEntry], leaves: Sequence[bytes], queued: bool
    ) -> None:
        # Searching the bytes avoids parsing events without a lot. A flag in each entry of the log would avoid only the
        # search, since an event with a lot has to be parsed for its samples anyway.
        for index, (kept, leaf) in enumerate(zip(taken, leaves, strict=True), first):
            if is_window(kept.content):
                written = parse_window(kept.content)
                entry = EvidenceEntry(index, kept.salt, written.entry, leaf, LeafKind.WINDOW)
                certifier.feed_window(entry, written, kept.received_at_ms, queued)
            elif b'"lot":' in kept.content:
                certifier.feed(EvidenceEntry(index, kept.salt, json.loads(kept.content), leaf))

    def _anchor_if_due(self) -> None:
        rule, waiting = self._rule, self._unanchored
        if waiting.count and (
            waiting.count >= rule.count
            or waiting.size_bytes >= rule.bytes
            or time.monotonic() - waiting.since_s >= rule.seconds
        ):
            self._anchor()

    def _anchor(self) -> None:
        """Queues an anchor over all entries read, with the certificates that are due."""
        # After a crash before the transaction of `_queue`, the certificates are built again and the drafts of the same
        # name replaced. Drafts come first: without its draft, a certificate could not be opened in a challenge.
        size = self._peaks.size
        certified = [] if self._certifier is None else self._certifier.build(size)
        if certified:
            self._drafts.put(f"{self.name}-{size:013d}", [one.draft for one in certified])
        self._queue(Anchor(self._stream, size, self._peaks.root()), certified)
        self._logger.info(
            "anchor queued",
            stream=self.name,
            record=anchor_key(self._stream, size),
            first_leaf=self.queued,
            size=size,
            certificates=[one.draft.key for one in certified],
        )
        # Only now: if the transaction failed, the next step queues the same anchor again.
        self.queued, self._kept = size, max(self._kept, size)
        if self._certifier is not None:
            self._certifier.done()
        self._unanchored = _Unanchored()
        self._save_resume_point()

    def _certify_held(self) -> None:
        """Queues certificates that could not be decided when their anchor was queued."""
        if self._certifier is None or time.monotonic() < self._look_at_s or not self.waiting:
            return
        self._look_at_s = time.monotonic() + _LOOK_S
        certified = self._certifier.build(self.queued)
        if certified:
            keys = [one.draft.key for one in certified]
            # Named after the first of them: the file of the anchor may still be there.
            self._drafts.put(f"{self.name}-{keys[0].replace('/', '-')}", [one.draft for one in certified])
            key = anchor_key(self._stream, self.queued)
            with self._store.transaction() as connection:
                for one in certified:
                    enqueue_in(connection, self.signer, _entry(one.draft.key, one.record, key))
            self._logger.info("certificates queued", stream=self.name, record=key, certificates=keys)
        self._certifier.done()
        self._save_resume_point()

    @property
    def _is_full(self) -> bool:
        return self._certifier is not None and self._certifier.is_full

    def _save_resume_point(self) -> None:
        """Saves the resume point, unless windows are unfinished: the next start needs their entries again."""
        if self._resume_path is None or (self._certifier is not None and self._certifier.has_unfinished_windows):
            return
        # A position is always the start of a frame; `_read` skips the entries that the frontier already covers.
        position = self._frame if self._left else self._position
        write_resume_point(self._resume_path, ResumePoint(position, self._peaks))

    def _queue(self, anchor: Anchor, certified: Sequence[Certified]) -> None:
        """Queues an anchor and certificates and stores the entries, in one transaction."""
        key, opened = anchor_key(self._stream, anchor.size), self._unanchored
        first = anchor.size - len(opened.entries)
        salts = [entry.salt for entry in opened.entries]
        texts, kinds = _texts(opened.entries)
        with self._store.transaction() as connection:
            Book(connection).add_evidence_run(self._stream, first, salts, texts, opened.leaves, kinds)
            enqueue_in(connection, self.signer, _entry(key, anchor, None))
            for one in certified:  # the ledger accepts a certificate only after the anchor that covers its entry
                enqueue_in(connection, self.signer, _entry(one.draft.key, one.record, key))


def _leaves(entries: Sequence[LogEntry]) -> list[bytes]:
    found = events.leaves_of_events([(salt, content) for _, salt, content in entries])
    for place in _windows(entries):
        found[place] = leaf_of(entries[place])
    return found


def leaf_of(entry: LogEntry) -> bytes:
    """The leaf hash of an entry of the log. Same result as `build_leaf_data`, without parsing events."""
    if is_window(entry.content):
        data = build_leaf_data(LeafKind.WINDOW, entry.salt, parse_window(entry.content).entry)
        return leaf_hash(data)
    return events.leaf_of_event(entry.salt, entry.content)


def _texts(entries: Sequence[LogEntry]) -> tuple[list[bytes], bytes]:
    """The entries as the book keeps them, and their kinds."""
    texts, kinds = [content for _, _, content in entries], bytearray([LeafKind.EVENT]) * len(entries)
    for place in _windows(entries):
        texts[place], kinds[place] = canonical.canonical_json(parse_window(texts[place]).entry), LeafKind.WINDOW
    return texts, bytes(kinds)


def _windows(entries: Sequence[LogEntry]) -> list[int]:
    """The places of the windows, which are few among events."""
    return [place for place, (_, _, content) in enumerate(entries) if content.startswith(WINDOW_BEGINS)]


def _entry(key: str, record: Record, depends_on: str | None) -> Entry:
    return Entry(key, record.contract.value, type(record).__name__, chain.call_data(record), depends_on)
