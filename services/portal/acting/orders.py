"""Acts about orders, by buyers and coordinators."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import cast

from millmark.ledger.canonical import to_hex
from millmark.ledger.provenance.reader import unit
from millmark.ledger.provenance.worklist import Task, find_proposals
from millmark.ledger.records import AssignmentState, LotState, OrderState
from millmark.ledger.store.rows import AssignmentRow, LotRow, OperationRow, OrderRow, StreamRow, gates_of
from millmark.services.acts import Body, EntryError
from millmark.services.planning import consent, errors
from millmark.services.portal.acting import acts
from millmark.services.portal.acting.acts import stage
from millmark.services.portal.acting.things import Option, Scene

LIVE = (AssignmentState.PROPOSED, AssignmentState.ACCEPTED, AssignmentState.STARTED)
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
    return acts.lot_options(scene.reader, free[: acts.MAX_OPTIONS], chosen=True)


def sort_lots(body: Body, _: Scene) -> Body:
    """The contract wants them ascending."""
    return {**body, "lots": sorted(set(body.get("lots", ())))}


ORDERS = (
    stage("acceptOrder", _is_asked),
    stage("declineOrder", _is_asked),
    stage("proposeAssignment", _may_assign, options={"operation": _operations}),
    stage("completeOrder", _is_made),
    stage(
        "confirmDelivery",
        lambda scene: _order(scene).state == OrderState.COMPLETED and _order(scene).buyer == scene.company,
        options={"lots": _delivered},
        complete=sort_lots,
    ),
    stage(
        "acceptRevision",
        lambda scene: bool(_proposal(scene, Task.AGREE_REVISION)),
        proposal=lambda scene: _proposal(scene, Task.AGREE_REVISION),
    ),
    stage(
        "endOrder",
        lambda scene: bool(_proposal(scene, Task.AGREE_END)),
        proposal=lambda scene: _proposal(scene, Task.AGREE_END),
    ),
    stage(
        "proposeRevision",
        lambda scene: _is_party(scene, *_OPEN),
        initial={"due_at": _due, "quantity": _quantity, "unit": lambda scene: unit(_order(scene).unit)},
        complete=_revise,
    ),
    stage("cancelOrder", _may_cancel),
    stage("proposeEnd", lambda scene: _is_party(scene, OrderState.IN_PRODUCTION, OrderState.COMPLETED)),
)


# Accepting a row of a plan: both sides commit to one text, the row as the coordinator proposed it.


def accept_row(body: Body, scene: Scene) -> Body:
    """The body of an acceptance: for a row of a plan that is what the company offered, its claims root. Raises
    EntryError for one that is not, and for a note beside it, which would be another text."""
    number = cast(AssignmentRow, scene.thing.row).sequence
    try:
        root = consent.consent_to(scene.reader.rows, scene.reader.book, number, int(time.time()))
    except errors.RowRefusedError:
        raise EntryError("entry.row_refused") from None
    if root is None:
        return body
    if body.get("claims"):
        raise EntryError("entry.row_note")
    return {"claims_root": to_hex(root)}


# Acts about assignments: by the owner of the machine, and by the coordinator.

_MADE = (OrderState.ACCEPTED, OrderState.IN_PRODUCTION)


def _assignment(scene: Scene) -> AssignmentRow:
    return cast(AssignmentRow, scene.thing.row)


def _is_own(scene: Scene, *states: AssignmentState) -> bool:
    row = _assignment(scene)
    return row.owner == scene.company and row.state in states


def _is_started(scene: Scene) -> bool:
    return _is_own(scene, AssignmentState.STARTED)


def _assigned_order(scene: Scene) -> OrderRow | None:
    return scene.reader.rows.get(OrderRow, _assignment(scene).order)


def _may_make(scene: Scene) -> bool:
    order = _assigned_order(scene)
    return _is_started(scene) and order is not None and order.state != OrderState.ENDED


def _may_accept(scene: Scene) -> bool:
    order = _assigned_order(scene)
    return _is_own(scene, AssignmentState.PROPOSED) and order is not None and order.state in _MADE


def _may_start(scene: Scene) -> bool:
    order = _assigned_order(scene)
    return _is_own(scene, AssignmentState.ACCEPTED) and order is not None and order.state in _MADE


def _may_cancel_assignment(scene: Scene) -> bool:
    order = _assigned_order(scene)
    return order is not None and order.coordinator == scene.company and _assignment(scene).state in LIVE


def _streams(scene: Scene) -> list[Option]:
    """Those of the assignment's machine; chosen if there is one."""
    rows = scene.reader.rows.find(StreamRow, machine=_assignment(scene).machine)
    named = [(row, acts.name_of(scene.reader, row.subject)) for row in rows]
    return [Option(f"0x{row.subject.hex()}", name, chosen=len(rows) == 1) for row, name in named]


def _measurements(scene: Scene) -> list[Option]:
    """Entries of the stream since the work began."""
    row = _assignment(scene)
    stream = None if row.stream is None else scene.reader.rows.get(StreamRow, row.stream)
    return [] if stream is None else acts.measurement_options(scene.reader, [stream], row.stream_size)


def _of_operation(scene: Scene) -> Body:
    row = _assignment(scene)
    return {"order": f"0x{row.order.hex()}", "operation": row.operation}


def _unbound(scene: Scene) -> list[Option]:
    """Lots of the company that belong to no order."""
    return acts.lot_options(scene.reader, (row for row in acts.held_lots(scene) if row.order is None))


STAGED = (
    *ORDERS,
    stage("acceptAssignment", _may_accept, complete=accept_row),
    stage("declineAssignment", lambda scene: _is_own(scene, AssignmentState.PROPOSED)),
    stage("startAssignment", _may_start, options={"stream": _streams}),
    stage(
        "finishAssignment",
        _is_started,
        options={"measurement": _measurements},
        complete=lambda body, scene: acts.choose_measurement(body, _assignment(scene).stream),
    ),
    stage("commissionLot", _may_make, follows=_of_operation),
    stage(
        "allocateLot",
        lambda scene: _may_make(scene) and bool(_unbound(scene)),
        options={"lot": _unbound},
        follows=lambda scene: {"operation": _assignment(scene).operation},
    ),
    stage("readRegister", lambda scene: _is_own(scene, AssignmentState.ACCEPTED, AssignmentState.STARTED)),
    stage("cancelAssignment", _may_cancel_assignment),
)
