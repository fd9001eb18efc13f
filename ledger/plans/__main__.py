"""`python -m millmark.ledger.plans FILE`: the same as `millmark plan check`, without the rest of Millmark.

Needs no more packages than the verifier: safe-pysha3, coincurve and rfc8785. Exit code 0 the plan holds, 1 refused (the
line names rule and row), 2 unusable input, 3 nothing could be printed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from millmark.ledger.plans.check import tell_check


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m millmark.ledger.plans",
        description="Check a plan file offline. Exit code 0: the plan holds, 1: refused, 2: unusable input.",
    )
    parser.add_argument("file", type=Path, help="the plan file")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    given = parser.parse_args(arguments)
    return tell_check(given.file, as_json=given.json)


if __name__ == "__main__":
    sys.exit(main())
