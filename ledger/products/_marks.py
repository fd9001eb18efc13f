"""What each piece of a product is marked with: its GTIN, and further GS1 application identifiers (a UDI, for an
implant)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from millmark.ledger.errors import IdentifierError
from millmark.ledger.ids import ATTRIBUTES, DigitalLink, excluded_by
from millmark.ledger.products._model import Product

_QUALIFIERS = ("22", "10", "21")
"""Variant, batch and serial: those that the path of a Digital Link has after a GTIN, in GS1's order."""


def verify_marks(gtin: str | None, marks: Sequence[str]) -> None:
    """Check a GTIN and the application identifiers beside it. Raises IdentifierError."""
    if gtin is None:
        if marks:
            raise IdentifierError("it has marks, but no gtin", hint="give the gtin that they are beside")
        return
    DigitalLink((("01", gtin),))  # checked at construction
    present = ["01", *marks]
    for place, ai in enumerate(present):
        if ai in present[:place]:
            raise IdentifierError(f"the mark ({ai}) occurs twice")
        if ai not in _QUALIFIERS and ai not in ATTRIBUTES:
            raise IdentifierError(f"({ai}) cannot be on a piece beside its GTIN", hint="such as 21, 10 and 17")
        if clash := excluded_by(ai, present):
            raise IdentifierError(f"the marks ({ai}) and ({clash[0]}) exclude each other", hint="leave one of them out")


def build_mark(product: Product, values: Mapping[str, str]) -> DigitalLink:
    """Return what a piece is marked with, as a Digital Link with data attributes. `values` are by application
    identifier, exactly those that the product asks for.

    Raises IdentifierError for a product without GTIN, a missing or further application identifier, or a value that GS1
    does not allow, such as an expiry (17) that is not a date.
    """
    if product.gtin is None:
        raise IdentifierError(f"{product.product} has no GTIN")
    if values.keys() != set(product.marks):
        wanted = ", ".join(f"({ai})" for ai in product.marks) or "nothing"
        given = ", ".join(f"({ai})" for ai in values) or "nothing"
        raise IdentifierError(f"a {product.product} is marked with {wanted} beside its GTIN, not with {given}")
    path = [(ai, values[ai]) for ai in _QUALIFIERS if ai in values]
    link = DigitalLink(
        (("01", product.gtin), *path), tuple((ai, values[ai]) for ai in product.marks if ai not in _QUALIFIERS)
    )
    link.check_attributes()
    return link


def element_string(mark: DigitalLink) -> str:
    """The mark as people read it beside a code: (01)09506000013459(17)310131(21)A0001 (GS1 General Specifications,
    section 4.14). Attributes of fixed length, such as dates, come before serial and batch, which end where they end."""
    key, *qualifiers = mark.elements
    return "".join(f"({ai}){value}" for ai, value in (key, *mark.attributes, *qualifiers))
