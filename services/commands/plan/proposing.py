"""`millmark plan propose`, `accept`, `decline`: a plan's rows become assignments that both sides committed to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from millmark.ledger.canonical import to_hex
from millmark.ledger.errors import InputError
from millmark.ledger.plans.plan import CauseKind, Plan, Row
from millmark.services.client.shapes import RecordStatus
from millmark.services.commands.acts.act import Done
from millmark.services.commands.acts.names import At
from millmark.services.commands.acts.options import AssignmentNumber, Reason
from millmark.services.commands.plan.desk import open_desk, short_hash
from millmark.services.commands.plan.group import PLAN, CallName
from millmark.services.output import warn
from millmark.services.planning.consent import build_decline, find_proposals, find_waiting, judge_waiting

__all__: list[str] = []


@PLAN.act("propose", "millmark plan propose 0x3c4d5e")
def propose(at: At, call: CallName = None) -> Iterator[Done]:
    """Propose the rows of the latest plan to the machines' owners, as its coordinator.

    Each proposal commits to its row. A row that is as it was in the plan before keeps its assignment; one that moved
    is cancelled first, with the plan and its cause as the reason.
    """
    with open_desk(at) as desk:
        with desk.reading() as shelf:
            plan = shelf.latest_plan(desk.choose_call(shelf, call).digest)
            found = find_proposals(shelf, plan)
        # All are stored before the first is waited for: the gateway sends them together.
        ended = [(one, at.gateway.cancel_assignment(one, reason=found.reason)) for one in found.cancelled]
        for number, record in ended:
            yield Done(record, f"assignment {number} is cancelled: it is not as in plan {short_hash(plan.digest)}")
        made = [(row, _propose(at, plan, row)) for row in found.rows]
        for row, record in made:
            said = f"operation {row.operation + 1} is proposed to machine {row.machine} as assignment {{sequence}}"
            yield Done(record, said, "the machine's owner: millmark plan accept")
    if not found.rows:
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
            waiting = find_waiting(shelf, desk.me, assignments)
            roots, refused = judge_waiting(shelf, desk.me, waiting, desk.now_s())
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
            document = build_decline(shelf, assignment, cause, reason)
        done = at.gateway.decline_assignment(assignment, reason=document)
    then = f"the coordinator: millmark plan replan --cause declined --assignment {assignment}"
    return Done(done, f"assignment {assignment} is declined", then)


def _propose(at: At, plan: Plan, row: Row) -> RecordStatus:
    document = plan.row_document(row.key)
    return at.gateway.propose_assignment(
        order=to_hex(row.order), operation=row.operation, machine=row.machine, claims=dict(document)
    )
