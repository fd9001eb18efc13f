"""`scripts/prove faults NAME`: inject faults and count violations of the ledger's guarantees."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from millmark.ledger.errors import MillmarkError
from millmark.services.output import json_format, print_document, print_lines, warn
from tests.faults.runs import NETWORK_RUNS, RUNS, FaultReport, run_faults


def main(arguments: Sequence[str]) -> int:
    """Injects faults into a new ledger on a real chain, and counts records that were lost, duplicated or invented.

    Returns 1 if there are any, 2 for unusable input.
    """
    options = _parser().parse_args(arguments)
    try:
        report = run_faults(options.name, options.count, options.seed, options.keep)
    except MillmarkError as error:
        warn(str(error))
        return error.exit_code
    if options.json:
        print_document({"format": json_format(["faults"]), **report.to_json()})
    else:
        print_lines(*_as_text(report))
    return 0 if report.passed else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/prove faults",
        description="Inject faults into a new ledger on a real chain, and count what was lost, duplicated or invented.",
        epilog="Example: scripts/prove faults rpc --count 500 --seed 7 --json",
    )
    parser.add_argument("name", metavar="NAME", help=f"one of {', '.join((*RUNS, *NETWORK_RUNS))}")
    parser.add_argument("--count", type=_positive, default=100, help="minimum number of faults; for soak, seconds")
    parser.add_argument("--seed", type=int, default=1, help="the same seed injects the same faults")
    parser.add_argument("--keep", type=Path, help="parts of an earlier network run, which count; this one adds to them")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _positive(text: str) -> int:
    if (count := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 on")
    return count


def _as_text(report: FaultReport) -> list[str]:
    found = report.outcome.check
    injected = sum(report.outcome.injected.values())
    return [
        f"{report.name}: {injected} faults, seed {report.seed}, on {report.outcome.engine}, {report.seconds:.1f} s",
        f"{found.events} events: {found.acknowledged} acknowledged, {found.failed} failed, {found.unknown} unknown",
        f"{found.lost} lost, {found.duplicate} duplicate, {found.phantom} phantom, {found.misordered} out of order",
        f"index equals replay: {found.replay_equal}; equals contracts: {found.heads_equal}",
        *report.outcome.table,
        *report.outcome.broken,
        "passed" if report.passed else "FAILED",
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
