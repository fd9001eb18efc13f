"""What a recall lists, as bundles: proof for whoever does not take this company's index at its word.

Of each lot a bundle proves the whole history, so its certificates with their status, its order, its holder, and what
was made of it. It does not prove that the list is whole where nothing on chain links the lots: which lots a model
certified, or a machine worked on, only the index says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ledger.chain import Chain, fetch_checkpoint
from ledger.checkpoint import SignedCheckpoint
from ledger.provenance.bundles import build_bundle
from ledger.provenance.disclosure import Disclosing
from ledger.provenance.recall_answers import Recall
from ledger.provenance.selection import Selection, select_records
from ledger.store import Rows, Store

__all__ = ["RecallBundle", "build_recall_bundles"]

_MOST_LOTS = 1_000
_MOST_RECORDS, _MOST_HISTORIES, _MOST_DATA_BYTES = 1 << 14, 1 << 13, 8 << 20
"""Of one file: far within what a bundle may hold, so that its trie nodes fit too and it is verified in seconds."""


@dataclass(frozen=True, slots=True)
class RecallBundle:
    """One of the files."""

    lots: tuple[bytes, ...]
    """Its parts, in the recall's order."""
    data: bytes


def build_recall_bundles(
    store: Store, chain: Chain, found: Recall, checkpoint: SignedCheckpoint | None = None
) -> Iterator[RecallBundle]:
    """Bundles whose parts are the lots of a recall, the nearest first, all of one block: the checkpoint, or the last
    final one that the recall knows. One when they fit, none when there are no lots.

    Lots that the private book has no identifier of are in them by subject alone; verify with `any_status`.

    Raises as `build_bundle`: NotFoundError for a lot that was made after that block.
    """
    if checkpoint is None:
        number = min(found.as_of.block_number, chain.final_number())
        checkpoint = SignedCheckpoint(fetch_checkpoint(chain, number))
    lots = [lot.subject for lot in found.lots]
    waiting = [lots[first : first + _MOST_LOTS] for first in range(0, len(lots), _MOST_LOTS)]
    while waiting:
        parts = waiting.pop(0)
        if len(parts) > 1 and _is_large(store, parts, checkpoint.checkpoint.block_number):
            middle = len(parts) // 2
            waiting[:0] = [parts[:middle], parts[middle:]]
            continue
        data = build_bundle(store, chain, parts, Disclosing(nameless=True), checkpoint)
        yield RecallBundle(tuple(parts), data)


def _is_large(store: Store, parts: Sequence[bytes], block_number: int) -> bool:
    with store.reading() as connection:
        selection = select_records(Rows(connection), parts, block_number, seal=True)
    return (
        len(selection.records) > _MOST_RECORDS
        or len(selection.histories) > _MOST_HISTORIES
        or _data_bytes(selection) > _MOST_DATA_BYTES
    )


def _data_bytes(selection: Selection) -> int:
    return sum(len(row.data) for row in selection.shown())
