"""Verifies files: the common part of `millmark verify` and `python -m millmark.verify`."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from millmark.ledger.ages import DAY_S, MAX_ANCESTRY
from millmark.ledger.bundle import read_bundle
from millmark.ledger.canonical import to_hex
from millmark.ledger.errors import MillmarkError, TrustError
from millmark.ledger.terminal import NO_ANSWER, is_coloured, paint, write
from millmark.ledger.trust import MAX_TRUST_BYTES, TrustFile, parse_trust
from millmark.ledger.verify import verify_bundle
from millmark.ledger.verify.report import Report, StatusRefused, VerificationError, describe


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a verification."""

    report: Report | None
    """None if the bundle was refused before step 11."""
    refusal: VerificationError | None

    @property
    def exit_code(self) -> int:
        """0 if verified, 1 if refused, 2 if the file is not a bundle at all."""
        return 0 if self.refusal is None else self.refusal.exit_code

    def to_json(self) -> dict[str, object]:
        refusal = self.refusal
        return {
            "verified": refusal is None,
            "refused": None if refusal is None else _refusal_json(refusal),
            "statements": None if self.report is None else self.report.to_json(),
        }

    def lines(self) -> list[str]:
        """The answer as text, line by line, without the refusal, which the caller prints as an error."""
        shown = [] if self.report is None else describe(self.report)
        return ["VERIFIED", *shown] if self.refusal is None else shown


def verify_files(
    bundle: Path,
    trust: Path,
    *,
    now_s: int,
    max_age_days: float,
    max_behind: int = MAX_ANCESTRY,
    any_status: bool = False,
) -> Answer:
    """Verify a bundle's file against a trust file (see `verify_bundle`). Raises InputError if one of them cannot be
    read, or the trust file is malformed."""
    believed = _read_trust(trust)
    data = read_bundle(bundle)
    try:
        report = verify_bundle(
            data,
            believed,
            now_s=now_s,
            max_age_s=int(max_age_days * DAY_S),
            max_behind=max_behind,
            any_status=any_status,
        )
    except StatusRefused as error:
        return Answer(error.report, error)
    except VerificationError as error:
        return Answer(None, error)
    return Answer(report, None)


def _read_trust(path: Path) -> TrustFile:
    try:
        with path.open("rb") as file:
            return parse_trust(file.read(MAX_TRUST_BYTES + 2))  # enough for the parser to refuse a longer file
    except OSError as error:
        raise TrustError(f"cannot read {path}: {error.strerror}", hint="check the path of the trust file") from None


def _refusal_json(refusal: VerificationError) -> dict[str, object]:
    return {
        "step": refusal.step.value,
        "name": refusal.step.name.lower(),
        "subject": None if refusal.subject is None else to_hex(refusal.subject),
        "sequence": refusal.sequence,
        "cause": refusal.reason,
        "hint": refusal.hint,
    }


# Prints answers.
#
# Exit codes mean one thing each: 0 verified; 1 refused; 2 the input cannot be used; 3 there is no answer, or it could
# not be printed.

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
