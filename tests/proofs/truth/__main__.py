"""Asks about the parts of random worlds: `python -m tests.proofs.truth --worlds 1000`. Then plants faults in the
code of the report, and shows that each is found."""

from __future__ import annotations

import argparse
import pickle
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.proofs.truth.cases import Case, Difference, judge, make_cases
from tests.proofs.truth.faults import FAULTS, is_found
from tests.proofs.truth.questions import QUESTIONS

_KEPT = 150
"""Worlds whose cases are kept for the faults, if their reports differ in nothing."""


def main() -> int:
    """Returns 0 if no report differs from the chain, and each fault is found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="seed of the first world")
    options = parser.parse_args()
    kept, differences = _ask(options.first, options.worlds)
    missed = _plant(kept)
    return 1 if differences or missed else 0


def _ask(first: int, worlds: int) -> tuple[list[Case], int]:
    kept: list[Case] = []
    told, parts, answers = Counter[str](), 0, Counter[str]()
    for case in make_cases(range(first, first + worlds)):
        parts += 1
        answers.update(name for name, answer in case.answers.items() if answer)
        differences = list(judge(case))
        if case.seed < first + _KEPT and not differences:
            kept.append(case)
        for difference in differences:
            told[difference.question] += 1
            _report(difference)
    for question in QUESTIONS:
        sys.stdout.write(f"{answers[question.name]:7} answers, {told[question.name]} differ: {question.name}\n")
    total = sum(told.values())
    sys.stdout.write(f"{worlds} worlds, {parts} parts, {len(QUESTIONS)} questions each: {total} differences\n")
    return kept, total


def _report(difference: Difference) -> None:
    sys.stderr.write(f"{difference}\n")


def _plant(kept: list[Case]) -> int:
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        cases = Path(folder) / "cases"
        cases.write_bytes(pickle.dumps(kept))
        for fault in FAULTS:
            found = is_found(fault, cases)
            missed += not found
            sys.stdout.write(f"{'found ' if found else 'MISSED'} {fault.name}\n")
    sys.stdout.write(f"{len(FAULTS) - missed} of {len(FAULTS)} planted faults found\n")
    return missed


if __name__ == "__main__":
    sys.exit(main())
