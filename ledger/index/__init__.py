"""The index: follows the chain into the store, which then holds the contracts' state and all records.

    Follower(chain, store).follow()

It follows up to the chain's latest block; changes made by blocks that are not final yet can be undone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.lazy import import_on_use

if TYPE_CHECKING:
    from ledger.index.book_check import check_book
    from ledger.index.follower import ChainReader, Follower, Progress
    from ledger.index.integrity import IndexCheck, check_index, check_rows, compare_rows
    from ledger.index.snapshot import Snapshot, export_index, read_snapshot
    from ledger.index.snapshot_import import Imported, import_index
    from ledger.index.status import IndexStatus, fetch_status

__all__ = [
    "ChainReader",
    "Follower",
    "Imported",
    "IndexCheck",
    "IndexStatus",
    "Progress",
    "Snapshot",
    "check_book",
    "check_index",
    "check_rows",
    "compare_rows",
    "export_index",
    "fetch_status",
    "import_index",
    "read_snapshot",
]

_HOMES = {
    "ledger.index.book_check": ("check_book",),
    "ledger.index.follower": ("ChainReader", "Follower", "Progress"),
    "ledger.index.integrity": ("IndexCheck", "check_index", "check_rows", "compare_rows"),
    "ledger.index.snapshot": ("Snapshot", "export_index", "read_snapshot"),
    "ledger.index.snapshot_import": ("Imported", "import_index"),
    "ledger.index.status": ("IndexStatus", "fetch_status"),
}

__getattr__ = import_on_use(__name__, _HOMES)
