"""What a plan is made from: the tie hash, the rows that stay, and what a cause takes away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass

from millmark.ledger.plans.call import Call
from millmark.ledger.plans.file import PlanPart
from millmark.ledger.plans.offer import Offer
from millmark.ledger.plans.plan import CauseKind, Key, Plan
from millmark.ledger.records import AssignmentState
from millmark.ledger.store import Book, Rows
from millmark.ledger.store.rows import AssignmentRow, OperationRow
from millmark.services.planning.consent import find_row
from millmark.services.planning.errors import PlanningError
from millmark.services.planning.grounds import PlanningGround


@dataclass(frozen=True, slots=True)
class Times:
    """The final blocks of a chain."""

    last: int
    time_of: Callable[[int], int]
    hash_of: Callable[[int], bytes]


def find_tie(times: Times, closes: int) -> bytes:
    """The hash of the first final block at or after the time when a call closes, which nobody knew while it was open.

    Raises PlanningError if there is no such block yet.
    """
    low, high = 0, times.last
    if times.time_of(high) < closes:
        raise PlanningError(
            PlanningGround.NO_BLOCK.write(),
            hint="wait for one; a development chain makes one with any record",
        )
    while low < high:  # block times ascend
        middle = (low + high) // 2
        if times.time_of(middle) < closes:
            low = middle + 1
        else:
            high = middle
    return times.hash_of(low)


@dataclass(frozen=True, slots=True)
class Standing:
    """What became of a row: the current assignment of its operation, if that is of the same row."""

    assignment: AssignmentRow | None
    is_same: bool
    """Whether its document has this very row, of this plan or of one before."""
    is_planned: bool = True
    """Whether its document has a row of a plan at all."""
    is_rework: bool = False
    """Whether the operation was done before, and its part failed."""

    @property
    def state(self) -> AssignmentState | None:
        if self.assignment is None or not self.is_same:
            return None
        return AssignmentState(self.assignment.state)


def find_standing(rows: Rows, book: Book, plan: Plan | PlanPart) -> dict[Key, Standing]:
    """What became of the rows of a plan. An assignment that other hands made counts as another row, and so does the one
    under which an operation was done before its rework."""
    found = {}
    reworks = Counter(row.key for row in plan.reworked)
    for row in plan.rows:
        operation = rows.get(OperationRow, row.order, row.operation)
        assignment = None if operation is None else rows.get(AssignmentRow, operation.assignment)
        proposed = None if assignment is None else find_row(book, assignment)
        is_planned = assignment is None or proposed is not None
        is_same = proposed is not None and (proposed.row, proposed.rework) == (row, reworks[row.key])
        found[row.key] = Standing(assignment, is_same, is_planned, is_rework=row.key in reworks)
    return found


def find_kept(
    plan: Plan, standing: Mapping[Key, Standing], kind: CauseKind, machine: int | None
) -> tuple[frozenset[Key], frozenset[Key]]:
    """The rows that have begun, and those that were accepted: they stay unless that is impossible.

    A machine that is down keeps what is finished alone; one that drifts, what is started as well.
    """
    started, accepted = set(), set()
    for row in plan.rows:
        state = standing[row.key].state
        is_out = machine is not None and row.machine == machine
        if state is AssignmentState.FINISHED or (
            state is AssignmentState.STARTED and not (is_out and kind is CauseKind.MACHINE_DOWN)
        ):
            started.add(row.key)
        elif state is AssignmentState.ACCEPTED and not is_out:
            accepted.add(row.key)
    return frozenset(started), frozenset(accepted)


def find_dropped(
    plan: Plan,
    offers: Mapping[bytes, Offer],
    started: Container[Key],
    machine: int | None,
    declined: Container[Key] = frozenset(),
) -> frozenset[bytes]:
    """The offers that a cause takes away, beside those that are gone already: of a machine that is out, and of rows
    that their owner declined. What a row rests on that has begun stays."""
    resting = {row.offer for row in plan.rows if row.key in started}
    refused = {row.offer for row in plan.rows if row.key in declined}
    out = {leaf for leaf in plan.offers if machine is not None and leaf in offers and offers[leaf].machine == machine}
    return frozenset({*plan.dropped, *out, *refused} - resting)


def slot_now(call: Call, now_s: int) -> int:
    """The first slot that has not begun."""
    return max(0, -(-(now_s - call.origin) // call.slot))
