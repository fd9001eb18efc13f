"""A check of the private book against the ledger: each name, document and entry with its hash there.

Found are a changed identifier or salt, changed or removed claims, a changed entry of an evidence log, own or another
company's, and changed bytes of a model. Not found: a row that is missing as a whole, since a book need not know
everything; names of participants, which are from the configuration; and findings of inspections, which are in no hash.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator

from millmark.ledger.canonical import sha256, to_hex
from millmark.ledger.claims import parse_claims
from millmark.ledger.errors import MillmarkError
from millmark.ledger.evidence import EvidenceEntry, LeafKind, build_leaf_data
from millmark.ledger.ids import SubjectKind, identifier_hash, subject
from millmark.ledger.merkle import Tree, leaf_hash, verify_inclusion
from millmark.ledger.store import Book, Connection, Rows, Store
from millmark.ledger.store.book_rows import (
    CertifiedEntryRow,
    DocumentRow,
    EvidenceRow,
    IdentityRow,
    ModelFileRow,
    OpenedEntryRow,
)
from millmark.ledger.store.rows import AnchorRow, CertificateRow

_MAX_FINDINGS = 100


def check_book(store: Store) -> list[str]:
    """The first hundred differences, one line each; empty if there are none. Reads the whole book once."""
    with store.reading() as connection:
        return [finding for finding, _ in zip(_check(store, connection), range(_MAX_FINDINGS), strict=False)]


def _check(store: Store, connection: Connection) -> Iterator[str]:
    rows = Rows(connection)
    yield from _damage(connection)
    for identity in rows.scan(IdentityRow):
        if _subject_of(identity) != identity.subject:
            yield f"the name {identity.identifier!r} is not that of {to_hex(identity.subject)}"
    for document in rows.scan(DocumentRow):
        if _root_of(document.document) != document.root:
            yield f"the claims with the root {to_hex(document.root)} are not those behind it"
    for model in rows.scan(ModelFileRow):
        if sha256(model.content) != model.digest:
            yield f"the model's bytes are not those of digest {to_hex(model.digest)}"
    yield from _check_evidence(store, connection, rows)
    # Entries of others' logs prove themselves one by one: nothing is missing where their neighbours are.
    for entry in rows.scan(CertifiedEntryRow):
        if not _is_certified(entry, rows.get(CertificateRow, entry.certificate)):
            yield f"the entry that certificate {entry.certificate} names is not the one kept here"


def _damage(connection: Connection) -> Iterator[str]:
    """What SQLite finds: rows that an index lacks, for example because they were changed behind its back."""
    if connection.dialect.name == "sqlite":
        found = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check")]
        yield from (f"the database file: {line}" for line in found if line != "ok")


def _subject_of(row: IdentityRow) -> bytes | None:
    try:
        return subject(SubjectKind(row.kind), row.creator, identifier_hash(row.salt, row.identifier))
    except (MillmarkError, ValueError):
        return None


def _root_of(document: str) -> bytes | None:
    try:
        return parse_claims(json.loads(document)).root
    except (MillmarkError, ValueError):
        return None


def _check_evidence(store: Store, connection: Connection, rows: Rows) -> Iterator[str]:
    """Each entry against the hash of its leaf, and the leaves against the roots that the ledger anchored."""
    anchors: dict[bytes, list[AnchorRow]] = defaultdict(list)
    for anchor in rows.scan(AnchorRow):
        anchors[anchor.stream].append(anchor)
    book = Book(connection)
    for row, entries in book.evidence_runs():
        if entries is None and not _was_moved(store, row):
            yield f"the evidence of stream {to_hex(row.stream)} cannot be read from entry {row.index} on"
        for entry in entries or ():
            if not _is_of_leaf(entry):
                yield f"entry {entry.index} of stream {to_hex(row.stream)} is not that of its leaf"
    for opened in rows.scan(OpenedEntryRow):
        shown = book.opened(opened.stream, opened.index)
        if shown is None or not _is_of_leaf(shown):
            yield f"entry {opened.index} of stream {to_hex(opened.stream)}, which another company showed, was changed"
    for stream, anchored in anchors.items():
        tree = Tree(book.leaves(stream, max(anchor.size for anchor in anchored)))
        for anchor in anchored:
            if anchor.size <= tree.size and tree.root(anchor.size) != anchor.root:
                yield f"the evidence of stream {to_hex(stream)} is not that of the anchor in record {anchor.sequence}"


def _was_moved(store: Store, row: EvidenceRow) -> bool:
    """Whether a row that could not be read names another file by now, or none: what was dropped or moved meanwhile has
    no file any more, as an older state of the database still says."""
    with store.reading() as connection:
        return all(now.file != row.file for now in Book(connection).runs_from(row.stream, [row.index]))


def _is_certified(entry: CertifiedEntryRow, named: CertificateRow | None) -> bool:
    try:
        leaf = leaf_hash(build_leaf_data(LeafKind(entry.kind), entry.salt, json.loads(entry.entry)))
        proof = [entry.inclusion[start : start + len(leaf)] for start in range(0, len(entry.inclusion), len(leaf))]
        if named is None or leaf != named.leaf_hash:
            return False
        verify_inclusion(leaf, named.leaf_index, named.anchor_size, proof, named.anchor_root)
    except (MillmarkError, ValueError):
        return False
    return True


def _is_of_leaf(entry: EvidenceEntry) -> bool:
    try:
        return leaf_hash(build_leaf_data(entry.kind, entry.salt, entry.entry)) == entry.leaf_hash
    except MillmarkError:
        return False
