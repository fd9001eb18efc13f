"""Sentences that the product itself writes. Each is declared once: it is written from its template and recognised by
it, so that pages can say it in the reader's language. Whatever else stands in such a place is somebody's own words.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from functools import cache
from string import Formatter
from typing import Self

_FORMS: Mapping[str, str] = {"d": "[0-9]+", "s": r"\S+", "": ".*?"}
"""What the values of a template's formats look like: a whole number, a word, any text."""


class Phrase(enum.Enum):
    """A sentence. Its value is the template, as `str.format` reads it. The members of a class that could be taken for
    each other stand in the order in which they are recognised."""

    def write(self, **values: object) -> str:
        """The sentence with these values. Raises KeyError if one is missing."""
        text: str = self.value.format(**values)
        return text

    def read(self, text: str) -> dict[str, str] | None:
        """The values of a text that is this sentence; None for any other text."""
        found = _pattern(self.value).fullmatch(text)
        return None if found is None else found.groupdict()

    @classmethod
    def find(cls, text: str) -> tuple[Self, dict[str, str]] | None:
        """The sentence that a text is, with its values; None for any other text."""
        return next(((one, values) for one in cls if (values := one.read(text)) is not None), None)


@cache
def _pattern(template: str) -> re.Pattern[str]:
    parts = []
    for before, name, form, _ in Formatter().parse(template):
        parts.append(re.escape(before))
        if name:
            parts.append(f"(?P<{name}>{_FORMS[form or '']})")
    return re.compile("".join(parts), re.DOTALL)
