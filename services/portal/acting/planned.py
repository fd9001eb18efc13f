"""Accepting a row of a plan: both sides commit to one text, the row as the coordinator proposed it."""

from __future__ import annotations

import time
from typing import cast

from millmark.ledger.canonical import to_hex
from millmark.ledger.store.rows import AssignmentRow
from millmark.services.planning.consent import consent_to
from millmark.services.planning.errors import RowRefusedError
from millmark.services.portal.acting.fields import Body, EntryError
from millmark.services.portal.acting.things import Scene

__all__ = ["accept_row"]


def accept_row(body: Body, scene: Scene) -> Body:
    """The body of an acceptance: for a row of a plan that is what the company offered, its claims root. Raises
    EntryError for one that is not, and for a note beside it, which would be another text."""
    number = cast(AssignmentRow, scene.thing.row).sequence
    try:
        root = consent_to(scene.reader.rows, scene.reader.book, number, int(time.time()))
    except RowRefusedError:
        raise EntryError("entry.row_refused") from None
    if root is None:
        return body
    if body.get("claims"):
        raise EntryError("entry.row_note")
    return {"claims_root": to_hex(root)}
