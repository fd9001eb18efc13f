"""`millmark assignments`: who does which operation of an order, on which machine, and what shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from millmark.ledger.errors import InputError
from millmark.ledger.footprint import Moment, register_event_id
from millmark.services.commands.acts.act import Done, Group, Listing
from millmark.services.commands.acts.options import (
    AssignmentNumber,
    Claims,
    InState,
    OfCompany,
    OfOrder,
    Operation,
    OrderName,
    Reason,
)
from millmark.services.commands.acts.words import (
    name_of,
    operation,
    party,
    read_claims,
    reason_of,
    short,
    state,
    state_word,
)

if TYPE_CHECKING:
    from millmark.services.client.shapes import OpenedStream, Stream
    from millmark.services.commands.acts.names import At

ASSIGNMENTS = Group("assignments", "Assign operations of orders to machines, do the work, and show it.")
_OVER = ("declined", "finished", "cancelled")
COLUMNS = {
    "assignment": lambda one: one["assignment"],
    "operation": operation,
    "machine": lambda one: name_of(one["machine"]),
    "of": lambda one: party(one["owner"]),
    "state": lambda one: state(one) if one["current"] else f"{state(one)}, replaced",
}
StreamName = Annotated[
    str | None, typer.Option(help="The machine's evidence stream; by default its only one.", show_default=False)
]
_REGISTER = "What the machine's meter has counted, in whole Wh: 1 kWh is 1000."
RegisterWh = Annotated[int | None, typer.Option(min=0, help=_REGISTER)]
RegisterReset = Annotated[
    str | None,
    typer.Option(metavar="BEFORE=AFTER", help="If the register was set back or replaced: what it showed, in Wh."),
]
Good = Annotated[
    int | None, typer.Option(min=1, help="How much the operation made that is good, if several records made lots.")
]


def register(app: typer.Typer) -> None:
    app.add_typer(ASSIGNMENTS.app, name=ASSIGNMENTS.name)


@ASSIGNMENTS.act("propose", "millmark assignments propose order-7 --operation 1 --machine LATHE-2")
def propose(
    at: At,
    order: OrderName,
    operation: Operation,
    machine: Annotated[str, typer.Option(help="The machine: number, identifier or its last part.")],
    claims: Claims = None,
) -> Done:
    """Assign an operation of an order to a machine, as its coordinator."""
    done = at.gateway.propose_assignment(
        order=at.order(order), operation=operation - 1, machine=at.machine(machine), claims=read_claims(claims)
    )
    return Done(
        done,
        f"operation {operation} is proposed to {short(machine)} as assignment {{sequence}}",
        "the machine's owner: millmark assignments accept {sequence}",
    )


@ASSIGNMENTS.act("accept", "millmark assignments accept 131")
def accept(at: At, assignment: AssignmentNumber, claims: Claims = None) -> Done:
    """Accept an assignment as the machine's owner. A row of a plan is accepted if it is as it was offered."""
    from millmark.services.commands.plan.desk import find_offered_row  # noqa: PLC0415 - other acts need no database

    # Both sides commit to one text: the acceptance has the claims root of the row that was proposed.
    root = None if claims else find_offered_row(at.home, assignment)
    done = at.gateway.accept_assignment(assignment, claims=read_claims(claims), claims_root=root)
    return Done(done, f"assignment {assignment} is accepted", f"millmark assignments start {assignment}")


@ASSIGNMENTS.act("decline", "millmark assignments decline 131 --reason 'the spindle is worn'")
def decline(at: At, assignment: AssignmentNumber, reason: Reason) -> Done:
    """Decline an assignment as the machine's owner."""
    done = at.gateway.decline_assignment(assignment, reason=reason_of(reason))
    return Done(done, f"assignment {assignment} is declined")


@ASSIGNMENTS.act("start", "millmark assignments start 131")
def start(
    at: At,
    assignment: AssignmentNumber,
    stream: StreamName = None,
    claims: Claims = None,
    register_wh: RegisterWh = None,
    register_reset: RegisterReset = None,
) -> Done | Iterator[Done]:
    """Start the work. From now on, what the machine measures can show it."""
    found: Stream | OpenedStream = at.gateway.get_stream(at.stream(stream)) if stream else at.stream_of(assignment)
    if register_wh is None and register_reset is None:
        return _start(at, assignment, found, claims)
    reading = partial(_read, at, assignment, "start", register_wh, register_reset, stream=found["subject"])
    return _one_by_one(reading, partial(_start, at, assignment, found, claims))


def _one_by_one(*acts: Callable[[], Done]) -> Iterator[Done]:
    """Each is done when the one before is final."""
    for act in acts:
        yield act()


def _start(at: At, assignment: int, found: Stream | OpenedStream, claims: Path | None) -> Done:
    done = at.gateway.start_assignment(assignment, stream=found["subject"], claims=read_claims(claims))
    work = at.gateway.get_assignment(assignment)
    order = at.order_name(work["order"])
    then = [
        f"millmark lots commission IDENTIFIER --order {order} --operation {operation(work)}",
        f"millmark streams add {name_of(found)} --event ID --value NAME=VALUE, or the machine's node does it",
        f"millmark assignments finish {assignment} --event ID, or --register-wh READING",
    ]
    return Done(done, f"assignment {assignment} is started", then)


@ASSIGNMENTS.act("read", "millmark assignments read 131 --register-wh 1208520")
def read(
    at: At,
    assignment: AssignmentNumber,
    register_wh: Annotated[int, typer.Option(min=0, help=_REGISTER)],
    register_reset: RegisterReset = None,
    good: Good = None,
) -> Done:
    """Read the machine's energy register when the work is over, before its lots are recorded.

    `millmark lots commission --factors FILE` then states their footprint, and `millmark assignments finish` names the
    reading as what shows the work.
    """
    done = _read(at, assignment, "finish", register_wh, register_reset, good)
    return replace(done, then=f"millmark assignments finish {assignment}")


def _read(
    at: At,
    assignment: int,
    moment: str,
    register_wh: int | None,
    register_reset: str | None,
    good: int | None = None,
    stream: str | None = None,
) -> Done:
    """Adds the reading to the machine's stream, and anchors it."""
    if register_wh is None:
        raise InputError("no reading is given", hint="give --register-wh as well")
    reset = None if register_reset is None else _reset(register_reset)
    done = at.gateway.read_register(
        assignment, moment=moment, register_wh=register_wh, quantity=good, reset=reset, stream=stream
    )
    return Done(done, f"the register is read at the {moment} of assignment {assignment}: {register_wh} Wh")


def _reset(text: str) -> list[int]:
    before, sign, after = text.partition("=")
    if not (sign and before.isdecimal() and after.isdecimal()):
        raise InputError(f"{text[:40]} is not a reset", hint="write BEFORE=AFTER in Wh, such as 1204310=0")
    return [int(before), int(after)]


@ASSIGNMENTS.act("finish", "millmark assignments finish 131 --register-wh 1208520")
def finish(
    at: At,
    assignment: AssignmentNumber,
    event: Annotated[
        str | None, typer.Option(help="Id of the event that shows the work, as the node was sent it.")
    ] = None,
    entry: Annotated[
        int | None, typer.Option(min=0, help="In its place: the entry's index in the stream, from 0.")
    ] = None,
    leaf_hash: Annotated[str | None, typer.Option(help="With --entry, where its evidence is kept elsewhere.")] = None,
    stream: StreamName = None,
    register_wh: RegisterWh = None,
    register_reset: RegisterReset = None,
    good: Good = None,
) -> Done | Iterator[Done]:
    """Finish the work, with the measured entry that shows it: an event, or the reading of the energy register, by
    default the one that was taken."""
    if sum(one is not None for one in (event, entry, register_wh)) > 1:
        raise InputError("the work is shown by one entry", hint="give one of --event, --entry and --register-wh")
    if event is None and entry is None:
        event = register_event_id(assignment, Moment.FINISH)
    named = at.stream(stream) if stream else None
    finishing = partial(_finish, at, assignment, event, entry, leaf_hash, named)
    if register_wh is None and register_reset is None and good is None:
        return finishing()
    return _one_by_one(partial(_read, at, assignment, "finish", register_wh, register_reset, good), finishing)


def _finish(
    at: At, assignment: int, event: str | None, entry: int | None, leaf_hash: str | None, named: str | None
) -> Done:
    done = at.gateway.finish_assignment(assignment, event=event, leaf_index=entry, leaf_hash=leaf_hash, stream=named)
    order = at.order_name(at.gateway.get_assignment(assignment)["order"])
    then = f"the coordinator, once all operations are finished: millmark orders complete {order}"
    return Done(done, f"assignment {assignment} is finished", then)


@ASSIGNMENTS.act("cancel", "millmark assignments cancel 131 --reason 'moved to another mill'")
def cancel(at: At, assignment: AssignmentNumber, reason: Reason) -> Done:
    """Cancel an assignment that is not finished."""
    done = at.gateway.cancel_assignment(assignment, reason=reason_of(reason))
    return Done(done, f"assignment {assignment} is cancelled")


@ASSIGNMENTS.list("list", "millmark assignments list --machine LATHE-2", of="assignments")
def list_assignments(
    at: At,
    order: OfOrder = None,
    machine: Annotated[str | None, typer.Option(help="Only those of this machine.")] = None,
    owner: OfCompany = None,
    state_: InState = None,
) -> Listing:
    """List assignments that are not over."""
    found = at.gateway.iterate_assignments(
        order=at.order(order) if order else None,
        machine=at.machine(machine) if machine else None,
        owner=at.maybe_participant(owner),
        state=state_word(state_),
    )
    names = {one["subject"]: name_of(one) for one in at.gateway.iterate_orders()}
    columns = {"order": lambda one: names.get(one["order"], one["order"]), **COLUMNS}
    return Listing("assignments", found, columns, lambda one: state_ is not None or one["state"] not in _OVER)
