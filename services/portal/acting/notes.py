"""Acts of quality cases: a recall notice, and what answers it. All are notes on lots."""

from __future__ import annotations

from collections.abc import Sequence

from ledger.provenance.cases import MOST_NOTED
from ledger.records import NoteKind
from ledger.store.rows import LotRow
from services.portal.acting.acts import Act
from services.portal.acting.fields import Body, EntryError, Field, FieldKind
from services.portal.acting.things import Scene

__all__ = ["NOTE_ACTS", "name_lots"]

_LOTS = Field("lots", FieldKind.HIDDEN, label="notedLots")
"""Numbers of lots, which are shorter than their subjects: they have to fit into an address."""
_MAX_DIGITS = 15


def name_lots(lots: Sequence[LotRow]) -> str:
    """The entry for the lots that a note is about."""
    return "-".join(str(lot.number) for lot in lots)


def _complete(kind: NoteKind, body: Body, scene: Scene) -> Body:
    """Raises EntryError for what names no lots."""
    parts = str(body.pop("lots", "")).split("-")
    if not 0 < len(parts) <= MOST_NOTED or not all(
        part.isascii() and part.isdecimal() and len(part) <= _MAX_DIGITS for part in parts
    ):
        raise EntryError("entry.wrong")
    rows = scene.reader.rows.among(LotRow, "number", {int(part) for part in parts})
    if len(rows) != len(set(parts)):
        raise EntryError("entry.wrong")
    return {**body, "subjects": sorted(f"0x{row.subject.hex()}" for row in rows), "kind": int(kind)}


def _text(*, required: bool) -> Field:
    return Field("text", FieldKind.LONG, "claims.text", required=required, label="noticeText")


NOTE_ACTS = (
    Act(
        "note",
        fields=(_LOTS, _text(required=True)),
        complete=lambda body, scene: _complete(NoteKind.RECALL_NOTICE, body, scene),
        called="recallNotice",
        grave=True,
        leads_to="/portal/cases",
    ),
    Act(
        "note",
        fields=(_LOTS, _text(required=False)),
        complete=lambda body, scene: _complete(NoteKind.ACKNOWLEDGEMENT, body, scene),
        called="acknowledgeNotice",
        leads_to="/portal/cases",
    ),
    Act(
        "note",
        fields=(_LOTS, _text(required=True)),
        complete=lambda body, scene: _complete(NoteKind.RESOLUTION, body, scene),
        called="resolveNotice",
        leads_to="/portal/cases",
    ),
    Act(
        "note",
        fields=(_LOTS, _text(required=True)),
        complete=lambda body, scene: _complete(NoteKind.RESOLUTION, body, scene),
        called="closeCase",
        grave=True,
        leads_to="/portal/cases",
    ),
)
