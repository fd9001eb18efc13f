"""Inputs and results of inferences, kept in files from before their certificates are queued until those are final.

The book stores an inference under its certificate's sequence, which the ledger assigns later. There is one file for
each anchor with certificates, durable before its records are queued. A crash in between leaves a file whose records are
not in the outbox; the next start removes it and runs the inferences again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from millmark.ledger.store import Book, Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState
from millmark.services.files import write_whole

_OVER = (OutboxState.FINAL, OutboxState.CANCELLED)


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
        self._folder = folder
        self._store = store
        self._outbox = Outbox(store)

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
                    if found[draft.key].state is OutboxState.FINAL and sequence is not None:
                        book.put_inference(sequence, draft.salt, draft.window, draft.logits)
            # After the commit: a crash in between leaves the file, and the next call stores the same rows again.
            path.unlink()

    def _all(self) -> list[tuple[Path, list[Draft]]]:
        return [(path, _read(path)) for path in sorted(self._folder.glob("*.json"))]


def _read(path: Path) -> list[Draft]:
    rows = json.loads(path.read_bytes())
    return [Draft(key, bytes.fromhex(salt), bytes.fromhex(data), tuple(logits)) for key, salt, data, logits in rows]
