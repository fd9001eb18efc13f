"""Entries that are taken at this gateway: kept in the book, and anchored by the record that is queued with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from millmark.ledger.canonical import Json
from millmark.ledger.evidence import EvidenceEntry, LeafKind, build_leaf_data
from millmark.ledger.merkle import Tree, leaf_hash
from millmark.ledger.store import Book
from millmark.ledger.store.rows import StreamRow

__all__ = ["anchor_with", "build_event"]


def build_event(index: int, event: str, content: Mapping[str, Json], draw: Callable[[], bytes]) -> EvidenceEntry:
    """The entry of an event with this id; `draw` supplies its salt."""
    data: dict[str, Json] = {"data": dict(content), "id": event}
    salt = draw()
    return EvidenceEntry(index, salt, data, leaf_hash(build_leaf_data(LeafKind.EVENT, salt, data)))


def anchor_with(book: Book, stream: StreamRow, added: Sequence[EvidenceEntry], size: int) -> dict[str, object]:
    """Fields of the anchor over the first `size` entries of a stream and those that are added to them."""
    leaves = [*book.leaves(stream.subject, size), *(one.leaf_hash for one in added)]
    return {"stream": stream.subject, "size": len(leaves), "root": Tree(leaves).root(), "added": added}
