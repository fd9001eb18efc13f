"""The report of a verified bundle: what it proves, what it does not prove, and at which block."""

from __future__ import annotations

import enum
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from millmark.ledger.canonical import to_hex
from millmark.ledger.errors import InputError, MillmarkError
from millmark.ledger.records import NoteKind
from millmark.ledger.verify.statements import Kind, Section, Statement, Thing, words_of

_LATEST_S = 253_402_300_799
"""9999-12-31T23:59:59Z, the latest time in RFC 3339; contracts can have later ones."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a bundle proves. All of it is in the statements."""

    statements: tuple[Statement, ...]
    holds_until: int
    """From this time on, in seconds since 1970, the same bundle may result in another report, or be refused, although
    nothing of it changed: its block is too old, a certificate expired, or the deadline to open one passed."""

    @property
    def attention(self) -> tuple[Statement, ...]:
        return self.of(Kind.ATTENTION)

    @property
    def proved(self) -> tuple[Statement, ...]:
        return self.of(Kind.PROVED)

    @property
    def not_proved(self) -> tuple[Statement, ...]:
        return self.of(Kind.NOT_PROVED)

    def of(self, kind: Kind) -> tuple[Statement, ...]:
        """The statements of a kind, in their order."""
        return tuple(one for one in self.statements if one.kind is kind)

    def within(self, section: Section) -> tuple[Statement, ...]:
        """The statements of a section, in their order."""
        return tuple(one for one in self.statements if one.section is section)

    def to_json(self) -> list[dict[str, object]]:
        """The statements as JSON types."""
        return [one.to_json() for one in self.statements]


def moment(seconds: int) -> datetime:
    """Convert a contract's time. Times after 9999 become the last second of 9999."""
    return datetime.fromtimestamp(min(seconds, _LATEST_S), UTC)


def describe(report: Report, language: str = "en") -> list[str]:
    """The statements as text, line by line, in a language of LANGUAGES."""
    lines: list[str] = []
    for section, statements in itertools.groupby(report.statements, lambda one: one.section):
        lines += _lines(section, statements, language)
    return lines


def _lines(section: Section, statements: Iterator[Statement], language: str) -> Iterator[str]:
    words = words_of(language)
    if section.value in words.titles:
        yield ""
        yield words.titles[section.value]
    indent = "" if section is Section.HEAD else "  " if section is Section.PART else "  - "
    for one in statements:
        if one.code == "part":  # a heading
            yield ""
            yield words.text(one)
        else:
            yield indent + words.text(one)


# What a reader must be told before anything else of a part: that it was called back, that its certificate is doubted,
# then how it stands.

VERDICTS = ("quarantined_part", "passed", "failed", "no_valid_verdict", "no_gate_verdict", "no_verdict")
"""Codes of the statements that say how a part stands."""
STOPPING = frozenset({"recall_notice", "taken_back", "quarantined_part", "failed", "no_valid_verdict"})
"""Codes among those told first that say not to use the part as it stands."""
WAITING = frozenset({"demanded"})
"""That which says to wait."""


class Worth(enum.Enum):
    """The value of a part according to the first statements about it. It decides the colour of the headline on every
    page."""

    GOOD = "good"
    """It passes, and nothing is open, whatever it failed by before."""
    OPEN = "open"
    """Something has still to be settled: a doubt, a certificate that is missing, or one that fell."""
    BAD = "bad"
    """It must not be used as it stands."""
    NONE = "none"
    """Nothing is told of a part."""


_RECALL, _NOTE, _PASSED, _DEMANDED, _TAKEN_BACK = "recall_notice", "note", "passed", "demanded", "taken_back"


def find_first(statements: Iterable[Statement]) -> tuple[Statement, ...]:
    """The recall notices that stand, the passes that were taken back, the doubts that are open, then quarantine and
    verdicts: the first of them is the headline. A pass that is doubted or taken back is not among them: who did so
    says it."""
    found = tuple(statements)
    back, waits = _find_taken_back(found), find_waits(found)
    gone = {one.values.get("certificate") for one in back}
    doubted = {(one.subject, one.values.get("certificate")) for one in waits}
    verdicts = (
        one for one in found if one.code in VERDICTS and not (one.code == _PASSED and _certificate(one) in gone)
    )
    kept = (one for one in verdicts if (one.subject, _certificate(one)) not in doubted)
    return (*find_recalls(found), *back, *waits, *kept)


def _find_taken_back(statements: Sequence[Statement]) -> tuple[Statement, ...]:
    """The statements that a certificate by which a part passes was corrected by who issued it. By its number: the part
    may be another of its lots, or split off one."""
    passed = {_certificate(one) for one in statements if one.code == _PASSED}
    return tuple(one for one in statements if one.code == _TAKEN_BACK and _certificate(one) in passed)


def _certificate(statement: Statement) -> object:
    return statement.values.get("certificate")


def find_worth(told: Iterable[Statement], *, refused: bool = False) -> Worth:
    """What a part is worth by the statements that are told first. `refused`: whether its proof was refused, which also
    is so of a part that is used up."""
    codes = {one.code for one in told}
    if refused or codes & STOPPING:
        return Worth.BAD
    if not codes:
        return Worth.NONE
    return Worth.GOOD if codes == {_PASSED} else Worth.OPEN


def find_waits(statements: Iterable[Statement]) -> tuple[Statement, ...]:
    """The statements that evidence was demanded for a certificate by which a part passes, and is not shown yet."""
    found = tuple(statements)
    passed = {(one.subject, one.values.get("certificate")) for one in found if one.code == _PASSED}
    return tuple(
        one for one in found if one.code == _DEMANDED and (one.subject, one.values.get("certificate")) in passed
    )


def find_recalls(statements: Iterable[Statement]) -> tuple[Statement, ...]:
    """The recall notices that their authors have not resolved for everything that they name."""
    found = tuple(statements)
    resolved = [one for one in found if one.code == _NOTE and one.values.get("note") is NoteKind.RESOLUTION]
    return tuple(one for one in found if one.code == _RECALL and not _is_over(one, resolved))


def _is_over(notice: Statement, resolved: Sequence[Statement]) -> bool:
    left = _subjects(notice)
    for one in resolved:
        later = max(one.records, default=0) > max(notice.records, default=0)
        if later and one.values.get("by") == notice.values.get("by"):
            left -= _subjects(one)
    return not left and bool(_subjects(notice))


def _subjects(statement: Statement) -> set[bytes]:
    about = statement.values.get("about", ())
    return {one.subject for one in about if isinstance(one, Thing)} if isinstance(about, tuple) else set()


# Refusals of a bundle: one class per step of verification.
#
# VerificationError
#   FormatRefused            1  the file is not the canonical text of a bundle, or is too large
#   TrustRefused             2  chain, contract or code are not those of the trust file
#   CheckpointRefused        3  the proof block is not the believed one, or too old
#   ProofsRefused            4  a state proof is invalid, missing or superfluous
#   HeadsRefused             5  the records of a history are not all of its records
#   ReplayRefused            6  records contradict each other, or something that they name is missing
#   IdentifiersRefused       7  an identifier does not lead to its subject
#   ClaimsRefused            8  a disclosed field is not what its record commits to
#   EvidenceRefused          9  measured data are not in their stream
#   InferencesRefused       10  an inference is not what its certificate commits to
#   StatusRefused           11  a part's certificate does not count, or it is quarantined or spent


class Step(enum.IntEnum):
    """The steps of verification, in order."""

    FORMAT = 1
    TRUST = 2
    CHECKPOINT = 3
    PROOFS = 4
    HEADS = 5
    REPLAY = 6
    IDENTIFIERS = 7
    CLAIMS = 8
    EVIDENCE = 9
    INFERENCES = 10
    STATUS = 11


class VerificationError(MillmarkError):
    """A step failed; those after it were not tried."""

    code = "bundle-refused"
    step: ClassVar[Step]

    def __init__(
        self, cause: str, *, subject: bytes | None = None, sequence: int | None = None, hint: str = ""
    ) -> None:
        self.subject = subject
        """The order, lot or stream concerned, 32 bytes."""
        self.sequence = sequence
        """The record concerned."""
        self.reason = cause
        place = "" if sequence is None else f" at record {sequence}"
        place += "" if subject is None else f" of {to_hex(subject)}"
        super().__init__(f"step {self.step.value} ({self.step.name.lower()}){place}: {cause}", hint=hint)


class FormatRefused(VerificationError):  # noqa: N818  # "refused" says what the others' "error" says
    """The file is not the canonical text of a bundle, or is too large."""

    step = Step.FORMAT

    def __init__(self, cause: str, *, hint: str = "", usable: bool = True) -> None:
        super().__init__(cause, hint=hint)
        if not usable:
            self.exit_code = InputError.exit_code  # type: ignore[misc]  # a file of another kind is the user's mistake


class TrustRefused(VerificationError):  # noqa: N818  # a refusal is the answer, no fault
    """The chain, a contract or its code is not that of the trust file."""

    step = Step.TRUST


class CheckpointRefused(VerificationError):  # noqa: N818  # a refusal is the answer, no fault
    """The proof block is not the believed one or an ancestor of it, or too old."""

    step = Step.CHECKPOINT


class ProofsRefused(VerificationError):  # noqa: N818  # a refusal is the answer, no fault
    """A state proof is invalid, proves that an entry is absent, or is superfluous."""

    step = Step.PROOFS


class HeadsRefused(VerificationError):  # noqa: N818  # a refusal is the answer, no fault
    """The records of a history are not all of its records, each once and in order."""

    step = Step.HEADS


class ReplayRefused(VerificationError):  # noqa: N818  # a refusal is the answer, no fault
    """A record could not follow the earlier ones, or something that it needs is missing."""

    step = Step.REPLAY


class IdentifiersRefused(VerificationError):  # noqa: N818  # a refusal is the answer, no fault
    """An identifier is not canonical, its salt is not that of a name key, or it leads to no subject of the bundle."""

    step = Step.IDENTIFIERS


class ClaimsRefused(VerificationError):  # noqa: N818  # a refusal is the answer, no fault
    """Disclosed fields are not those that a record commits to."""

    step = Step.CLAIMS


class EvidenceRefused(VerificationError):  # noqa: N818  # a refusal is the answer, no fault
    """Measured data are not in their stream, or the stream was rewritten."""

    step = Step.EVIDENCE


class InferencesRefused(VerificationError):  # noqa: N818  # a refusal is the answer, no fault
    """An inference is not the one that its certificate commits to."""

    step = Step.INFERENCES


class StatusRefused(VerificationError):  # noqa: N818  # a refusal is the answer, no fault
    """A part is quarantined or spent, or has a certificate that does not count or a failing verdict."""

    step = Step.STATUS
    report: Report | None = None
    """The report, since all other steps succeeded."""
