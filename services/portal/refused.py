"""What an error says, in the reader's language."""

from __future__ import annotations

from markupsafe import Markup, escape

from ledger.errors import MillmarkError
from services.access.grounds import read_ground
from services.portal.language import Catalogue

__all__ = ["say_error"]

_ENGLISH = Markup('<span lang="en" translate="no">{}</span>')


def say_error(catalogue: Catalogue, error: MillmarkError) -> Markup:
    """An error of access in the page's language; of any other its own words, which are English, after what its kind is
    if the catalogue says it."""
    found = read_ground(error.cause)
    if found is not None:
        ground, value = found
        # A constant; `format` escapes.
        shown = escape(value) if value.isdecimal() else _ENGLISH.format(value)
        return escape(catalogue.say(f"ground.{ground.name.lower()}")).format(value=shown)
    kind, words = f"problem.{error.code}", _ENGLISH.format(str(error))
    return escape(catalogue.say(kind)) + " " + words if catalogue.knows(kind) else words
