"""Shows text of strangers so that it is seen as it is: it can neither hide, nor move, nor pass for another.

Escaped, as in JSON, are control characters, all that is invisible or ignored in display, everything that is written
from right to left or changes the direction, and spaces after a space.

Apart from the statements, since commands and pages show text without a verifier.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from millmark.ledger.canonical import Json, canonical_json

_PLAIN = re.compile(r"(?:[!-\[\]-~]| (?! ))*+")
"""Text in which nothing needs to be escaped: most."""
_FROM_THE_RIGHT = frozenset({"R", "AL", "AN"})
"""Directions of letters and digits. What changes the direction of others is a format character, and not printable."""
_INVISIBLE = frozenset("\u00ad\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters and symbols, by their category, that are blank; those in no such category are not printable anyway."""
_MOST_MARKS = 2
"""Most accents in a row on one letter; more would cover the lines above and below."""


def printable(text: str) -> str:
    """Escape what a reader could not see, or would see elsewhere. Text in any language stays as it is otherwise."""
    if _PLAIN.fullmatch(text):
        return text
    shown: list[str] = []
    marks, space = 0, False
    for letter in text:
        marks = marks + 1 if unicodedata.combining(letter) or unicodedata.category(letter) in ("Mn", "Me") else 0
        hidden = letter == "\\" or (letter == " " and space) or marks > _MOST_MARKS
        shown.append(_escape(letter) if hidden or not _is_seen(letter) else letter)
        space = letter == " "
    return "".join(shown)


def _is_seen(letter: str) -> bool:
    if not letter.isprintable() or letter in _INVISIBLE or 0xFE00 <= ord(letter) <= 0xFE0F:
        return False
    if 0x180B <= ord(letter) <= 0x180F or 0xE0100 <= ord(letter) <= 0xE01EF:  # variation selectors, like those above
        return False
    return unicodedata.category(letter) != "Me" and unicodedata.bidirectional(letter) not in _FROM_THE_RIGHT


def _escape(letter: str) -> str:
    if letter == "\\":
        return "\\\\"
    number = ord(letter)
    if number > 0xFFFF:
        return f"\\U{number:08x}"
    return f"\\u{number:04x}" if number > 0xFF else f"\\x{number:02x}"


def quoted(value: Json) -> str:
    """A JSON value as text, strings in quotation marks: no string can look like several values, or like a number."""
    if isinstance(value, str):
        return '"' + printable(value).replace('"', '\\"') + '"'
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{quoted(name)}: {quoted(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(quoted, value)) + "]"
    return canonical_json(value).decode()
