"""Acts about assignments: by the owner of the machine, and by the coordinator."""

from __future__ import annotations

from typing import cast

from millmark.ledger.records import AssignmentState, OrderState
from millmark.ledger.store.rows import AssignmentRow, OrderRow, StreamRow
from millmark.services.portal.acting.acts import Act
from millmark.services.portal.acting.choices import (
    LEAF_HASH,
    LEAF_INDEX,
    choose_measurement,
    held_lots,
    lot_options,
    measurement_options,
    name_of,
)
from millmark.services.portal.acting.fields import Body, Field, FieldKind, Option
from millmark.services.portal.acting.orders import LIVE, NOTE, REASON
from millmark.services.portal.acting.planned import accept_row
from millmark.services.portal.acting.things import About, Scene

__all__ = ["ASSIGNMENT_ACTS", "NEW_LOT"]

NEW_LOT = (
    Field("identifier"),
    Field("quantity", FieldKind.NUMBER),
    Field("unit", initial=lambda _: "H87"),
)
"""What every new lot is given."""
_MADE = (OrderState.ACCEPTED, OrderState.IN_PRODUCTION)


def _assignment(scene: Scene) -> AssignmentRow:
    return cast(AssignmentRow, scene.thing.row)


def _is_own(scene: Scene, *states: AssignmentState) -> bool:
    row = _assignment(scene)
    return row.owner == scene.company and row.state in states


def _order(scene: Scene) -> OrderRow | None:
    return scene.reader.rows.get(OrderRow, _assignment(scene).order)


def _may_accept(scene: Scene) -> bool:
    order = _order(scene)
    return _is_own(scene, AssignmentState.PROPOSED) and order is not None and order.state in _MADE


def _may_start(scene: Scene) -> bool:
    order = _order(scene)
    return _is_own(scene, AssignmentState.ACCEPTED) and order is not None and order.state in _MADE


def _may_cancel(scene: Scene) -> bool:
    order = _order(scene)
    return order is not None and order.coordinator == scene.company and _assignment(scene).state in LIVE


def _streams(scene: Scene) -> list[Option]:
    """Those of the assignment's machine; chosen if there is one."""
    rows = scene.reader.rows.find(StreamRow, machine=_assignment(scene).machine)
    named = [(row, name_of(scene.reader, row.subject)) for row in rows]
    return [Option(f"0x{row.subject.hex()}", name, chosen=len(rows) == 1) for row, name in named]


def _measurements(scene: Scene) -> list[Option]:
    """Entries of the stream since the work began."""
    row = _assignment(scene)
    stream = None if row.stream is None else scene.reader.rows.get(StreamRow, row.stream)
    return [] if stream is None else measurement_options(scene.reader, [stream], row.stream_size)


def _finish(body: Body, scene: Scene) -> Body:
    return choose_measurement(body, _assignment(scene).stream)


def _of_operation(scene: Scene) -> Body:
    row = _assignment(scene)
    return {"order": f"0x{row.order.hex()}", "operation": row.operation}


def _unbound(scene: Scene) -> list[Option]:
    """Lots of the company that belong to no order."""
    return lot_options(scene.reader, (row for row in held_lots(scene) if row.order is None))


def _moments(_: Scene) -> list[Option]:
    return [Option(one, key=f"act.moment.{one}") for one in ("start", "finish")]


ASSIGNMENT_ACTS = (
    Act("acceptAssignment", About.ASSIGNMENT, (NOTE,), offered=_may_accept, complete=accept_row),
    Act(
        "declineAssignment",
        About.ASSIGNMENT,
        (REASON,),
        offered=lambda scene: _is_own(scene, AssignmentState.PROPOSED),
        grave=True,
    ),
    Act(
        "startAssignment",
        About.ASSIGNMENT,
        (Field("stream", FieldKind.CHOICE, options=_streams), NOTE),
        offered=_may_start,
    ),
    Act(
        "finishAssignment",
        About.ASSIGNMENT,
        (Field("measurement", FieldKind.CHOICE, required=False, options=_measurements), LEAF_INDEX, LEAF_HASH),
        offered=lambda scene: _is_own(scene, AssignmentState.STARTED),
        complete=_finish,
    ),
    Act(
        "commissionLot",
        About.ASSIGNMENT,
        (*NEW_LOT, NOTE),
        follows=_of_operation,
        offered=lambda scene: _is_own(scene, AssignmentState.STARTED),
    ),
    Act(
        "allocateLot",
        About.ASSIGNMENT,
        (Field("lot", FieldKind.CHOICE, options=_unbound), NOTE),
        follows=lambda scene: {"operation": _assignment(scene).operation},
        offered=lambda scene: _is_own(scene, AssignmentState.STARTED) and bool(_unbound(scene)),
    ),
    Act(
        "readRegister",
        About.ASSIGNMENT,
        (
            Field("moment", FieldKind.CHOICE, options=_moments),
            Field("register_wh", FieldKind.NUMBER),
            Field("made", FieldKind.NUMBER, "quantity", required=False),
        ),
        offered=lambda scene: _is_own(scene, AssignmentState.ACCEPTED, AssignmentState.STARTED),
        # The entry has its time, and others may come before it.
        later=("size", "root"),
    ),
    Act("cancelAssignment", About.ASSIGNMENT, (REASON,), offered=_may_cancel, grave=True),
)
