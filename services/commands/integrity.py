"""Whether the index is what the chain says, as commands tell it."""

from __future__ import annotations

from ledger.errors import ChainError
from ledger.index import IndexCheck, check_index
from services.context import Context
from services.output import warn

__all__ = ["compare_index", "warn_of_differences"]


def compare_index(opened: Context) -> IndexCheck | None:
    """Records, heads and digest against the chain; None where nothing is indexed, or the node no longer has the state
    of the index's block, which is warned of."""
    try:
        return check_index(opened.store, opened.chain())
    except ChainError as error:
        warn(f"millmark: the index was not compared with the chain: {error}")
        return None


def warn_of_differences(opened: Context) -> None:
    """At a checkpoint its maker looks at the chain anyway: one line when the own index says otherwise. The checkpoint
    is the node's word, not the index's, so it is made all the same."""
    check = compare_index(opened)
    if check is not None and check.differences:
        warn(
            f"millmark: the index is not what the chain says at block {check.block_number}: {check.differences} "
            "differences; see `millmark status`, then read it anew with `millmark rebuild`"
        )
