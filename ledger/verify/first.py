"""What a reader must be told before anything else of a part: that it was called back, that its certificate is doubted,
then how it stands."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence

from millmark.ledger.records import NoteKind
from millmark.ledger.verify.statements import Statement
from millmark.ledger.verify.values import Thing

__all__ = ["STOPPING", "VERDICTS", "WAITING", "Worth", "find_first", "find_recalls", "find_waits", "find_worth"]

VERDICTS = ("quarantined_part", "passed", "failed", "no_valid_verdict", "no_gate_verdict", "no_verdict")
"""Codes of the statements that say how a part stands."""
STOPPING = frozenset({"recall_notice", "quarantined_part", "failed", "no_valid_verdict"})
"""Codes among those told first that say not to use the part as it stands."""
WAITING = frozenset({"demanded"})
"""That which says to wait."""


class Worth(enum.Enum):
    """What a part is worth by what is told of it first: the colour of its headline on every page."""

    GOOD = "good"
    """It passes, and nothing is open, whatever it failed by before."""
    OPEN = "open"
    """Something has still to be settled: a doubt, a certificate that is missing, or one that fell."""
    BAD = "bad"
    """It must not be used as it stands."""
    NONE = "none"
    """Nothing is told of a part."""


_RECALL, _NOTE, _PASSED, _DEMANDED = "recall_notice", "note", "passed", "demanded"


def find_first(statements: Iterable[Statement]) -> tuple[Statement, ...]:
    """The recall notices that stand, the doubts that are open, then quarantine and verdicts: the first of them is the
    headline. A pass that is doubted is not among them: who doubts it says so."""
    found = tuple(statements)
    waits = find_waits(found)
    doubted = {(one.subject, one.values.get("certificate")) for one in waits}
    verdicts = (one for one in found if one.code in VERDICTS)
    kept = (one for one in verdicts if (one.subject, one.values.get("certificate")) not in doubted)
    return (*find_recalls(found), *waits, *kept)


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
