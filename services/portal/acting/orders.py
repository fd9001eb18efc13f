"""Acts about orders."""

from __future__ import annotations

from typing import cast

from ledger.records import OrderState
from ledger.store.rows import OrderRow
from services.portal.acting.acts import Act
from services.portal.acting.fields import Field, FieldKind
from services.portal.acting.things import About, Scene

__all__ = ["NOTE", "ORDER_ACTS", "REASON"]

NOTE = Field("note", FieldKind.LONG, "claims.note", required=False)
"""A remark that stays in the company's book; the ledger has its fingerprint."""
REASON = Field("reason", FieldKind.LONG, "reason.text")


def _order(scene: Scene) -> OrderRow:
    return cast(OrderRow, scene.thing.row)


def _is_asked(scene: Scene) -> bool:
    """Whether the company is the coordinator whom a placed order asks."""
    row = _order(scene)
    return row.state == OrderState.PLACED and row.coordinator == scene.company


ORDER_ACTS = (
    Act("acceptOrder", About.ORDER, (NOTE,), offered=_is_asked),
    Act("rejectOrder", About.ORDER, (REASON,), offered=_is_asked, grave=True),
)
