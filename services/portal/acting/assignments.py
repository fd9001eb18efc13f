"""Acts about assignments, by the owner of the machine."""

from __future__ import annotations

from typing import cast

from ledger.records import AssignmentState
from ledger.store.rows import AssignmentRow
from services.portal.acting.acts import Act
from services.portal.acting.orders import NOTE, REASON
from services.portal.acting.things import About, Scene

__all__ = ["ASSIGNMENT_ACTS"]


def _assignment(scene: Scene) -> AssignmentRow:
    return cast(AssignmentRow, scene.thing.row)


def _is_proposed(scene: Scene) -> bool:
    row = _assignment(scene)
    return row.owner == scene.company and row.state == AssignmentState.PROPOSED


ASSIGNMENT_ACTS = (
    Act("acceptAssignment", About.ASSIGNMENT, (NOTE,), offered=_is_proposed),
    Act("declineAssignment", About.ASSIGNMENT, (REASON,), offered=_is_proposed, grave=True),
)
