"""Orders, their revisions and assignments (contracts/src/history/Orders.sol, Assignments.sol)."""

from __future__ import annotations

from ledger.index.projections.fields import Fields, number, raw, struct
from ledger.index.state import State
from ledger.records import AssignmentState, OrderState, Recorded
from ledger.store.rows import AssignmentRow, OperationRow, OrderRow, SupersessionRow


def record_superseded(record: Recorded, state: State) -> None:
    fields = record.fields
    state.add(SupersessionRow(record.sequence, number(fields, "superseded"), raw(fields, "reason_root")))


def order_placed(record: Recorded, state: State) -> None:
    terms = struct(record.fields, "terms")
    state.add(
        OrderRow(
            subject=record.subject,
            sequence=record.sequence,
            buyer=record.participant,
            coordinator=number(record.fields, "coordinator"),
            inspector=number(terms, "inspector"),
            model=number(terms, "model"),
            operations=number(terms, "operations"),
            finished=0,
            live=0,
            state=OrderState.PLACED,
            due_at=number(terms, "due_at"),
            placed_at=record.block_time,
            claims_root=raw(terms, "claims_root"),
        )
    )


def order_accepted(record: Recorded, state: State) -> None:
    state.need(OrderRow, record.subject).state = OrderState.ACCEPTED


def order_rejected(record: Recorded, state: State) -> None:
    state.need(OrderRow, record.subject).state = OrderState.REJECTED


def order_cancelled(record: Recorded, state: State) -> None:
    state.need(OrderRow, record.subject).state = OrderState.CANCELLED


def order_completed(record: Recorded, state: State) -> None:
    state.need(OrderRow, record.subject).state = OrderState.COMPLETED


def order_delivered(record: Recorded, state: State) -> None:
    state.need(OrderRow, record.subject).state = OrderState.DELIVERED


def revision_proposed(record: Recorded, state: State) -> None:
    """Changes nothing: terms hold once the other side accepts them."""
    state.need(OrderRow, record.subject)


def revision_accepted(record: Recorded, state: State) -> None:
    order = state.need(OrderRow, record.subject)
    terms = struct(record.fields, "terms")
    order.operations = number(terms, "operations")
    order.inspector = number(terms, "inspector")
    order.model = number(terms, "model")
    order.due_at = number(terms, "due_at")
    order.claims_root = raw(terms, "claims_root")


def assignment_proposed(record: Recorded, state: State) -> None:
    fields = record.fields
    operation = number(fields, "operation")
    current = state.get(OperationRow, record.subject, operation)
    if current is None:
        state.add(OperationRow(record.subject, operation, record.sequence, finished_once=False))
    else:
        current.assignment = record.sequence
    state.need(OrderRow, record.subject).live += 1
    state.add(
        AssignmentRow(
            sequence=record.sequence,
            order=record.subject,
            operation=operation,
            machine=number(fields, "machine"),
            owner=number(fields, "owner"),
            state=AssignmentState.PROPOSED,
            proposed_at=record.block_time,
            accepted_at=0,
            started_at=0,
            ended_at=0,
            stream=None,
            leaf_index=0,
            leaf_hash=None,
            claims_root=raw(fields, "claims_root"),
        )
    )


def assignment_accepted(record: Recorded, state: State) -> None:
    assignment = _assignment(record, state)
    assignment.state = AssignmentState.ACCEPTED
    assignment.accepted_at = record.block_time


def assignment_started(record: Recorded, state: State) -> None:
    assignment = _assignment(record, state)
    assignment.state = AssignmentState.STARTED
    assignment.started_at = record.block_time
    order = state.need(OrderRow, record.subject)
    if order.state == OrderState.ACCEPTED:
        order.state = OrderState.IN_PRODUCTION


def assignment_declined(record: Recorded, state: State) -> None:
    _end(record, state, AssignmentState.DECLINED)


def assignment_cancelled(record: Recorded, state: State) -> None:
    _end(record, state, AssignmentState.CANCELLED)


def assignment_finished(record: Recorded, state: State) -> None:
    fields: Fields = record.fields
    assignment = _end(record, state, AssignmentState.FINISHED)
    assignment.stream = raw(fields, "stream")
    assignment.leaf_index = number(fields, "leaf_index")
    assignment.leaf_hash = raw(fields, "leaf_hash")
    operation = state.need(OperationRow, assignment.order, assignment.operation)
    if not operation.finished_once:
        operation.finished_once = True
        state.need(OrderRow, assignment.order).finished += 1


def _assignment(record: Recorded, state: State) -> AssignmentRow:
    return state.need(AssignmentRow, number(record.fields, "assignment"))


def _end(record: Recorded, state: State, final: AssignmentState) -> AssignmentRow:
    assignment = _assignment(record, state)
    assignment.state = final
    assignment.ended_at = record.block_time
    state.need(OrderRow, assignment.order).live -= 1
    return assignment


PROJECTIONS = {
    "RecordSuperseded": record_superseded,
    "OrderPlaced": order_placed,
    "OrderAccepted": order_accepted,
    "OrderRejected": order_rejected,
    "OrderCancelled": order_cancelled,
    "OrderCompleted": order_completed,
    "OrderDelivered": order_delivered,
    "RevisionProposed": revision_proposed,
    "RevisionAccepted": revision_accepted,
    "AssignmentProposed": assignment_proposed,
    "AssignmentAccepted": assignment_accepted,
    "AssignmentStarted": assignment_started,
    "AssignmentDeclined": assignment_declined,
    "AssignmentCancelled": assignment_cancelled,
    "AssignmentFinished": assignment_finished,
}
