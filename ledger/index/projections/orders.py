"""Orders, their revisions and assignments (contracts/src/history/Orders.sol, Assignments.sol)."""

from __future__ import annotations

from collections.abc import Callable

from millmark.ledger.events import Event, Recorded, certificates, orders
from millmark.ledger.index.state import State, copy_to, on, row_of
from millmark.ledger.records import AssignmentState, OrderState
from millmark.ledger.store.rows import AssignmentRow, NoteRow, OperationRow, OrderRow, write_gates


def order_placed(record: Recorded[orders.OrderPlaced], state: State) -> None:
    terms = record.event.terms
    state.add(
        row_of(
            OrderRow,
            terms,
            subject=record.subject,
            sequence=record.sequence,
            buyer=record.participant,
            gates=write_gates(terms.gates),
            state=OrderState.PLACED,
            placed_at=record.block_time,
        )
    )


def move_order(target: OrderState) -> Callable[[Recorded[Event], State], None]:
    """The projection of an event that gives an order another state, and changes nothing else."""

    def move(record: Recorded[Event], state: State) -> None:
        state.need(OrderRow, record.subject).state = target

    return move


def revision_proposed(record: Recorded[orders.RevisionProposed], state: State) -> None:
    """Changes no terms yet: the revised ones apply once all parties agreed to them."""
    state.need(OrderRow, record.subject)


def revision_accepted(record: Recorded[orders.RevisionAccepted], state: State) -> None:
    order = state.need(OrderRow, record.subject)
    if record.event.awaited:
        return
    terms = record.event.terms
    if terms.operations > order.operations and order.state == OrderState.COMPLETED:
        order.state = OrderState.IN_PRODUCTION
    copy_to(order, terms, gates=write_gates(terms.gates))


def end_proposed(record: Recorded[orders.EndProposed], state: State) -> None:
    """Ends nothing yet: the other side must agree, or be gone for a while."""
    state.need(OrderRow, record.subject)


def assignment_proposed(record: Recorded[orders.AssignmentProposed], state: State) -> None:
    operation = record.event.operation
    current = state.get(OperationRow, record.subject, operation)
    if current is None:
        state.add(OperationRow(record.subject, operation, record.sequence, finished_once=False))
    else:
        current.assignment = record.sequence
    order = state.need(OrderRow, record.subject)
    order.live += 1
    if order.state == OrderState.COMPLETED:
        order.state = OrderState.IN_PRODUCTION
    state.add(
        row_of(
            AssignmentRow,
            record.event,
            sequence=record.sequence,
            order=record.subject,
            state=AssignmentState.PROPOSED,
            proposed_at=record.block_time,
        )
    )


def assignment_accepted(record: Recorded[orders.AssignmentAccepted], state: State) -> None:
    assignment = _assignment(record, state)
    assignment.state = AssignmentState.ACCEPTED
    assignment.accepted_at = record.block_time


def assignment_started(record: Recorded[orders.AssignmentStarted], state: State) -> None:
    assignment = _assignment(record, state)
    assignment.state = AssignmentState.STARTED
    assignment.started_at = record.block_time
    assignment.stream, assignment.stream_size = record.event.stream, record.event.stream_size
    order = state.need(OrderRow, record.subject)
    if order.state == OrderState.ACCEPTED:
        order.state = OrderState.IN_PRODUCTION


def assignment_declined(record: Recorded[orders.AssignmentDeclined], state: State) -> None:
    _end(record, state, AssignmentState.DECLINED)


def assignment_cancelled(record: Recorded[orders.AssignmentCancelled], state: State) -> None:
    _end(record, state, AssignmentState.CANCELLED)


def assignment_finished(record: Recorded[orders.AssignmentFinished], state: State) -> None:
    assignment = _end(record, state, AssignmentState.FINISHED)
    assignment.leaf_index = record.event.leaf_index
    assignment.leaf_hash = record.event.leaf_hash
    operation = state.need(OperationRow, assignment.order, assignment.operation)
    if not operation.finished_once:  # a repeated operation counts once towards the order's completion
        operation.finished_once = True
        state.need(OrderRow, assignment.order).finished += 1


def _assignment(record: Recorded[orders.AssignmentStep], state: State) -> AssignmentRow:
    return state.need(AssignmentRow, record.event.assignment)


def _end(record: Recorded[orders.AssignmentStep], state: State, final: AssignmentState) -> AssignmentRow:
    assignment = _assignment(record, state)
    assignment.state = final
    assignment.ended_at = record.block_time
    state.need(OrderRow, assignment.order).live -= 1
    return assignment


# Notes on orders and lots (contracts/src/history/Notes.sol).


def note_recorded(record: Recorded[certificates.NoteRecorded], state: State) -> None:
    """Changes no other row: the histories that it enters lead to the record."""
    event = record.event
    state.add(
        NoteRow(record.sequence, event.kind_, record.participant, event.about, record.block_time, event.claims_root)
    )


PROJECTIONS = dict(
    [
        on(orders.OrderPlaced, order_placed),
        on(orders.OrderAccepted, move_order(OrderState.ACCEPTED)),
        on(orders.OrderCancelled, move_order(OrderState.CANCELLED)),
        on(orders.OrderCompleted, move_order(OrderState.COMPLETED)),
        on(orders.OrderDelivered, move_order(OrderState.DELIVERED)),
        on(orders.RevisionProposed, revision_proposed),
        on(orders.RevisionAccepted, revision_accepted),
        on(orders.EndProposed, end_proposed),
        on(orders.OrderEnded, move_order(OrderState.ENDED)),
        on(orders.AssignmentProposed, assignment_proposed),
        on(orders.AssignmentAccepted, assignment_accepted),
        on(orders.AssignmentStarted, assignment_started),
        on(orders.AssignmentDeclined, assignment_declined),
        on(orders.AssignmentCancelled, assignment_cancelled),
        on(orders.AssignmentFinished, assignment_finished),
        on(certificates.NoteRecorded, note_recorded),
    ]
)
