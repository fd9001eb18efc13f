"""Checks the specification in an order's document against its product before a record commits to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from millmark.ledger.canonical import Json
from millmark.ledger.claims import Field, parse_claims
from millmark.ledger.errors import SpecificationError
from millmark.ledger.products import FindProduct, verify_order_document
from millmark.ledger.provenance.reader import Reader

__all__ = ["Verify", "verify_terms"]

Verify: TypeAlias = "Callable[[Reader, Mapping[str, Any], FindProduct], None]"


def verify_terms(reader: Reader, body: Mapping[str, Any], find: FindProduct) -> None:
    """Check the terms of an order, placed or revised, whose document is in the request or in the book.

    Raises SpecificationError or ProductError, also for a product of which no quantity is agreed. Nothing is established
    for a document that is neither, one of which fields are erased or were never handed over, and one without the
    specification of a known product.
    """
    terms = body["terms"]
    document = terms["claims"] if terms["claims"] is not None else _kept(reader, terms["claims_root"])
    made = None if document is None else verify_order_document(document, terms["operations"], find)
    if made is not None and not terms["quantity"]:
        raise SpecificationError(
            f"the order does not say how many pieces of {made.product.product}",
            hint='such as "quantity": 1, "unit": "H87"',
        )


def _kept(reader: Reader, root: str | None) -> Mapping[str, Json] | None:
    """The document with a claims root, if the book has all of it."""
    stored = None if root is None else reader.book.document(bytes.fromhex(root[2:]))
    if stored is None:
        return None
    claims = parse_claims(json.loads(stored))
    if not all(isinstance(field, Field) for _, field in claims.fields):
        return None
    return claims.document if isinstance(claims.document, Mapping) else None
