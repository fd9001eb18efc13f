"""Proofs about evidence: that an entry is in an anchored stream, and that a stream has only grown.

They need the leaf hashes of the whole stream, which only the company that captured it has, but not its entries.
"""

from __future__ import annotations

from millmark.ledger.canonical import to_hex
from millmark.ledger.errors import InputError, NotFoundError, ProofError
from millmark.ledger.merkle import Tree
from millmark.ledger.provenance import answers
from millmark.ledger.provenance.answers import ConsistencyProof, InclusionProof, ShownEntry, moment
from millmark.ledger.provenance.listings import Page, find_assignment
from millmark.ledger.provenance.reader import HINT_INDEX, Reader, build_unknown, open_reader
from millmark.ledger.provenance.traces import build_stream, find_certificate_row
from millmark.ledger.store import Store
from millmark.ledger.store.rows import AnchorRow, StreamRow

_ABSENT = "ask the company that captured it; if that is yours, let its node and this gateway use one database"

_LATEST = 100
"""Anchors that a stream is shown with; the others come page by page."""
MAX_LEAVES = 1_000_000
"""Longest stream for which proofs are built on request. For longer ones, build a bundle."""


def certificate_evidence(store: Store, sequence: int, viewer: int | None) -> InclusionProof:
    """Prove the entry that a certificate refers to, under the anchor that was the latest when it was issued. Raises
    NotFoundError if the certificate does not exist for the viewer, or the stream's evidence is not stored here."""
    with open_reader(store, viewer) as reader:
        row = find_certificate_row(reader, sequence)
        anchor = _anchor_of_size(reader, row.stream, row.anchor_size)
        return _inclusion(reader, row.stream, row.leaf_index, anchor)


def assignment_evidence(store: Store, sequence: int, viewer: int | None) -> InclusionProof:
    """Prove the entry with which an assignment was finished, under the first anchor that includes it.

    Raises NotFoundError if the assignment does not exist for the viewer, is not finished, its entry is not anchored
    yet, or the stream's evidence is not stored here.
    """
    with open_reader(store, viewer) as reader:
        row = find_assignment(reader, sequence)
        if row.stream is None or row.leaf_hash is None:
            raise NotFoundError(f"assignment {sequence} is not finished yet", hint="wait until it is")
        first = reader.rows.first_after(AnchorRow, "size", row.leaf_index, stream=row.stream)
        if first is None:
            raise NotFoundError(f"the entry of assignment {sequence} is not anchored yet", hint="wait until it is")
        return _inclusion(reader, row.stream, row.leaf_index, first)


def stream(store: Store, subject: bytes, viewer: int | None) -> answers.Stream:
    """A stream with its latest anchors. Raises NotFoundError if it does not exist, or the viewer is not its owner."""
    with open_reader(store, viewer) as reader:
        _need_stream(reader, subject)
        return build_stream(reader, subject, _LATEST)


def anchors(store: Store, subject: bytes, viewer: int | None, after: int | None, limit: int) -> Page[answers.Anchor]:
    """The anchors of a stream, oldest first, after that of size `after`. Raises NotFoundError as `stream` does."""
    with open_reader(store, viewer) as reader:
        _need_stream(reader, subject)
        # One more than wanted, which tells whether there is another page.
        rows = reader.rows.page(AnchorRow, "size", after, limit + 1, stream=subject)
        shown = rows[:limit]
        return Page(
            tuple(_shown(row) for row in shown),
            shown[-1].size if len(rows) > limit else None,
            shown[0].size if shown else None,
        )


def prove_inclusion(store: Store, subject: bytes, index: int, anchor: int, viewer: int | None) -> InclusionProof:
    """Prove entry `index` of a stream under the anchor of record `anchor`. Raises NotFoundError as `stream` does, and
    if the record did not anchor this stream; InputError if the entry came after that anchor."""
    with open_reader(store, viewer) as reader:
        _need_stream(reader, subject)
        return _inclusion(reader, subject, index, _anchor(reader, subject, anchor))


def prove_consistency(store: Store, subject: bytes, first: int, second: int, viewer: int | None) -> ConsistencyProof:
    """Prove that a stream only grew between the anchors of two records. Raises as `prove_inclusion` does."""
    with open_reader(store, viewer) as reader:
        _need_stream(reader, subject)
        older, newer = _anchor(reader, subject, first), _anchor(reader, subject, second)
        if older.size > newer.size:
            raise InputError("the first anchor is later than the second", hint="give the older anchor first")
        tree = _tree(reader, newer)
        _verify_root(tree, older)
        return ConsistencyProof(
            subject, _shown(older), _shown(newer), tuple(tree.consistency_proof(older.size, newer.size))
        )


def _inclusion(reader: Reader, subject: bytes, index: int, anchor: AnchorRow) -> InclusionProof:
    if index >= anchor.size:
        raise InputError(f"the anchor covers {anchor.size} entries, not entry {index}", hint="use a smaller index")
    # Built up to the latest anchor, which the consistency proof leads to; it has the tree of every earlier one.
    [latest] = reader.rows.latest(AnchorRow, "size", 1, stream=subject)
    tree = _tree(reader, latest)
    _verify_root(tree, anchor)
    entry, leaf = reader.book.evidence_entry(subject, index), reader.book.leaf(subject, index)
    if leaf is None:
        raise ProofError(
            f"the private book lacks entry {index} of stream {to_hex(subject)}",
            hint="restore the private book from a backup",
        )
    return InclusionProof(
        stream=subject,
        leaf_index=index,
        leaf_hash=leaf,
        anchor=_shown(anchor),
        inclusion=tuple(tree.inclusion_proof(index, anchor.size)),
        latest=_shown(latest),
        consistency=tuple(tree.consistency_proof(anchor.size, latest.size)),
        # An entry that retention has dropped is proved by its hash, and shown by whoever has kept it.
        shown=ShownEntry(entry.salt, entry.entry) if entry is not None and reader.visibility is None else None,
    )


def _tree(reader: Reader, latest: AnchorRow) -> Tree:
    if latest.size > MAX_LEAVES:
        raise InputError(f"the stream has {latest.size} entries, more than {MAX_LEAVES}", hint="build a bundle instead")
    tree = reader.tree(latest.stream, latest.size)
    if tree.size < latest.size:
        raise NotFoundError("the evidence of this stream is not stored here", hint=_ABSENT)
    _verify_root(tree, latest)
    return tree


def _verify_root(tree: Tree, anchor: AnchorRow) -> None:
    if tree.root(anchor.size) != anchor.root:
        raise ProofError(
            f"the private book's evidence of stream {to_hex(anchor.stream)} does not match its anchor",
            hint="restore the private book from a backup",
        )


def _need_stream(reader: Reader, subject: bytes) -> None:
    row = reader.rows.get(StreamRow, subject)
    # The same error for an unknown stream and for somebody else's.
    if row is None or (reader.visibility is not None and row.owner != reader.visibility.participant):
        raise build_unknown(reader, subject)


def _anchor(reader: Reader, subject: bytes, sequence: int) -> AnchorRow:
    row = reader.rows.get(AnchorRow, sequence)
    if row is None or row.stream != subject:
        raise NotFoundError(f"record {sequence} did not anchor this stream", hint="use one of the stream's anchors")
    return row


def _anchor_of_size(reader: Reader, subject: bytes, size: int) -> AnchorRow:
    for row in reader.rows.find(AnchorRow, stream=subject, size=size):
        return row
    raise NotFoundError(f"the index lacks the anchor of size {size} of stream {to_hex(subject)}", hint=HINT_INDEX)


def _shown(row: AnchorRow) -> answers.Anchor:
    return answers.Anchor(row.sequence, row.size, row.root, moment(row.anchored_at))
