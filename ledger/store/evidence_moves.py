"""Moves content of streams' logs between database and files, and removes files that no row names."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from millmark.ledger.errors import SettingsError, StoreError
from millmark.ledger.store.book_rows import EvidenceRow
from millmark.ledger.store.database import Store
from millmark.ledger.store.evidence_rows import EvidenceRows

_ROWS_AT_ONCE = 16
"""Rows that are moved in one transaction, so that other writers get their turn, and a slow disk is not taken for a
process that hangs."""
_FILES_AT_ONCE = 64
_AGE_S = 86_400
"""Files that no row names are left for so long."""


def move_content(store: Store, *, into_files: bool) -> int:
    """Move the content of all rows into files, or back into the database; returns the number of entries moved.

    Idempotent; goes on where an earlier call was stopped. Raises SettingsError if the store has no folder, StoreError;
    also at the end, if there are files that cannot be read, whose rows stay as they are.
    """
    if store.evidence is None:
        raise SettingsError("there is no folder for evidence", hint="set evidence_folder")
    with store.reading() as connection:
        found = EvidenceRows(connection).elsewhere(into_files=into_files)
    moved = unreadable = 0
    for stream, firsts in found.items():
        for start in range(0, len(firsts), _ROWS_AT_ONCE):
            now, not_now = _move(store, stream, firsts[start : start + _ROWS_AT_ONCE], into_files=into_files)
            moved, unreadable = moved + now, unreadable + not_now
    if unreadable:
        raise StoreError(
            f"{moved} entries were moved, and {unreadable} are in files that cannot be read",
            hint="see `millmark status --deep`; restore evidence_folder from a backup",
        )
    return moved


def _move(store: Store, stream: bytes, firsts: Sequence[int], *, into_files: bool) -> tuple[int, int]:
    """The numbers of entries that were moved, and of those that could not be read."""
    with store.transaction() as connection:
        rows = EvidenceRows(connection)
        # Read again under the write lock: they may have been dropped since.
        going = [one for one in rows.beginning(stream, firsts) if not one.is_dropped and bool(one.file) != into_files]
        moved = [rows.moved_out(row) for row in going] if into_files else list(_read(rows, going))
        rows.update(moved)
    if not into_files:
        indexes = {row.index for row in moved}
        remove_files(store, stream, {row.index: row.file for row in going if row.index in indexes})
    count = sum(row.count for row in moved)
    return count, sum(row.count for row in going) - count


def _read(rows: EvidenceRows, going: Sequence[EvidenceRow]) -> Iterator[EvidenceRow]:
    for row in going:
        with suppress(StoreError):
            yield rows.with_content(row)


def remove_files(store: Store, stream: bytes, named: Mapping[int, str]) -> None:
    """Remove the files that rows of a stream named, by the rows' first index, unless they name them again. To be called
    after the commit: a crash in between leaves files that no row names. Raises StoreError."""
    if store.evidence is None or not any(named.values()):
        return
    with store.transaction() as connection:
        # PostgreSQL ends the session of a process that stands still here, and with it its lock: what another one writes
        # then is younger than this moment.
        now_s = time.time()
        kept = {row.file for row in EvidenceRows(connection).beginning(stream, named)}
        store.evidence.remove(stream, set(named.values()) - kept - {""}, now_s)


def prune_files(store: Store) -> int:
    """Remove files that were written more than a day ago and that no row names, as crashes leave them; returns their
    number. Files of rows that another copy of the database has are among them. Raises SettingsError if the store has no
    folder, StoreError."""
    files, before_s, removed = store.evidence, time.time() - _AGE_S, 0
    if files is None:
        raise SettingsError("there is no folder for evidence", hint="set evidence_folder")
    for stream in files.streams():
        months: dict[str, list[str]] = defaultdict(list)
        for name in files.names(stream, before_s):
            months[name.partition("/")[0]].append(name)
        for month, names in months.items():
            with store.reading() as connection:
                unnamed = sorted(set(names) - EvidenceRows(connection).named(stream, month))
            for start in range(0, len(unnamed), _FILES_AT_ONCE):
                # Under the write lock: what a row names since was written since, so that it is younger now.
                with store.transaction():
                    removed += files.remove(stream, unnamed[start : start + _FILES_AT_ONCE], before_s)
    return removed
