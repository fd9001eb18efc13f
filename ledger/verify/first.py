"""What a reader must be told before anything else of a part: that it was called back, then how it stands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ledger.records import NoteKind
from ledger.verify.statement import Statement
from ledger.verify.values import Thing

__all__ = ["STOPPING", "VERDICTS", "find_first", "find_recalls"]

VERDICTS = ("quarantined_part", "passed", "failed", "no_valid_verdict", "no_gate_verdict", "no_verdict")
"""Codes of the statements that say how a part stands."""
STOPPING = frozenset({"recall_notice", "quarantined_part", "failed", "no_valid_verdict"})
"""Of what is told first, that which says not to use the part as it stands."""
_RECALL, _NOTE = "recall_notice", "note"


def find_first(statements: Iterable[Statement]) -> tuple[Statement, ...]:
    """The recall notices that stand, then quarantine and verdicts: the first of them is the headline."""
    found = tuple(statements)
    return (*find_recalls(found), *(one for one in found if one.code in VERDICTS))


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
