"""Moves content of streams' logs between database and files, and removes files that no row names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from ledger.errors import SettingsError
from ledger.store.book_rows import EvidenceRow
from ledger.store.database import Store
from ledger.store.evidence_files import EvidenceFiles
from ledger.store.evidence_rows import EvidenceRows

__all__ = ["move_content", "remove_unnamed"]

_ROWS_AT_ONCE = 64
_FILES_AT_ONCE = 1000
"""What is done under one write lock, so that other writers get their turn."""


def move_content(store: Store, *, into_files: bool) -> int:
    """Move the content of all rows into files, or back into the database; returns the number of entries moved.

    Idempotent; goes on where an earlier call was stopped. Raises SettingsError if the store has no folder, StoreError.
    """
    if store.evidence is None:
        raise SettingsError("there is no folder for evidence", hint="set evidence_folder")
    with store.reading() as connection:
        rows = EvidenceRows(connection)
        found = [(row.stream, row.index) for row in rows.every() if _is_elsewhere(row, into_files)]
    moved = 0
    for start in range(0, len(found), _ROWS_AT_ONCE):
        firsts: dict[bytes, list[int]] = defaultdict(list)
        for stream, first in found[start : start + _ROWS_AT_ONCE]:
            firsts[stream].append(first)
        with store.transaction() as connection:
            rows = EvidenceRows(connection)
            for stream, some in firsts.items():
                # Read again under the write lock: they may have been dropped since.
                going = [row for row in rows.beginning(stream, some) if _is_elsewhere(row, into_files)]
                rows.update([rows.moved_out(row) if into_files else rows.with_content(row) for row in going])
                moved += sum(row.count for row in going)
    remove_unnamed(store)
    return moved


def _is_elsewhere(row: EvidenceRow, into_files: bool) -> bool:
    return not row.is_dropped and bool(row.file) != into_files


def remove_unnamed(store: Store) -> int:
    """Remove the files that no row names: of content that was dropped or moved, and what crashes left. Returns their
    number. Does nothing without a folder. Raises StoreError."""
    files, removed = store.evidence, 0
    if files is None:
        return removed
    for stream in files.streams():
        months: dict[str, list[str]] = defaultdict(list)
        for name in files.names(stream):
            months[name.partition("/")[0]].append(name)
        for month, names in months.items():
            removed += _remove(store, files, stream, month, names)
    return removed


def _remove(store: Store, files: EvidenceFiles, stream: bytes, month: str, names: Sequence[str]) -> int:
    with store.reading() as connection:
        unnamed = sorted(set(names) - EvidenceRows(connection).named(stream, month))
    for start in range(0, len(unnamed), _FILES_AT_ONCE):
        some = unnamed[start : start + _FILES_AT_ONCE]
        # Again under the write lock: the same content may have been written once more since.
        with store.transaction() as connection:
            gone = set(some) - EvidenceRows(connection).named(stream, month)
            files.remove(stream, gone)
    return len(unnamed)
