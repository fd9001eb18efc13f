"""The document of an order for a configured product: built by its buyer, checked by whoever reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from millmark.ledger.canonical import Json, canonical_json, parse_hex32
from millmark.ledger.errors import CanonicalError, SpecificationError
from millmark.ledger.products._configure import Configuration, Operation, verify_specification
from millmark.ledger.products._model import Product, name_in
from millmark.ledger.products._parse import parse_product

FindProduct: TypeAlias = Callable[[bytes], Product | None]
"""Returns the product with a digest; None if it is not known."""


def build_order_document(made: Configuration) -> dict[str, Json]:
    """Return the claims document of an order: specification, operations, passport, and the product as one text.

    The operations are by number, counting from 0, as an assignment's hand-over takes one of them out.
    """
    return {
        "specification": made.specification,
        "operations": _operations(made.operations),
        "passport": {"productName": name_in(made.product.names, "en")},
        # One field, because a document's fields disclose the structure of all of them: who gets another field learns
        # nothing about the price list. Its bytes are those that the digest is about.
        "product": made.product.canonical.decode(),
    }


def verify_order_document(
    document: Mapping[str, Json], operations: int | None, find: FindProduct
) -> Configuration | None:
    """Check the specification in an order's document, where it names a product that is known.

    1. The specification has the members product and options, and nothing else.
    2. The product is the one in the document, whose digest must be that of the specification, or else one that `find`
       knows.
    3. The specification has every option, each is allowed, and all constraints hold.
    4. The order has as many operations as the route (unless `operations` is None: there is no order yet), and those in
       the document are the route's.

    Returns what was ordered; None, with nothing established, if the document has no specification of a product, or the
    product is not known. Raises SpecificationError, or ProductError for the product in the document.
    """
    specification = document.get("specification")
    if not isinstance(specification, Mapping) or "product" not in specification:
        return None
    digest, options = _parse_specification(specification)
    product = _product_in(document, digest) or find(digest)
    if product is None:
        return None
    made = verify_specification(product, options)
    if operations not in (None, len(made.operations)):
        raise SpecificationError(
            f"this {product.product} takes {len(made.operations)} operations, not {operations}",
            hint="the number of operations follows from the options",
        )
    if canonical_json(document.get("operations")) != canonical_json(_operations(made.operations)):
        raise SpecificationError(
            "the operations in the order's document are not those of the product's route",
            hint="write them as `millmark products configure` does",
        )
    return made


def _parse_specification(specification: Mapping[str, Json]) -> tuple[bytes, Mapping[str, Json]]:
    digest, options = specification["product"], specification.get("options")
    if specification.keys() != {"product", "options"} or not isinstance(options, Mapping):
        raise SpecificationError(
            "the specification does not have the members product and options", hint='such as {"product": "0x...", ...}'
        )
    try:
        return parse_hex32(digest if isinstance(digest, str) else ""), options
    except CanonicalError as error:
        raise SpecificationError(f"the specification's product: {error.cause}", hint=error.hint) from None


def _product_in(document: Mapping[str, Json], digest: bytes) -> Product | None:
    text = document.get("product")
    if text is None:
        return None
    if not isinstance(text, str):
        raise SpecificationError("the product in the order's document is not a text")
    product = parse_product(text.encode("utf-8", "surrogatepass"))
    if product.digest != digest:
        raise SpecificationError(
            "the product in the order's document is not the one that its specification names",
            hint=f"its digest is 0x{product.digest.hex()}",
        )
    return product


def _operations(operations: tuple[Operation, ...]) -> dict[str, Json]:
    return {str(number): operation.to_json() for number, operation in enumerate(operations)}
