"""Why a text is no identifier at all, whatever its scheme: each ground is declared once."""

from __future__ import annotations

from millmark.ledger.phrases import Phrase


class IdentifierGround(Phrase):
    """A ground. Its value is the error's cause."""

    NO_IDENTIFIER = "an identifier must be a string that is not empty"
    LONG_IDENTIFIER = "the identifier is longer than {most:d} characters"
    UNPRINTABLE = "an identifier must consist of printable ASCII characters without spaces"
    NO_SCHEME = "{text} is not a GS1 Digital Link, EPC URN, did or urn"
