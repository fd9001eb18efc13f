"""The index: follows the chain into the store, which then holds the contracts' state and all records.

    Follower(chain, store).follow()

It follows up to the chain's latest block; changes made by blocks that are not final yet can be undone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from millmark.ledger.lazy import import_on_use

if TYPE_CHECKING:
    from millmark.ledger.index.book_check import check_book
    from millmark.ledger.index.follower import ChainReader, Follower, Progress
    from millmark.ledger.index.integrity import IndexCheck, check_index, check_rows, compare_rows
    from millmark.ledger.index.snapshot import Snapshot, export_index, read_snapshot
    from millmark.ledger.index.snapshot_import import Imported, import_index
    from millmark.ledger.index.status import IndexStatus, fetch_status

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
    "millmark.ledger.index.book_check": ("check_book",),
    "millmark.ledger.index.follower": ("ChainReader", "Follower", "Progress"),
    "millmark.ledger.index.integrity": ("IndexCheck", "check_index", "check_rows", "compare_rows"),
    "millmark.ledger.index.snapshot": ("Snapshot", "export_index", "read_snapshot"),
    "millmark.ledger.index.snapshot_import": ("Imported", "import_index"),
    "millmark.ledger.index.status": ("IndexStatus", "fetch_status"),
}

__getattr__ = import_on_use(__name__, _HOMES)
