"""Converts an identifier of any supported scheme to its canonical form."""

from __future__ import annotations

from ledger.errors import IdentifierError
from ledger.ids._digital_link import parse_digital_link
from ledger.ids._epc import parse_epc
from ledger.ids._names import canonical_did, canonical_urn

__all__ = ["MAX_IDENTIFIER_LENGTH", "canonical_identifier", "is_identifier"]

MAX_IDENTIFIER_LENGTH = 2048
"""Maximum number of characters, before and after conversion: more than web servers and code readers handle."""


def canonical_identifier(text: str) -> str:
    """Return the canonical form of an identifier: a GS1 Digital Link, EPC URN, did or urn.

    An EPC URN becomes the Digital Link of its key. The function is idempotent. Raises IdentifierError for everything
    that has no canonical form. Not established: that the thing exists, or whose it is.
    """
    if not isinstance(text, str) or not text:
        raise IdentifierError("an identifier must be a string that is not empty")
    if len(text) > MAX_IDENTIFIER_LENGTH:
        raise IdentifierError(f"the identifier is longer than {MAX_IDENTIFIER_LENGTH} characters")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise IdentifierError(
            "an identifier must consist of printable ASCII characters without spaces", hint="percent-encode the others"
        )
    scheme = text.partition(":")[0].lower()
    if scheme in ("http", "https"):
        return parse_digital_link(text).uri
    if scheme == "did":
        return canonical_did(text)
    if scheme == "urn":
        return parse_epc(text).uri if text.lower().startswith("urn:epc:") else canonical_urn(text)
    raise IdentifierError(
        f"{text[:40]!a} is not a GS1 Digital Link, EPC URN, did or urn", hint="use one of these, with its scheme"
    )


def is_identifier(text: str) -> bool:
    """Whether `canonical_identifier` accepts `text`."""
    try:
        canonical_identifier(text)
    except IdentifierError:
        return False
    return True
