"""Which of a coordinator's plans a cause touches: those with rows that it may move."""

from __future__ import annotations

from millmark.ledger.plans.plan import CauseKind, Plan
from millmark.ledger.records import AssignmentState
from millmark.services.planning.consent import Standing, find_standing
from millmark.services.planning.feedback.causes import MachineCause
from millmark.services.planning.reading import Shelf

_OPEN = (None, AssignmentState.PROPOSED, AssignmentState.ACCEPTED)


def find_touched(shelf: Shelf, me: int, cause: MachineCause) -> list[bytes]:
    """Digests of the company's own calls whose plan in force a cause touches."""
    found = []
    for call in shelf.planning.calls():
        plans = shelf.planning.plans(call.digest)
        if call.coordinator != me or not plans:
            continue
        plan, _ = shelf.whole_plan(plans[-1].digest)
        if plan is not None and is_touched(shelf, plan, cause):
            found.append(call.digest)
    return found


def is_touched(shelf: Shelf, plan: Plan, cause: MachineCause) -> bool:
    """Whether a plan has open rows on the machine; or, for a row that was declined, whether it still has that one; or,
    for a machine that was late, whether anything has not begun."""
    standing = find_standing(shelf.rows, shelf.book, plan)
    if cause.kind is CauseKind.DECLINED:
        return any(_is_declined(standing[row.key], cause) for row in plan.rows)
    rows = plan.rows if cause.kind is CauseKind.LATE else [row for row in plan.rows if row.machine == cause.machine]
    return any(_is_open(standing[row.key]) for row in rows)


def _is_declined(standing: Standing, cause: MachineCause) -> bool:
    assignment = standing.assignment
    return (
        assignment is not None
        and assignment.sequence == cause.record
        and assignment.state == AssignmentState.DECLINED
        and standing.is_same
    )


def _is_open(standing: Standing) -> bool:
    is_finished = standing.assignment is not None and standing.assignment.state == AssignmentState.FINISHED
    if is_finished and (standing.is_same or not standing.is_rework):
        return False
    return standing.state in _OPEN
