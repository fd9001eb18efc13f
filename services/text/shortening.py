"""Shortens identifiers in text for people to their last parts, by which commands find the same things."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from urllib.parse import unquote

_IDENTIFIER = re.compile(r"\b(?:https?://|urn:|did:)[^\s,;)]*[^\s,;):.]")


def shorten(lines: Sequence[str]) -> list[str]:
    """The lines, with each identifier but that in the first line as its last part, where that names nothing else in
    them. The first line names the thing that the text is about, and stays whole."""
    named: defaultdict[str, set[str]] = defaultdict(set)
    for line in lines:
        for identifier in _IDENTIFIER.findall(line):
            named[_last_part(identifier)].add(identifier)

    def short(match: re.Match[str]) -> str:
        name = _last_part(match[0])
        return name if len(named[name]) == 1 else match[0]

    return [*lines[:1], *(_IDENTIFIER.sub(short, line) for line in lines[1:])]


def _last_part(identifier: str) -> str:
    name = re.split(r"[/:]", identifier)[-1]
    # What a percent sign hides might look like another name.
    return name if name and unquote(name) == name else identifier
