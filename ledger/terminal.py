"""Writes to a terminal or a pipe, whatever its encoding and whatever became of it."""

from __future__ import annotations

import os
from typing import TextIO

__all__ = ["NO_ANSWER", "write"]

NO_ANSWER = 3
"""Exit code of a command that could not print its answer."""


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
