"""Acts of quality cases: a recall notice, and what answers it. All are notes on lots."""

from __future__ import annotations

from collections.abc import Sequence

from millmark.ledger.provenance.cases import LIMITS, MOST_NOTED, find_concerned, reach
from millmark.ledger.records import LotState, NoteKind
from millmark.ledger.store.rows import LotRow
from millmark.services.portal.acting.acts import Act
from millmark.services.portal.acting.fields import Body, EntryError, Field, FieldKind, Filled
from millmark.services.portal.acting.summaries import Line, Value, named
from millmark.services.portal.acting.things import Scene

__all__ = ["NOTE_ACTS", "name_lots"]

_LOTS = Field("lots", FieldKind.HIDDEN, label="notedLots")
"""Numbers of lots, which are shorter than their subjects: they have to fit into an address."""
_MAX_DIGITS = 15


def name_lots(lots: Sequence[LotRow]) -> str:
    """The entry for the lots that a note is about."""
    return "-".join(str(lot.number) for lot in lots)


def _complete(kind: NoteKind, body: Body, scene: Scene) -> Body:
    """Raises EntryError for what names no lots."""
    numbers = str(body.pop("lots", ""))
    rows = _lots(scene, numbers)
    if len(rows) != len(set(numbers.split("-"))):
        raise EntryError("entry.wrong")
    return {**body, "subjects": sorted(f"0x{row.subject.hex()}" for row in rows), "kind": int(kind)}


def _lots(scene: Scene, numbers: str) -> list[LotRow]:
    """The lots that an entry names; those of them that there are. Raises EntryError for what names none."""
    parts = numbers.split("-")
    if not 0 < len(parts) <= MOST_NOTED or not all(
        part.isascii() and part.isdecimal() and len(part) <= _MAX_DIGITS for part in parts
    ):
        raise EntryError("entry.wrong")
    return scene.reader.rows.among(LotRow, "number", {int(part) for part in parts})


def _filled_lots(filled: Filled, scene: Scene) -> list[LotRow]:
    """The lots that a form names; none for an entry that cannot be recorded."""
    try:
        return _lots(scene, next(iter(filled.get("lots", ())), ""))
    except EntryError:
        return []


def _tell_lots(filled: Filled, scene: Scene) -> list[Line]:
    """The lots that a note is about."""
    things = tuple(Value("thing", named(scene.reader, row.subject)) for row in _filled_lots(filled, scene))
    return [Line("notedLots", things)] if things else []


def _tell_reach(filled: Filled, scene: Scene) -> list[Line]:
    """The lots, how much of them and of what was made of them is left, and who is told."""
    subjects = [row.subject for row in _filled_lots(filled, scene)]
    roots, made, _ = reach(scene.reader, subjects, LIMITS)
    rows = scene.reader.rows.among(LotRow, "subject", {*roots, *(lot for lot, _ in made)})
    left = sum(row.state != LotState.SPENT for row in rows)
    concerned = sorted(find_concerned(scene.reader.rows, subjects) - {scene.company})
    told = tuple(Value("party", scene.reader.party(one)) for one in concerned) or (Value("none", None),)
    lines = _tell_lots(filled, scene)
    return [*lines, Line("reachedLots", (Value("number", left),)), Line("told", told)] if lines else []


def _text(*, required: bool) -> Field:
    return Field("text", FieldKind.LONG, "claims.text", required=required, label="noticeText")


NOTE_ACTS = (
    Act(
        "note",
        fields=(_LOTS, _text(required=True)),
        complete=lambda body, scene: _complete(NoteKind.RECALL_NOTICE, body, scene),
        called="recallNotice",
        tells=_tell_reach,
        opens="cases",
        grave=True,
        leads_to="/portal/cases",
    ),
    Act(
        "note",
        fields=(_LOTS, _text(required=False)),
        complete=lambda body, scene: _complete(NoteKind.ACKNOWLEDGEMENT, body, scene),
        called="acknowledgeNotice",
        tells=_tell_lots,
        leads_to="/portal/cases",
    ),
    Act(
        "note",
        fields=(_LOTS, _text(required=True)),
        complete=lambda body, scene: _complete(NoteKind.RESOLUTION, body, scene),
        called="resolveNotice",
        tells=_tell_lots,
        leads_to="/portal/cases",
    ),
    Act(
        "note",
        fields=(_LOTS, _text(required=True)),
        complete=lambda body, scene: _complete(NoteKind.RESOLUTION, body, scene),
        called="closeCase",
        tells=_tell_lots,
        grave=True,
        leads_to="/portal/cases",
    ),
)
