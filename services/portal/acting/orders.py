"""Acts about orders, by buyers and coordinators."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast

from millmark.ledger.provenance.reader import unit
from millmark.ledger.provenance.worklist import Task, find_proposals
from millmark.ledger.records import AssignmentState, LotState, OrderState
from millmark.ledger.store.rows import AssignmentRow, LotRow, OperationRow, OrderRow, gates_of
from millmark.services.portal.acting.acts import Act
from millmark.services.portal.acting.choices import MAX_OPTIONS, lot_options, machines
from millmark.services.portal.acting.fields import Body, Field, FieldKind, Option
from millmark.services.portal.acting.things import About, Scene

__all__ = ["LIVE", "NOTE", "ORDER_ACTS", "REASON"]

LIVE = (AssignmentState.PROPOSED, AssignmentState.ACCEPTED, AssignmentState.STARTED)
NOTE = Field("note", FieldKind.LONG, "claims.note", required=False)
"""A remark that stays in the company's book; the ledger has its fingerprint."""
REASON = Field("reason", FieldKind.LONG, "reason.text")
_OPEN = (OrderState.PLACED, OrderState.ACCEPTED, OrderState.IN_PRODUCTION, OrderState.COMPLETED)
_ASSIGNABLE = (OrderState.ACCEPTED, OrderState.IN_PRODUCTION, OrderState.COMPLETED)


def _order(scene: Scene) -> OrderRow:
    return cast(OrderRow, scene.thing.row)


def _is_asked(scene: Scene) -> bool:
    """Whether the company is the coordinator whom a placed order asks."""
    row = _order(scene)
    return row.state == OrderState.PLACED and row.coordinator == scene.company


def _may_cancel(scene: Scene) -> bool:
    row = _order(scene)
    if row.state == OrderState.PLACED:
        return row.buyer == scene.company
    return row.state == OrderState.ACCEPTED and scene.company in (row.buyer, row.coordinator)


def _is_party(scene: Scene, *states: OrderState) -> bool:
    row = _order(scene)
    return row.state in states and scene.company in (row.buyer, row.coordinator)


def _is_made(scene: Scene) -> bool:
    """Whether all operations are finished, and the company coordinates the order."""
    row = _order(scene)
    made = row.state == OrderState.IN_PRODUCTION and not row.live and row.finished >= row.operations
    return made and row.coordinator == scene.company


def _is_delivered_to(scene: Scene) -> bool:
    row = _order(scene)
    return row.state == OrderState.COMPLETED and row.buyer == scene.company


def _proposal(scene: Scene, task: Task) -> int:
    """The latest proposal, if it waits for the company; 0 if none does."""
    waits = find_proposals(scene.reader, [_order(scene)]).get(_order(scene).subject, ())
    fit = [one.proposal for one in waits if one.task is task and one.who.participant == scene.company]
    return (fit[0] or 0) if fit else 0


# Revisions


def _follow_terms(scene: Scene) -> Body:
    """The order's terms, of which a revision changes some."""
    row = _order(scene)
    gates = [{"inspector": one.inspector, "model": one.model} for one in gates_of(row)]
    terms: Body = {"operations": row.operations, "coordinator": row.coordinator, "gates": gates}
    return {"terms": {**terms, "claims_root": f"0x{row.claims_root.hex()}"} if any(row.claims_root) else terms}


def _revise(body: Body, scene: Scene) -> Body:
    changed = body.get("terms", {})
    # The contract wants both or none of quantity and unit.
    if not changed.get("quantity"):
        changed = {name: value for name, value in changed.items() if name not in ("quantity", "unit")}
    return {"terms": {**_follow_terms(scene)["terms"], **changed}}


def _due(scene: Scene) -> str:
    # With its seconds: a revision of the quantity alone must not move it.
    return datetime.fromtimestamp(_order(scene).due_at, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _quantity(scene: Scene) -> str:
    return str(_order(scene).quantity or "")


def _unit(scene: Scene) -> str:
    return unit(_order(scene).unit)


# Assignments


def _operations(scene: Scene) -> list[Option]:
    """Operations that have no live assignment; the first that was never finished is chosen."""
    row = _order(scene)
    current = {one.operation: one for one in scene.reader.rows.find(OperationRow, order=row.subject)}
    numbers = [one.assignment for one in current.values()]
    states = {one.sequence: one.state for one in scene.reader.rows.among(AssignmentRow, "sequence", numbers)}
    busy = {number for number, one in current.items() if states.get(one.assignment) in LIVE}
    done = {number for number, one in current.items() if one.finished_once}
    free = [number for number in range(row.operations) if number not in busy]
    first = next((number for number in free if number not in done), None)
    return [Option(str(number), str(number + 1), chosen=number == first) for number in free]


def _may_assign(scene: Scene) -> bool:
    row = _order(scene)
    return row.coordinator == scene.company and row.state in _ASSIGNABLE and bool(_operations(scene))


# Delivery


def _delivered(scene: Scene) -> list[Option]:
    rows = scene.reader.rows.find(
        LotRow, order=_order(scene).subject, custodian=scene.company, state=int(LotState.HELD)
    )
    free = [row for row in rows if row.parent is None]
    return lot_options(scene.reader, free[:MAX_OPTIONS], chosen=True)


def _sort_lots(body: Body, _: Scene) -> Body:
    """The contract wants them ascending."""
    return {**body, "lots": sorted(set(body.get("lots", ())))}


ORDER_ACTS = (
    Act("acceptOrder", About.ORDER, (NOTE,), offered=_is_asked),
    Act("rejectOrder", About.ORDER, (REASON,), offered=_is_asked, grave=True),
    Act(
        "proposeAssignment",
        About.ORDER,
        (
            Field("operation", FieldKind.CHOICE, options=_operations, numeric=True),
            Field("machine", FieldKind.CHOICE, options=machines, numeric=True),
            NOTE,
        ),
        follows=lambda scene: {"order": f"0x{scene.thing.key}"},
        offered=_may_assign,
    ),
    Act("completeOrder", About.ORDER, (NOTE,), offered=_is_made),
    Act(
        "confirmDelivery",
        About.ORDER,
        (Field("lots", FieldKind.MANY, required=False, options=_delivered, label="delivered"), NOTE),
        offered=_is_delivered_to,
        complete=_sort_lots,
    ),
    Act(
        "acceptRevision",
        About.ORDER,
        offered=lambda scene: bool(_proposal(scene, Task.AGREE_REVISION)),
        proposal=lambda scene: _proposal(scene, Task.AGREE_REVISION),
    ),
    Act(
        "endOrder",
        About.ORDER,
        (NOTE,),
        offered=lambda scene: bool(_proposal(scene, Task.AGREE_END)),
        proposal=lambda scene: _proposal(scene, Task.AGREE_END),
        grave=True,
    ),
    Act(
        "proposeRevision",
        About.ORDER,
        (
            Field("due_at", FieldKind.MOMENT, "terms.due_at", initial=_due),
            Field("quantity", FieldKind.NUMBER, "terms.quantity", required=False, initial=_quantity),
            Field("unit", member="terms.unit", required=False, initial=_unit),
        ),
        offered=lambda scene: _is_party(scene, *_OPEN),
        complete=_revise,
    ),
    Act("cancelOrder", About.ORDER, (REASON,), offered=_may_cancel, grave=True),
    Act(
        "proposeEnd",
        About.ORDER,
        (REASON,),
        offered=lambda scene: _is_party(scene, OrderState.IN_PRODUCTION, OrderState.COMPLETED),
        grave=True,
    ),
)
