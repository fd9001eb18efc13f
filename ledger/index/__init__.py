"""The index: follows the chain's final blocks into the store, and keeps there what the contracts keep, and more.

Follower(chain, store).follow()
"""

from __future__ import annotations

from ledger.index.follower import ChainReader, Follower, IndexStatus, Progress, fetch_status
from ledger.index.integrity import IndexCheck, check_index, check_rows, compare_rows

__all__ = [
    "ChainReader",
    "Follower",
    "IndexCheck",
    "IndexStatus",
    "Progress",
    "check_index",
    "check_rows",
    "compare_rows",
    "fetch_status",
]
