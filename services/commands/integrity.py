"""Comparison of the index with the chain, as reported by commands."""

from __future__ import annotations

from ledger.errors import ChainError
from ledger.index import IndexCheck, check_index
from services.context import Context
from services.output import warn

__all__ = ["compare_index", "warn_of_differences"]


def compare_index(opened: Context) -> IndexCheck | None:
    """Compares records, heads and digest with the chain. None if nothing is indexed; None with a warning if the node no
    longer has the state of the index's block."""
    try:
        return check_index(opened.store, opened.chain())
    except ChainError as error:
        warn(f"millmark: the index was not compared with the chain: {error}")
        return None


def warn_of_differences(opened: Context) -> None:
    """Prints a warning if the index differs from the chain.

    Commands that make a checkpoint call this and continue: the checkpoint comes from the node, not from the index.
    """
    check = compare_index(opened)
    if check is not None and check.differences:
        warn(
            f"millmark: the index differs from the chain at block {check.block_number}: {check.differences} "
            "differences; see `millmark status`, then build it again with `millmark rebuild`"
        )
