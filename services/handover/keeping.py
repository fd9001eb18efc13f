"""Writes what was handed over, and verified, into the private book, within the caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from millmark.ledger.bundle import Bundle, IdentityShown
from millmark.ledger.claims import Claims, Field, parse_claims
from millmark.ledger.ids import Identity
from millmark.ledger.provenance.footprints import find_opened
from millmark.ledger.store import Book, Connection, Rows
from millmark.ledger.store.book_rows import ModelFileRow
from millmark.ledger.store.rows import CertificateRow
from millmark.services.handover.content import Content
from millmark.services.handover.erasures import Erasure, apply_erasures
from millmark.services.handover.repository import HandoverRepository

__all__ = ["keep", "names_in"]


def keep(
    connection: Connection,
    content: Content,
    bundle: Bundle | None,
    models: Iterable[ModelFileRow],
    now_ms: int,
) -> int:
    """Keeps names, documents, models, inferences, register readings and entries of evidence, and erases what is to be
    erased. Returns how many documents the bundle had in full."""
    book, handovers = Book(connection), HandoverRepository(connection)
    for name in names_in(content, bundle):
        book.add_identity(name)
    for erasure in content.erasures:
        handovers.erase(erasure, now_ms)
        _erase(book, erasure)
    for claims in content.documents:
        _keep_document(book, handovers, claims)
    for model in models:
        book.put_model(model.digest, model.content, model.card)
    if bundle is None:
        return 0
    documents = list(_documents(bundle))
    for claims in documents:
        _keep_document(book, handovers, claims)
    for stream, entry in find_opened(bundle):
        book.put_opened(stream, entry)
    for inference in bundle.inferences:
        if book.inference(inference.record) is None:
            book.put_inference(inference.record, inference.salt, inference.window, inference.logits)
    _keep_entries(book, Rows(connection), bundle)
    return len(documents)


def names_in(content: Content, bundle: Bundle | None) -> list[Identity]:
    """The names in a hand-over, in its bundle and beside it."""
    return [*content.names, *map(_identity, () if bundle is None else bundle.identities)]


def _keep_entries(book: Book, rows: Rows, bundle: Bundle) -> None:
    """Keeps the entries that certificates name. Those of finished operations stay in the bundle: their proofs lead to
    the stream as it was in the bundle's block, which no record of the ledger names."""
    for evidence in bundle.evidence:
        shown = evidence.shown
        if shown is not None and rows.get(CertificateRow, evidence.record) is not None:
            book.put_certified_entry(evidence.record, shown.kind, shown.salt, shown.entry, evidence.inclusion)


def _identity(shown: IdentityShown) -> Identity:
    return Identity(shown.kind, shown.creator, shown.identifier, shown.salt, shown.proofs)


def _documents(bundle: Bundle) -> Iterator[Claims]:
    """The documents that a bundle discloses in full. Of others it lacks the leaf hashes that the book stores."""
    for shown in bundle.claims:
        fields = shown.disclosure.fields
        if len(fields) == len(shown.disclosure.paths):
            yield Claims(tuple((path, fields[path]) for path in shown.disclosure.paths))


def _keep_document(book: Book, handovers: HandoverRepository, claims: Claims) -> None:
    """Adds the fields that are new here to those that are known: nothing takes any away but an erasure."""
    stored = book.document(claims.root)
    known = {} if stored is None else dict(parse_claims(json.loads(stored)).fields)
    fields = tuple(
        (path, kept if isinstance(kept := known.get(path), Field) else field) for path, field in claims.fields
    )
    left = apply_erasures(Claims(fields), handovers.erasures([claims.root]))
    book.put_document(claims.root, json.dumps(left.to_json()))


def _erase(book: Book, erasure: Erasure) -> None:
    stored = book.document(erasure.root)
    if stored is not None:
        left = apply_erasures(parse_claims(json.loads(stored)), [erasure])
        book.put_document(erasure.root, json.dumps(left.to_json()))
