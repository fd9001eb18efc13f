"""What this product wrote into records, entries and its database, in the reader's language."""

from __future__ import annotations

from collections.abc import Callable

from markupsafe import Markup, escape

from services.planning.feedback.sentences import read_sentence
from services.portal.language import Catalogue

__all__ = ["say_written"]


def say_written(catalogue: Catalogue, data: Callable[[object], Markup], text: str, *, error: bool = False) -> Markup:
    """A text in the page's language, if it is one of the product's own sentences; any other as it was written. `data`
    shows such words. `error`: whether it is an error's text, which is English."""
    found = read_sentence(text)
    if found is None:
        # Constants; `format` escapes.
        return Markup('<span lang="en" translate="no">{}</span>').format(text) if error else data(text)
    sentence, values = found
    shown = {name: _show(catalogue, data, name, value) for name, value in values.items()}
    return escape(catalogue.say(f"written.{sentence.name.lower()}")).format(**shown)


def _show(catalogue: Catalogue, data: Callable[[object], Markup], name: str, value: str) -> Markup:
    if name == "kind" and catalogue.knows(f"plan.cause.{value}"):
        return escape(catalogue.say(f"plan.cause.{value}"))
    if name == "reason":
        return data(value)
    return say_written(catalogue, data, value, error=name == "error")
