"""Windows: consecutive samples of one lot, cut from a stream's events, and the entries that commit to them.

Which windows there are depends on the log's events alone: the same events yield the same windows after a restart. The
node appends an entry for each window to the log, so that the window has a leaf of its own in the stream's tree, which
a certificate can name and a contract can rebuild. In the log that entry has one member more than in the evidence: the
salt of the commitment, which is shown only when the certificate is opened.

Below them: the drafts of what is certified about them.
"""

from __future__ import annotations

import json
import secrets
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from millmark.ledger.canonical import Json, canonical_json
from millmark.ledger.evidence import SALT_BYTES, WINDOW_ID, build_window_commitment, build_window_entry
from millmark.ledger.store import Book, Store, outbox, outbox_records
from millmark.quality.inference import pack_window
from millmark.services.files import write_whole

WINDOW_BEGINS = b'{"commitment":'
"""How the content of a window's entry in the log begins; an event's begins with its member `data`."""
_MAX_LOTS = 1000
"""Number of lots with an unfinished window. Beyond it, the lot with the oldest latest event is dropped."""


@dataclass(frozen=True, slots=True)
class Window:
    """Consecutive samples of one lot, in the order of the log."""

    lot: str
    order: str | None
    leaf: int
    """Index of the event that completed it."""
    number: int
    """Number among the windows that this event completed, from 0."""
    samples: tuple[int, ...]
    first: int
    """Index of the event with its first sample."""
    start: int
    """Place of the first sample in that event, from 0."""

    @property
    def id(self) -> str:
        return f"{WINDOW_ID}{self.leaf}/{self.number}"


@dataclass(slots=True)
class _Signal:
    """Samples of one lot that do not fill a window yet."""

    samples: list[int] = field(default_factory=list)
    runs: list[tuple[int, int, int]] = field(default_factory=list)
    """Where they are from: index of an event, place of the first sample in it, and number of samples."""
    skip: int = 0
    """Number of samples still to be skipped before the next window, if the hop is longer than the width."""

    def add(self, leaf: int, samples: Sequence[int]) -> None:
        dropped = min(self.skip, len(samples))
        self.skip -= dropped
        if dropped < len(samples):
            self.samples += samples[dropped:]
            self.runs.append((leaf, dropped, len(samples) - dropped))

    def drop(self, count: int) -> None:
        """Drops the first `count` samples, also some that are still to come."""
        self.skip = max(count - len(self.samples), 0)
        left = min(count, len(self.samples))
        del self.samples[:count]
        while left:
            leaf, start, number = self.runs.pop(0)
            if number > left:
                self.runs.insert(0, (leaf, start + left, number - left))
            left -= min(number, left)


class Windows:
    """Cuts windows of `width` samples; each starts `hop` samples after the previous one."""

    def __init__(self, width: int, hop: int) -> None:
        self._width, self._hop = width, hop
        self._signals: OrderedDict[str, _Signal] = OrderedDict()

    @property
    def has_unfinished(self) -> bool:
        """Whether any lot has samples that a later window needs, or still has samples to skip."""
        return any(signal.samples or signal.skip for signal in self._signals.values())

    def feed(self, leaf: int, lot: str, order: str | None, samples: Sequence[int]) -> list[Window]:
        """Adds an event's samples and returns the windows that they complete. `leaf`: the event's index."""
        signal = self._signals.setdefault(lot, _Signal())
        self._signals.move_to_end(lot)
        if len(self._signals) > _MAX_LOTS:
            self._signals.popitem(last=False)
        signal.add(leaf, samples)
        found: list[Window] = []
        while len(signal.samples) >= self._width:
            first, start, _ = signal.runs[0]
            window = tuple(signal.samples[: self._width])
            found.append(Window(lot, order, leaf, len(found), window, first, start))
            signal.drop(self._hop)
        return found


@dataclass(frozen=True, slots=True)
class WrittenWindow:
    """A window's entry, as read from the log."""

    entry: dict[str, Json]
    """As in the evidence."""
    salt: bytes
    """Salt of the commitment, 32 bytes."""

    @property
    def id(self) -> str:
        return str(self.entry["id"])

    def commits_to(self, samples: Sequence[int]) -> bool:
        commitment = build_window_commitment(self.salt, pack_window(samples))
        return self.entry["commitment"] == "0x" + commitment.hex()


def is_window(content: bytes) -> bool:
    """Whether the content of a log's entry is a window's."""
    return content.startswith(WINDOW_BEGINS)


def build_content(window: Window, lot: bytes) -> bytes:
    """The content of a window's entry in the log, under a new salt. `lot` is the subject of the window's lot."""
    salt = secrets.token_bytes(SALT_BYTES)
    commitment = build_window_commitment(salt, pack_window(window.samples))
    entry = build_window_entry(lot, commitment, window.first, window.leaf, window.start)
    return canonical_json({**entry, "id": window.id, "salt": salt.hex()})


def parse_window(content: bytes) -> WrittenWindow:
    entry: dict[str, Json] = json.loads(content)
    return WrittenWindow(entry, bytes.fromhex(str(entry.pop("salt"))))


# Inputs and results of inferences, kept in files from before their certificates are queued until those are final.
#
# The book stores an inference under its certificate's sequence, which the ledger assigns later. There is one file for
# each anchor with certificates, durable before its records are queued. A crash in between leaves a file whose records
# are not in the outbox; the next start removes it and runs the inferences again.

_OVER = (outbox_records.OutboxState.FINAL, outbox_records.OutboxState.CANCELLED)


@dataclass(frozen=True, slots=True)
class Draft:
    """An inference whose certificate has no sequence yet."""

    key: str
    """Idempotency key of the certificate's record."""
    salt: bytes
    window: bytes
    """The measured integers, 8 bytes each."""
    logits: tuple[int, ...]


class Drafts:
    """The drafts in one folder, one file for each anchor."""

    def __init__(self, folder: Path, store: Store) -> None:
        self._folder, self._store = folder, store
        self._outbox = outbox.Outbox(store)

    def put(self, name: str, drafts: Sequence[Draft]) -> None:
        """Writes a file of drafts, replacing one of the same name; durable on return. Raises InputError or OSError."""
        rows = [[draft.key, draft.salt.hex(), draft.window.hex(), list(draft.logits)] for draft in drafts]
        write_whole(self._folder / f"{name}.json", json.dumps(rows).encode())

    def drop_orphans(self) -> None:
        """Removes files whose records are not in the outbox. Call it only while no records are being queued."""
        for path, drafts in self._all():
            # The records of a file are queued in one transaction, so either all of them are found or none.
            if not self._outbox.find([draft.key for draft in drafts]):
                path.unlink()

    def settle(self) -> None:
        """Moves the inferences of final certificates into the book. A file is moved once all its records are final or
        cancelled."""
        for path, drafts in self._all():
            found = self._outbox.find([draft.key for draft in drafts])
            if len(found) < len(drafts) or any(record.state not in _OVER for record in found.values()):
                continue
            with self._store.transaction() as connection:
                book = Book(connection)
                for draft in drafts:
                    sequence = found[draft.key].sequence
                    # A cancelled certificate is not on the ledger, so there is nothing that its inference could open.
                    if found[draft.key].state is outbox_records.OutboxState.FINAL and sequence is not None:
                        book.put_inference(sequence, draft.salt, draft.window, draft.logits)
            # After the commit: a crash in between leaves the file, and the next call stores the same rows again.
            path.unlink()

    def _all(self) -> list[tuple[Path, list[Draft]]]:
        return [(path, _read(path)) for path in sorted(self._folder.glob("*.json"))]


def _read(path: Path) -> list[Draft]:
    rows = json.loads(path.read_bytes())
    return [Draft(key, bytes.fromhex(salt), bytes.fromhex(data), tuple(logits)) for key, salt, data, logits in rows]
