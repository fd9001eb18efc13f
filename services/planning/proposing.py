"""A plan's rows become assignments: what is proposed, what is cancelled before, and what owners accept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from millmark.ledger.canonical import Json, to_hex
from millmark.ledger.errors import InputError
from millmark.ledger.plans.plan import CauseKind, Plan, Row
from millmark.ledger.records import AssignmentState
from millmark.ledger.store.rows import AssignmentRow
from millmark.services.planning.books import find_claims
from millmark.services.planning.calls import verify_revisions
from millmark.services.planning.consent import TakenTimes, find_row, verify_row
from millmark.services.planning.errors import RowRefusedError
from millmark.services.planning.grounds import PlanningGround
from millmark.services.planning.making import Standing, find_standing
from millmark.services.planning.reading import need_call
from millmark.services.planning.shelf import Shelf

_LIVE = (AssignmentState.PROPOSED, AssignmentState.ACCEPTED, AssignmentState.STARTED)


@dataclass(frozen=True, slots=True)
class Proposals:
    """What is to be recorded so that the ledger has a plan's rows."""

    plan: Plan
    rows: tuple[Row, ...]
    """Those to be proposed."""
    cancelled: tuple[int, ...]
    """Assignments that are not as in the plan, and are cancelled before."""

    @property
    def reason(self) -> dict[str, Json]:
        """Why those are cancelled: the document behind the record."""
        cause = None if self.plan.cause is None else self.plan.cause.to_json()
        return {"replan": to_hex(self.plan.digest), "cause": cause}


def find_proposals(shelf: Shelf, plan: Plan) -> Proposals:
    """A row that is as it was in the plan before keeps its assignment; one that moved is cancelled first. Raises
    CallRefusedError for orders with other terms by now, InputError for work that no plan assigned."""
    standing = find_standing(shelf.rows, shelf.book, plan)
    todo = [row for row in plan.rows if not _is_settled(standing[row.key])]
    verify_revisions(shelf.rows, shelf.book, need_call(shelf.rows, plan.call), {row.order for row in todo})
    cancelled = (_replaced(standing[row.key]) for row in todo)
    return Proposals(plan, tuple(todo), tuple(one for one in cancelled if one is not None))


def find_waiting(shelf: Shelf, me: int, named: Iterable[int] | None = None) -> list[AssignmentRow]:
    """Assignments that a machine owner named, or all that wait for it. Raises InputError for an unknown one."""
    if named:
        return [shelf.need_assignment(one) for one in named]
    return shelf.rows.find(AssignmentRow, owner=me, state=AssignmentState.PROPOSED.value)


def judge_waiting(
    shelf: Shelf, me: int, waiting: Iterable[AssignmentRow], now_s: int
) -> tuple[dict[int, bytes], list[RowRefusedError]]:
    """The claims roots of the rows that are as they were offered, by assignment, and why the others are refused."""
    roots, refused, times = {}, [], TakenTimes(shelf.rows, shelf.book, me)
    for row in waiting:
        try:
            proposed = find_row(shelf.book, row)
            if proposed is None:
                raise _of_no_plan(shelf, row)
            times.add(verify_row(shelf.rows, shelf.book, row, proposed, me, now_s, times))
            roots[row.sequence] = proposed.root
        except RowRefusedError as error:
            refused.append(error)
    return roots, refused


def build_decline(shelf: Shelf, assignment: int, cause: CauseKind, text: str) -> dict[str, Json]:
    """Why an owner declines a row of a plan: the document behind the record. Raises InputError if it is of none."""
    proposed = find_row(shelf.book, shelf.need_assignment(assignment))
    if proposed is None:
        ground = PlanningGround.OF_NO_PLAN.write(assignment=assignment)
        raise InputError(ground, hint="use `millmark assignments decline`")
    return {"plan": to_hex(proposed.plan), "cause": {"kind": cause.value, "text": text}}


def _of_no_plan(shelf: Shelf, row: AssignmentRow) -> RowRefusedError:
    if find_claims(shelf.book, row.claims_root) is None:
        return RowRefusedError(
            PlanningGround.ROW_NOT_HERE.write(assignment=row.sequence),
            hint="its coordinator's gateway hands it over",
        )
    ground = PlanningGround.OF_NO_PLAN.write(assignment=row.sequence)
    return RowRefusedError(ground, hint="use `millmark assignments accept`")


def _is_settled(standing: Standing) -> bool:
    """Whether nothing is to be proposed: the row is, or its operation is finished, whoever assigned it."""
    is_finished = standing.assignment is not None and standing.assignment.state == AssignmentState.FINISHED
    if standing.is_rework and not standing.is_same:
        return False  # what is finished is what failed
    return is_finished or standing.state in _LIVE


def _replaced(standing: Standing) -> int | None:
    """The live assignment of an operation whose row the plan changes; None if there is none.

    Raises InputError for one that no plan made: nobody asked for that to be cancelled.
    """
    row = standing.assignment
    if row is None or AssignmentState(row.state) not in _LIVE:
        return None
    if not standing.is_planned:
        raise InputError(
            PlanningGround.UNPLANNED.write(operation=row.operation + 1, assignment=row.sequence),
            hint=f"cancel it first: millmark assignments cancel {row.sequence}",
        )
    return row.sequence
