"""Acts about proposed setpoints, by the operator of the machine."""

from __future__ import annotations

import time
from typing import cast

from millmark.ledger.store.rows import MachineRow
from millmark.services.portal.acting.acts import Act
from millmark.services.portal.acting.fields import Field, FieldKind
from millmark.services.portal.acting.things import About, Scene
from millmark.services.setpoints import SetpointState
from millmark.services.setpoints.answers import ACCEPTED, REFUSED
from millmark.services.setpoints.repository import SetpointRepository, SetpointRow
from millmark.services.setpoints.views import state_of

__all__ = ["SETPOINT_ACTS"]

_WHY = Field("reason", FieldKind.LONG, "reason_text", label="why")


def _is_open(scene: Scene) -> bool:
    row = cast(SetpointRow, scene.thing.row)
    machine = scene.reader.rows.get(MachineRow, row.machine)
    if machine is None or machine.owner != scene.company:
        return False
    repository = SetpointRepository(scene.reader.rows)
    return state_of(scene.reader.book, repository, row, int(time.time())) is SetpointState.OPEN


SETPOINT_ACTS = (
    Act(
        "answerSetpoint",
        About.SETPOINT,
        follows=lambda _: {"answer": ACCEPTED},
        offered=_is_open,
        called="acceptSetpoint",
    ),
    Act(
        "answerSetpoint",
        About.SETPOINT,
        (_WHY,),
        follows=lambda _: {"answer": REFUSED},
        offered=_is_open,
        called="refuseSetpoint",
        grave=True,
    ),
)
