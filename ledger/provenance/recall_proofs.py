"""Builds bundles about the lots of a recall, as proof for partners who do not trust this company's index.

For each lot, a bundle proves the whole history: its certificates with their status, its order, its holder, and what
was made from it. Not established: that the list of lots is complete where nothing on the chain links them. Only the
index tells which lots a model certified, or a machine worked on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from millmark.ledger.chain import Chain, fetch_checkpoint
from millmark.ledger.checkpoint import SignedCheckpoint
from millmark.ledger.provenance.bundles import build_bundle
from millmark.ledger.provenance.disclosure import Disclosing
from millmark.ledger.provenance.recall_answers import Recall
from millmark.ledger.provenance.selection import Selection, select_records
from millmark.ledger.store import Rows, Store

__all__ = ["RecallBundle", "build_recall_bundles"]

_MAX_LOTS = 1_000
_MAX_RECORDS, _MAX_HISTORIES, _MAX_DATA_BYTES = 1 << 14, 1 << 13, 8 << 20
"""Limits of one bundle, far below those of the format, so that its trie nodes fit and it is verified in seconds."""


@dataclass(frozen=True, slots=True)
class RecallBundle:
    """One of a recall's bundles."""

    lots: tuple[bytes, ...]
    """Subjects of its parts, in the recall's order."""
    data: bytes
    """The bundle's bytes."""


def build_recall_bundles(
    store: Store, chain: Chain, found: Recall, checkpoint: SignedCheckpoint | None = None
) -> Iterator[RecallBundle]:
    """Build bundles whose parts are the lots of a recall, nearest first, in as few files as fit.

    All are built for the same block: the checkpoint or, without one, the last final block that the recall includes.
    Lots whose identifier is not in the private book are identified by their subject alone, so verify with
    `any_status`. Raises as `build_bundle` does; NotFoundError for a lot that was made after that block.
    """
    # One checkpoint for all: with the latest block each time, the files would be of different blocks.
    if checkpoint is None:
        number = min(found.as_of.block_number, chain.final_number())
        checkpoint = SignedCheckpoint(fetch_checkpoint(chain, number))
    lots = [lot.subject for lot in found.lots]
    waiting = [lots[first : first + _MAX_LOTS] for first in range(0, len(lots), _MAX_LOTS)]
    while waiting:
        parts = waiting.pop(0)
        # How large a bundle gets is known only from the records that it must contain; the halves keep their order.
        if len(parts) > 1 and _is_large(store, parts, checkpoint.checkpoint.block_number):
            middle = len(parts) // 2
            waiting[:0] = [parts[:middle], parts[middle:]]
            continue
        data = build_bundle(store, chain, parts, Disclosing(nameless=True), checkpoint)
        yield RecallBundle(tuple(parts), data)


def _is_large(store: Store, parts: Sequence[bytes], block_number: int) -> bool:
    with store.reading() as connection:
        selection = select_records(Rows(connection), parts, block_number, withhold=True)
    return (
        len(selection.records) > _MAX_RECORDS
        or len(selection.histories) > _MAX_HISTORIES
        or _data_bytes(selection) > _MAX_DATA_BYTES
    )


def _data_bytes(selection: Selection) -> int:
    return sum(len(row.data) for row in selection.shown())
