"""The one entry: any identifier to its canonical form."""

from __future__ import annotations

from ledger.errors import IdentifierError
from ledger.ids._digital_link import parse_digital_link
from ledger.ids._epc import parse_epc
from ledger.ids._names import canonical_did, canonical_urn

__all__ = ["MAX_IDENTIFIER_LENGTH", "canonical_identifier", "is_identifier"]

MAX_IDENTIFIER_LENGTH = 2048
"""Characters, before and after. Longer than any web server or code reader passes on."""


def canonical_identifier(text: str) -> str:
    """Return the one spelling of an identifier: GS1 Digital Link, EPC URN (as the link of its key), did or urn.

    Applied to its own result it changes nothing. Raises IdentifierError for everything that has no canonical form.
    Not established: that the thing exists, or who may speak for it.
    """
    if not isinstance(text, str) or not text:
        raise IdentifierError("an identifier is a text that is not empty")
    if len(text) > MAX_IDENTIFIER_LENGTH:
        raise IdentifierError(f"the identifier is longer than {MAX_IDENTIFIER_LENGTH} characters")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise IdentifierError("an identifier has only printable ASCII without spaces", hint="percent-encode the rest")
    scheme = text.partition(":")[0].lower()
    if scheme in ("http", "https"):
        return parse_digital_link(text).uri
    if scheme == "did":
        return canonical_did(text)
    if scheme == "urn":
        return parse_epc(text).uri if text.lower().startswith("urn:epc:") else canonical_urn(text)
    raise IdentifierError(
        f"{text[:40]!a} is no GS1 Digital Link, EPC URN, did or urn", hint="give one of these, with its scheme"
    )


def is_identifier(text: str) -> bool:
    """Tell whether `canonical_identifier` would accept `text`."""
    try:
        canonical_identifier(text)
    except IdentifierError:
        return False
    return True
