"""The index: follows the chain into the store, which then holds the contracts' state and all records.

    Follower(chain, store).follow()

It follows up to the chain's latest block; changes made by blocks that are not final yet can be undone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from millmark.ledger.lazy import import_on_use

if TYPE_CHECKING:
    from millmark.ledger.index.follower import ChainReader, Follower, Progress
    from millmark.ledger.index.integrity import IndexCheck, check_book, check_index, check_rows, compare_rows
    from millmark.ledger.index.state import IndexStatus, fetch_status

__all__ = [
    "ChainReader",
    "Follower",
    "IndexCheck",
    "IndexStatus",
    "Progress",
    "check_book",
    "check_index",
    "check_rows",
    "compare_rows",
    "fetch_status",
]

_HOMES = {
    "millmark.ledger.index.follower": ("ChainReader", "Follower", "Progress"),
    "millmark.ledger.index.integrity": ("IndexCheck", "check_book", "check_index", "check_rows", "compare_rows"),
    "millmark.ledger.index.state": ("IndexStatus", "fetch_status"),
}

__getattr__ = import_on_use(__name__, _HOMES)
