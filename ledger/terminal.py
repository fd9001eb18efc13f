"""Writes to a terminal or a pipe, whatever its encoding and whatever became of it."""

from __future__ import annotations

import os
import re
from typing import TextIO

NO_ANSWER = 3
"""Exit code of a command that could not print its answer."""

_GOOD = "pass|passed|valid|verified|proved|final|delivered|completed|active"
_BAD = "fail|failed|fails|refused|revoked|refuted|fallen|unopened|quarantined|withdrawn|parked|suspended|cut off"
_WORD = re.compile(rf"(?<![\w./:@\x1b\[-])(?:(?P<good>{_GOOD})|(?P<bad>{_BAD}))(?![\w./:@-])", re.IGNORECASE)
"""Words that say how things stand. Not what is part of a name, a path or a number."""
_GREEN, _RED, _PLAIN = "\x1b[32m", "\x1b[31m", "\x1b[39m"
_NOT = re.compile(r"\b(?:not|no|never|without)\s+(?:\w+\s+)?$", re.IGNORECASE)


def is_coloured(stream: TextIO | None) -> bool:
    """Whether text on a stream may have colours: it is a terminal, and nobody said otherwise (no-color.org)."""
    if stream is None or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def paint(text: str) -> str:
    """Text with the words coloured that say how things stand: green what is well, red what is not. What is negated
    stays as it is."""

    def colour(match: re.Match[str]) -> str:
        if _NOT.search(text, max(0, match.start() - 40), match.start()):
            return match[0]
        return f"{_GREEN if match['good'] else _RED}{match[0]}{_PLAIN}"

    return _WORD.sub(colour, text)


def write(stream: TextIO | None, text: str) -> bool:
    """Write text, with escapes for characters that the encoding lacks. Returns whether all of it was written."""
    if stream is None:  # closed before Python started
        return False
    try:
        encoding = stream.encoding or "ascii"  # a stream in memory has none
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except (OSError, ValueError):  # a ValueError: it was closed since, or its encoding can escape nothing
        _discard(stream)
        return False
    return True


def _discard(stream: TextIO) -> None:
    """Let what is left in the buffer go nowhere: else Python would fail again when it exits, with another exit code."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        return
