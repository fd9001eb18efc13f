"""`python -m millmark.verify FILE --trust FILE`: the same as `millmark verify`, without the rest of Millmark.

Exit code 0 verified, 1 refused (the line names the step), 2 unusable input, 3 no answer, or none could be printed.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import NoReturn

from millmark.ledger.ages import DAY_S, DEFAULT_MAX_AGE_S, MAX_ANCESTRY
from millmark.ledger.errors import MillmarkError


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Print one line without the usage, like every other failure."""
        self.exit(2, f"millmark: {message}; see {self.prog} --help\n")


def main(arguments: list[str] | None = None, program: str = "python -m millmark.verify") -> int:
    """Run the command and return its exit code. `program` is its name in the help."""
    given = _parser(program).parse_args(arguments)
    # After the arguments, since help and a mistake in them need no verifier, which takes longer to load than Python.
    from millmark.ledger.verify.files import (  # noqa: PLC0415 - help needs no verifier
        fail,
        tell,
        verify_files,
    )

    try:
        answer = verify_files(
            given.bundle,
            given.trust,
            now_s=int(time.time()),
            max_age_days=given.max_age,
            max_behind=given.max_behind,
            any_status=given.any_status,
        )
        return tell(answer, as_json=given.json)
    except (MillmarkError, MemoryError) as error:
        return fail(error)


def _parser(program: str) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=program,
        allow_abbrev=False,
        description="Verify a provenance bundle offline. Exit code 0: verified, 1: refused, 2: unusable input, "
        "3: no answer.",
        epilog=f"Example: {program} part.bundle --trust trust.json",
    )
    parser.add_argument("bundle", type=Path, help="the provenance file")
    parser.add_argument("--trust", type=Path, required=True, help="the trust file")
    parser.add_argument(
        "--max-age",
        type=_days,
        default=DEFAULT_MAX_AGE_S / DAY_S,
        metavar="DAYS",
        help="how old the proof block may be (default: %(default)g)",
    )
    parser.add_argument(
        "--max-behind",
        type=_blocks,
        default=MAX_ANCESTRY,
        metavar="BLOCKS",
        help="how many blocks the proof block may be before the one that is believed (default: %(default)d)",
    )
    parser.add_argument(
        "--any-status",
        action="store_true",
        help="accept parts that are quarantined or spent, whose certificate does not count, or without identifier here",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    return parser


def _days(text: str) -> float:
    days = float(text)
    if not 0 <= days <= 1e6:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 1000000 days")
    return days


def _blocks(text: str) -> int:
    blocks = int(text)
    if not 0 <= blocks <= MAX_ANCESTRY:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to {MAX_ANCESTRY} blocks")
    return blocks


if __name__ == "__main__":
    sys.exit(main())
