"""`millmark plan propose`, `accept`, `decline`: a plan's rows become assignments that both sides committed to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from ledger.canonical import to_hex
from ledger.errors import InputError
from ledger.plans.plan import CauseKind, Plan, Row
from ledger.records import AssignmentState
from ledger.store.rows import AssignmentRow
from services.client.shapes import RecordStatus
from services.commands.acts.act import Done
from services.commands.acts.names import At
from services.commands.acts.options import AssignmentNumber, Reason
from services.commands.plan.desk import Shelf, open_desk, short_hash
from services.commands.plan.group import PLAN, CallName
from services.output import warn
from services.planning.books import find_claims
from services.planning.calls import verify_revisions
from services.planning.consent import TakenTimes, find_row, verify_row
from services.planning.errors import RowRefusedError
from services.planning.making import Standing, find_standing
from services.planning.reading import need_call

__all__: list[str] = []

_LIVE = (AssignmentState.PROPOSED, AssignmentState.ACCEPTED, AssignmentState.STARTED)


@PLAN.act("propose", "millmark plan propose 0x3c4d5e")
def propose(at: At, call: CallName = None) -> Iterator[Done]:
    """Propose the rows of the latest plan to the machines' owners, as its coordinator.

    Each proposal commits to its row. A row that is as it was in the plan before keeps its assignment; one that moved
    is cancelled first, with the plan and its cause as the reason.
    """
    with open_desk(at) as desk:
        with desk.reading() as shelf:
            plan = desk.latest_plan(shelf, desk.choose_call(shelf, call).digest)
            standing = find_standing(shelf.rows, shelf.book, plan.rows)
            todo = [row for row in plan.rows if not _is_settled(standing[row.key])]
            verify_revisions(shelf.rows, shelf.book, need_call(shelf.rows, plan.call), {row.order for row in todo})
        cancelled = [(row, one) for row in todo if (one := _replaced(standing[row.key])) is not None]
        # All are stored before the first is waited for: the gateway sends them together.
        ended = [(one, at.gateway.cancel_assignment(one, reason=_reason(plan))) for _, one in cancelled]
        for number, record in ended:
            yield Done(record, f"assignment {number} is cancelled: it is not as in plan {short_hash(plan.digest)}")
        made = [(row, _propose(at, plan, row)) for row in todo]
        for row, record in made:
            said = f"operation {row.operation + 1} is proposed to machine {row.machine} as assignment {{sequence}}"
            yield Done(record, said, "the machine's owner: millmark plan accept")
    if not todo:
        raise InputError("all rows of the plan are proposed already", hint="see `millmark plan show`")


@PLAN.act("accept", "millmark plan accept")
def accept(
    at: At,
    assignments: Annotated[
        list[int] | None,
        typer.Argument(metavar="[ASSIGNMENT...]", help="Their numbers; by default all that are as they were offered."),
    ] = None,
) -> Iterator[Done]:
    """Accept rows of plans that were proposed to own machines, if they are as they were offered.

    The acceptance commits to the same row as the proposal.
    """
    with open_desk(at) as desk:
        with desk.reading() as shelf:
            waiting = _waiting(shelf, desk.me, assignments)
            roots, refused = _judge(shelf, desk.me, waiting, desk.now_s())
        if refused and assignments:
            raise refused[0]
        for error in refused:
            warn(f"millmark: {error}")
        if not roots:
            raise InputError("no row that was proposed is as it was offered", hint="see `millmark assignments list`")
        made = {one: at.gateway.accept_assignment(one, claims_root=to_hex(root)) for one, root in roots.items()}
        for number, record in made.items():
            yield Done(record, f"assignment {number} is accepted", f"millmark assignments start {number}")


@PLAN.act("decline", "millmark plan decline 131 --cause machine-down --reason 'the spindle is worn'")
def decline(
    at: At,
    assignment: AssignmentNumber,
    reason: Reason,
    cause: Annotated[CauseKind, typer.Option(help="What kind of thing it is.")] = CauseKind.DECLINED,
) -> Done:
    """Decline a row of a plan, with the kind of its cause."""
    with open_desk(at) as desk:
        with desk.reading() as shelf:
            row = _need(shelf, assignment)
            proposed = find_row(shelf.book, row)
        if proposed is None:
            raise InputError(f"assignment {assignment} is of no plan", hint="use `millmark assignments decline`")
        document = {"plan": to_hex(proposed.plan), "cause": {"kind": cause.value, "text": reason}}
        done = at.gateway.decline_assignment(assignment, reason=document)
    then = f"the coordinator: millmark plan replan --cause declined --assignment {assignment}"
    return Done(done, f"assignment {assignment} is declined", then)


def _waiting(shelf: Shelf, me: int, named: list[int] | None) -> list[AssignmentRow]:
    if named:
        return [_need(shelf, one) for one in named]
    state = AssignmentState.PROPOSED.value
    return shelf.rows.find(AssignmentRow, owner=me, state=state)


def _need(shelf: Shelf, number: int) -> AssignmentRow:
    found = shelf.rows.get(AssignmentRow, number)
    if found is None:
        raise InputError(f"there is no assignment {number} here", hint="see `millmark assignments list`")
    return found


def _judge(
    shelf: Shelf, me: int, waiting: list[AssignmentRow], now_s: int
) -> tuple[dict[int, bytes], list[RowRefusedError]]:
    """The claims roots of the rows that are as they were offered, by assignment, and why the others are refused."""
    roots, refused, times = {}, [], TakenTimes(shelf.rows, shelf.book, me)
    for row in waiting:
        try:
            proposed = find_row(shelf.book, row)
            if proposed is None:
                if find_claims(shelf.book, row.claims_root) is None:
                    raise RowRefusedError(
                        f"the document of assignment {row.sequence} has not arrived here yet",
                        hint="its coordinator's gateway hands it over",
                    )
                raise RowRefusedError(
                    f"assignment {row.sequence} is of no plan", hint="use `millmark assignments accept`"
                )
            times.add(verify_row(shelf.rows, shelf.book, row, proposed, me, now_s, times))
            roots[row.sequence] = proposed.root
        except RowRefusedError as error:
            refused.append(error)
    return roots, refused


def _is_settled(standing: Standing) -> bool:
    """Whether nothing is to be proposed: the row is, or its operation is finished, whoever assigned it."""
    is_finished = standing.assignment is not None and standing.assignment.state == AssignmentState.FINISHED
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
            f"operation {row.operation + 1} is assigned without a plan, as assignment {row.sequence}",
            hint=f"cancel it first: millmark assignments cancel {row.sequence}",
        )
    return row.sequence


def _propose(at: At, plan: Plan, row: Row) -> RecordStatus:
    document = plan.row_document(row.key)
    return at.gateway.propose_assignment(
        order=to_hex(row.order), operation=row.operation, machine=row.machine, claims=dict(document)
    )


def _reason(plan: Plan) -> dict[str, object]:
    cause = None if plan.cause is None else plan.cause.to_json()
    return {"replan": to_hex(plan.digest), "cause": cause}
