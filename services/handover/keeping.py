"""Writes what was handed over, and verified, into the private book, within the caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Iterator

from ledger.bundle import Bundle, IdentityShown
from ledger.claims import Claims, Field, parse_claims
from ledger.ids import Identity
from ledger.store import Book
from services.handover.content import Content

__all__ = ["keep"]


def keep(book: Book, content: Content, bundle: Bundle | None) -> int:
    """Keeps names, documents and inferences. Returns how many documents the bundle had in full."""
    for name in content.names:
        book.add_identity(name)
    for claims in content.documents:
        _keep_document(book, claims)
    if bundle is None:
        return 0
    for shown in bundle.identities:
        book.add_identity(_identity(shown))
    documents = list(_documents(bundle))
    for claims in documents:
        _keep_document(book, claims)
    for inference in bundle.inferences:
        if book.inference(inference.record) is None:
            book.put_inference(inference.record, inference.salt, inference.window, inference.logits)
    return len(documents)


def _identity(shown: IdentityShown) -> Identity:
    return Identity(shown.kind, shown.creator, shown.identifier, shown.salt, shown.proofs)


def _documents(bundle: Bundle) -> Iterator[Claims]:
    """The documents that a bundle discloses in full. Of others it lacks the leaf hashes that the book stores."""
    for shown in bundle.claims:
        fields = shown.disclosure.fields
        if len(fields) == len(shown.disclosure.paths):
            yield Claims(tuple((path, fields[path]) for path in shown.disclosure.paths))


def _keep_document(book: Book, claims: Claims) -> None:
    """Adds the fields that are new here to those that are known: nobody's hand-over takes any away."""
    stored = book.document(claims.root)
    known = {} if stored is None else dict(parse_claims(json.loads(stored)).fields)
    fields = tuple(
        (path, kept if isinstance(kept := known.get(path), Field) else field) for path, field in claims.fields
    )
    book.put_document(claims.root, json.dumps(Claims(fields).to_json()))
