"""Reads documents from the private book, for calls, offers and plans."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import cast

from millmark.ledger.canonical import Json
from millmark.ledger.claims import Claims, Field, parse_claims
from millmark.ledger.errors import PlanError
from millmark.ledger.plans.call import Capability, parse_capability
from millmark.ledger.store import Book

_CAPABILITY = "capability"


def find_claims(book: Book, root: bytes) -> Claims | None:
    """The document with a claims root; None if it is not here."""
    stored = book.document(root)
    return None if stored is None else parse_claims(json.loads(stored))


def find_capability(book: Book, root: bytes) -> tuple[Capability, ...]:
    """What a machine declares in its claims; nothing if it declares nothing, or its claims are not here.

    Raises PlanError if it is malformed.
    """
    claims = find_claims(book, root)
    shown = None if claims is None else assemble(claims, _CAPABILITY)
    return () if shown is None else parse_capability(shown)


def assemble(claims: Claims, member: str) -> Json:
    """A member of a document of which other members may be erased; None if it lacks it. Raises PlanError."""
    fields = tuple((path, field) for path, field in claims.fields if path[:1] == (member,))
    if not fields:
        return None
    if any(not isinstance(field, Field) for _, field in fields):
        raise PlanError(f"{member} is erased in a document, or was not handed over")
    whole = cast("Mapping[str, Json]", Claims(fields).document)  # whose paths all begin with the member
    return whole[member]
