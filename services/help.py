"""The help of every command, as texts that set-up and build made from the commands themselves.

To build one from its declaration, all that the command works with would be imported: two seconds for a text that only
a new version changes. So it is where there are no texts, as in a wheel of a checkout that nobody set up.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from millmark.ledger.terminal import NO_ANSWER, write

FOLDER = Path(__file__).parent / "help_texts"
FORMATS = Path(__file__).parent / "FORMATS.md"
"""The page of the formats of JSON, written with the texts."""
_TITLE = "======== "
"""Begins the line before each text, with the words of its command."""


def print_help(arguments: Sequence[str]) -> bool:
    """Prints the help that the arguments ask for, if they ask for nothing else and it is known. None do, too."""
    words = list(arguments[2:] if arguments[:1] == ["--home"] else arguments) or ["--help"]
    if words[-1:] != ["--help"]:
        return False
    text = find_help(words[:-1])
    if text is None:
        return False

    if not write(sys.stdout, text):
        sys.exit(NO_ANSWER)
    return True


def find_help(words: Sequence[str]) -> str | None:
    """The help of the command with these words, such as `orders place`; None if it is not known."""
    path = FOLDER / f"{words[0] if words else 'millmark'}.txt"
    # The first word comes from the command line: only the name of a file in the folder is one.
    if path.parent != FOLDER or not path.is_file():
        return None
    parts = (part.partition("\n") for part in path.read_text("utf-8").split(_TITLE)[1:])
    return {title: text for title, _, text in parts}.get(" ".join(words))


def join_texts(texts: Mapping[str, str]) -> str:
    """The content of one file: texts by the words of their commands."""
    return "".join(f"{_TITLE}{words}\n{text}" for words, text in texts.items())
