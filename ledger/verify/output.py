"""Prints answers.

Exit codes mean one thing each: 0 verified; 1 refused; 2 the input cannot be used; 3 there is no answer, or it could not
be printed.
"""

from __future__ import annotations

import json
import sys
from typing import Final

from millmark.ledger.errors import MillmarkError
from millmark.ledger.terminal import NO_ANSWER, is_coloured, paint, write
from millmark.ledger.verify.files import Answer

__all__ = ["FORMAT", "fail", "tell"]

FORMAT: Final = "millmark.verify/1"
"""As of all commands that print JSON; millmark.services.output, which names theirs, may not be there."""


def tell(answer: Answer, *, as_json: bool) -> int:
    """Print an answer and return its exit code."""
    shown = json.dumps({"format": FORMAT, **answer.to_json()}, indent=2) if as_json else "\n".join(answer.lines())
    if not as_json and is_coloured(sys.stdout):
        shown = paint(shown)
    if shown and not write(sys.stdout, f"{shown}\n"):
        write(sys.stderr, "millmark: the answer cannot be written; check the output and its disk\n")
        return NO_ANSWER
    if answer.refusal is not None:
        write(sys.stderr, f"millmark: REFUSED {answer.refusal}\n")
    return answer.exit_code


def fail(error: MillmarkError | MemoryError) -> int:
    """Print in one line why there is no answer, and return the exit code."""
    if isinstance(error, MillmarkError):
        write(sys.stderr, f"millmark: {error}\n")
        return error.exit_code
    write(sys.stderr, "millmark: not enough memory to verify this file; allow more\n")
    return NO_ANSWER
