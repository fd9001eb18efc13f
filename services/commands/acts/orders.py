"""`millmark orders` and `assignments`: what is ordered and delivered, who does which operation, and what shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from millmark.ledger.errors import InputError
from millmark.ledger.footprint import Moment, register_event_id
from millmark.ledger.products import build_order_document, configure, parse_choices
from millmark.ledger.provenance.answers import OpenedStream, Order, Stream
from millmark.services.commands.acts import words
from millmark.services.commands.acts.act import At, Done, Group, Listing
from millmark.services.products import Catalogue

ASSIGNMENTS = Group("assignments", "Assign operations of orders to machines, do the work, and show it.")
_OVER_WORK = ("declined", "finished", "cancelled")
ASSIGNMENT_COLUMNS = {
    "assignment": lambda one: one["assignment"],
    "operation": words.operation,
    "machine": lambda one: words.name_of(one["machine"]),
    "of": lambda one: words.party(one["owner"]),
    "state": lambda one: words.state(one) if one["current"] else f"{words.state(one)}, replaced",
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


@ASSIGNMENTS.act("propose", "millmark assignments propose order-7 --operation 1 --machine LATHE-2")
def propose(
    at: At,
    order: words.OrderName,
    operation: words.Operation,
    machine: Annotated[str, typer.Option(help="The machine: number, identifier or its last part.")],
    claims: words.Claims = None,
) -> Done:
    """Assign an operation of an order to a machine, as its coordinator."""
    done = at.gateway.propose_assignment(
        order=at.order(order), operation=operation - 1, machine=at.machine(machine), claims=words.read_claims(claims)
    )
    return Done(
        done,
        f"operation {operation} is proposed to {words.short(machine)} as assignment {{sequence}}",
        "the machine's owner: millmark assignments accept {sequence}",
    )


@ASSIGNMENTS.act("accept", "millmark assignments accept 131")
def accept_assignment(at: At, assignment: words.AssignmentNumber, claims: words.Claims = None) -> Done:
    """Accept an assignment as the machine's owner. A row of a plan is accepted if it is as it was offered."""
    from millmark.services.commands.plan.desk import find_offered_row  # noqa: PLC0415 - other acts need no database

    # Both sides commit to one text: the acceptance has the claims root of the row that was proposed.
    root = None if claims else find_offered_row(at.home, assignment)
    done = at.gateway.accept_assignment(assignment, claims=words.read_claims(claims), claims_root=root)
    return Done(done, f"assignment {assignment} is accepted", f"millmark assignments start {assignment}")


@ASSIGNMENTS.act("decline", "millmark assignments decline 131 --reason 'the spindle is worn'")
def decline(at: At, assignment: words.AssignmentNumber, reason: words.Reason) -> Done:
    """Decline an assignment as the machine's owner."""
    done = at.gateway.decline_assignment(assignment, reason=words.reason_of(reason))
    return Done(done, f"assignment {assignment} is declined")


@ASSIGNMENTS.act("start", "millmark assignments start 131")
def start(
    at: At,
    assignment: words.AssignmentNumber,
    stream: StreamName = None,
    claims: words.Claims = None,
    register_wh: RegisterWh = None,
    register_reset: RegisterReset = None,
) -> Done | Iterator[Done]:
    """Start the work. From now on, what the machine measures can show it."""
    found: Stream | OpenedStream = at.gateway.get_stream(at.stream(stream)) if stream else at.stream_of(assignment)
    if register_wh is None and register_reset is None:
        return _start(at, assignment, found, claims)
    reading = partial(_read, at, assignment, "start", register_wh, register_reset, stream=found.subject)
    return _one_by_one(reading, partial(_start, at, assignment, found, claims))


def _one_by_one(*acts: Callable[[], Done]) -> Iterator[Done]:
    """Each is done when the one before is final."""
    for act in acts:
        yield act()


def _start(at: At, assignment: int, found: Stream | OpenedStream, claims: Path | None) -> Done:
    done = at.gateway.start_assignment(assignment, stream=found.subject, claims=words.read_claims(claims))
    work = at.gateway.get_assignment(assignment)
    order, its_log = words.order_of(work.to_json()), words.name_of(found.to_json())
    then = [
        f"millmark lots commission IDENTIFIER --order {order} --operation {words.operation(work.to_json())}",
        f"millmark streams add {its_log} --event ID --value NAME=VALUE, or the machine's node does it",
        f"millmark assignments finish {assignment} --event ID, or --register-wh READING",
    ]
    return Done(done, f"assignment {assignment} is started", then)


@ASSIGNMENTS.act("read", "millmark assignments read 131 --register-wh 1208520")
def read(
    at: At,
    assignment: words.AssignmentNumber,
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
    stream: bytes | None = None,
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
    assignment: words.AssignmentNumber,
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
    order = words.order_of(at.gateway.get_assignment(assignment).to_json())
    then = f"the coordinator, once all operations are finished: millmark orders complete {order}"
    return Done(done, f"assignment {assignment} is finished", then)


@ASSIGNMENTS.act("cancel", "millmark assignments cancel 131 --reason 'moved to another mill'")
def cancel_assignment(at: At, assignment: words.AssignmentNumber, reason: words.Reason) -> Done:
    """Cancel an assignment that is not finished."""
    done = at.gateway.cancel_assignment(assignment, reason=words.reason_of(reason))
    return Done(done, f"assignment {assignment} is cancelled")


@ASSIGNMENTS.list("list", "millmark assignments list --machine LATHE-2", of="assignments")
def list_assignments(
    at: At,
    order: words.OfOrder = None,
    machine: Annotated[str | None, typer.Option(help="Only those of this machine.")] = None,
    owner: words.OfCompany = None,
    state_: words.InState = None,
) -> Listing:
    """List assignments that are not over."""
    found = at.gateway.iterate_assignments(
        order=at.order(order) if order else None,
        machine=at.machine(machine) if machine else None,
        owner=at.maybe_participant(owner),
        state=words.state_word(state_),
    )
    columns = {"order": words.order_of, **ASSIGNMENT_COLUMNS}
    return Listing("assignments", found, columns, lambda one: state_ is not None or one["state"] not in _OVER_WORK)


ORDERS = Group("orders", "Place orders, agree on changes, and follow them to delivery.")
_OVER_ORDERS = ("rejected", "delivered", "cancelled", "ended")
_COLUMNS = {
    "order": words.name_of,
    "state": words.state,
    "buyer": lambda one: words.party(one["buyer"]),
    "coordinator": lambda one: words.party(one["coordinator"]),
    "done": lambda one: f"{one['finished']} of {one['operations']}",
    "quantity": lambda one: f"{one['quantity']} {one['unit']}" if one["quantity"] else "-",
    "due": lambda one: words.when(one["due_at"]).removesuffix(" 00:00"),
}
Due = Annotated[str, typer.Option(help="When it is due: a day (2026-12-01) or a time in UTC (2026-12-01T12:00:00Z).")]
Gates = Annotated[
    list[str] | None,
    typer.Option(
        "--gate",
        metavar="INSPECTOR[:MODEL]",
        help="An inspector whose pass each lot needs before it reaches the buyer, on a model or else by procedure.",
    ),
]


def register(app: typer.Typer) -> None:
    for group in (ORDERS, ASSIGNMENTS):
        app.add_typer(group.app, name=group.name)


@ORDERS.act("place", "millmark orders place urn:example:order-7 --coordinator Hub --product garment --due 2026-12-01")
def place(
    at: At,
    identifier: words.NewName,
    coordinator: words.Company,
    due: Due,
    product: Annotated[
        str | None, typer.Option(metavar="NAME_OR_FILE", help="What is ordered: `millmark products list`.")
    ] = None,
    option: words.Options = None,
    operations: Annotated[
        int | None, typer.Option(min=1, help="How many operations it takes: 1, or what the product's route says.")
    ] = None,
    gate: Gates = None,
    quantity: Annotated[int, typer.Option(min=0, help="Agreed quantity; 0: none is agreed.")] = 1,
    unit: words.Unit = "H87",
    claims: words.Claims = None,
) -> Done:
    """Place an order as its buyer. Its specification is the claims, or follows from a product's options."""
    count, document = operations or 1, words.read_claims(claims)
    if product is not None:
        count, document = _configure(at.home, product, option or (), operations, document)
    elif option:
        raise InputError("--option without --product", hint="name the product: `millmark products list`")
    terms = {
        "operations": count,
        "coordinator": at.participant(coordinator),
        "gates": _read_gates(at, gate),
        "due_at": words.day_or_time(due),
        "claims": document,
        **words.agreed(quantity, unit),
    }
    placed = at.gateway.place_order(identifier=identifier, terms=terms)
    return Done(placed, "order {subject} is placed", f"the coordinator: millmark orders accept {identifier}")


def _configure(
    home: Path, name: str, options: Sequence[str], operations: int | None, claims: Mapping[str, Any] | None
) -> tuple[int, dict[str, Any]]:
    """The number of operations and the document of an order for a product. Raises SpecificationError, and InputError
    for claims or a number of operations that contradict the product."""
    product = Catalogue(home).find(name)
    made = configure(product, parse_choices(product, options))
    document = build_order_document(made)
    twice = sorted(document.keys() & (claims or {}).keys())
    if twice:
        raise InputError(f"the claims have the member {twice[0]}, which follows from the product", hint="leave it out")
    if operations not in (None, len(made.operations)):
        raise InputError(
            f"this {product.product} takes {len(made.operations)} operations, not {operations}",
            hint="leave --operations out",
        )
    return len(made.operations), {**document, **(claims or {})}


@ORDERS.act("accept", "millmark orders accept order-7")
def accept(at: At, order: words.OrderName, claims: words.Claims = None) -> Done:
    """Accept an order as its coordinator."""
    done = at.gateway.accept_order(at.order(order), claims=words.read_claims(claims))
    then = f"millmark assignments propose {order} --operation 1 --machine NUMBER, of `millmark machines list`"
    return Done(done, f"order {order} is accepted", then)


@ORDERS.act("reject", "millmark orders reject order-7 --reason 'no capacity before May'")
def reject(at: At, order: words.OrderName, reason: words.Reason) -> Done:
    """Reject an order as its coordinator."""
    return Done(at.gateway.reject_order(at.order(order), reason=words.reason_of(reason)), f"order {order} is rejected")


@ORDERS.act("cancel", "millmark orders cancel order-7 --reason 'ordered twice'")
def cancel(at: At, order: words.OrderName, reason: words.Reason) -> Done:
    """Cancel an order on which no work has begun."""
    return Done(at.gateway.cancel_order(at.order(order), reason=words.reason_of(reason)), f"order {order} is cancelled")


@ORDERS.act("revise", "millmark orders revise order-7 --due 2027-01-15")
def revise(
    at: At,
    order: words.OrderName,
    accept: words.Accepting = False,
    coordinator: Annotated[str | None, typer.Option(help="Another coordinator: name or number.")] = None,
    due: Annotated[str | None, typer.Option(help="Another day or time.")] = None,
    operations: Annotated[int | None, typer.Option(min=1, help="Another number of operations.")] = None,
    gate: Gates = None,
    no_gates: Annotated[bool, typer.Option("--no-gates", help="Without gates.")] = False,
    quantity: Annotated[int | None, typer.Option(min=0, help="Another quantity; 0: none is agreed.")] = None,
    unit: Annotated[str | None, typer.Option(help="Another unit.")] = None,
    claims: words.Claims = None,
) -> Done:
    """Propose other terms of an order, or accept those proposed last. What is left out stays as it is."""
    subject, now = at.order(order), None
    changes = (coordinator, due, operations, gate, no_gates or None, quantity, unit, claims)
    if accept is any(one is not None for one in changes):
        raise InputError("a revision is either proposed or accepted", hint="give the terms that change, or --accept")
    if accept:
        proposal = at.latest_proposal(subject, "RevisionProposed", f"no revision of {order} is proposed")
        return Done(at.gateway.accept_revision(subject, proposal), f"the revision of order {order} is accepted")
    now = at.gateway.get_order(subject)
    terms = {
        "operations": operations or now.operations,
        "coordinator": at.participant(coordinator) if coordinator else now.coordinator.participant,
        "gates": [] if no_gates else _read_gates(at, gate) or _gates(now),
        "due_at": words.day_or_time(due) if due else now.due_at,
        **({"claims": words.read_claims(claims)} if claims else {"claims_root": now.claims_root}),
        **words.agreed(now.quantity if quantity is None else quantity, unit or now.unit or "H87"),
    }
    done = at.gateway.propose_revision(subject, terms=terms)
    then = f"the other side: millmark orders revise {order} --accept"
    return Done(done, f"a revision of order {order} is proposed", then)


@ORDERS.act("end", "millmark orders end order-7 --reason 'the customer is gone'")
def end(
    at: At,
    order: words.OrderName,
    accept: words.Accepting = False,
    alone: Annotated[bool, typer.Option("--alone", help="End it where neither side is left to propose it.")] = False,
    reason: Annotated[str | None, typer.Option(help="Why; proposes the end.")] = None,
) -> Done:
    """Propose to end an order in production, or end it as proposed."""
    subject = at.order(order)
    if [accept, alone, reason is not None].count(True) != 1:
        raise InputError(
            "the end of an order is either proposed or agreed to", hint="give --reason, --accept or --alone"
        )
    if reason is not None:
        done = at.gateway.propose_end(subject, reason=words.reason_of(reason))
        then = f"the other side: millmark orders end {order} --accept"
        return Done(done, f"the end of order {order} is proposed", then)
    proposal = 0 if alone else at.latest_proposal(subject, "EndProposed", f"no end of {order} is proposed")
    return Done(at.gateway.end_order(subject, proposal), f"order {order} is ended")


@ORDERS.act("complete", "millmark orders complete order-7")
def complete(at: At, order: words.OrderName, claims: words.Claims = None) -> Done:
    """Declare an order complete as its coordinator, once its operations are finished."""
    done = at.gateway.complete_order(at.order(order), claims=words.read_claims(claims))
    then = f"the buyer, once it has the lots: millmark orders confirm {order} LOT..."
    return Done(done, f"order {order} is complete", then)


@ORDERS.act("confirm", "millmark orders confirm order-7 A0006R A0007R")
def confirm(
    at: At,
    order: words.OrderName,
    lots: Annotated[list[str] | None, typer.Argument(metavar="LOT...", help="The lots that were delivered.")] = None,
    claims: words.Claims = None,
) -> Done:
    """Confirm as its buyer that an order was delivered, with the lots that were."""
    done = at.gateway.confirm_delivery(at.order(order), lots=at.lots(lots or []), claims=words.read_claims(claims))
    return Done(done, f"order {order} is delivered", [f"millmark bundle {lot} -o FILE" for lot in (lots or [])[:1]])


@ORDERS.list("list", "millmark orders list --state in-production", of="orders")
def list_orders(
    at: At, state_: words.InState = None, buyer: words.OfCompany = None, coordinator: words.OfCompany = None
) -> Listing:
    """List orders that are not over."""
    found = at.gateway.iterate_orders(
        state=words.state_word(state_), buyer=at.maybe_participant(buyer), coordinator=at.maybe_participant(coordinator)
    )
    return Listing("orders", found, _COLUMNS, lambda one: state_ is not None or one["state"] not in _OVER_ORDERS)


@ORDERS.list("show", "millmark orders show order-7", of="assignments", whole=True)
def show(at: At, order: words.OrderName) -> Listing:
    """Show an order, its terms, and who does which operation."""
    found: Mapping[str, Any] = at.gateway.get_order(at.order(order)).to_json()
    gates = ", ".join(f"{words.party(one['inspector'])} {_on(one['model'])}" for one in found["gates"]) or "none"
    return Listing(
        f"order {found['identifier'] or found['subject']}: {words.state(found)}",
        at.gateway.iterate_assignments(order=found["subject"]),
        ASSIGNMENT_COLUMNS,
        more=[
            f"for {words.party(found['buyer'])}, coordinated by {words.party(found['coordinator'])}; gates: {gates}",
            f"{found['finished']} of {found['operations']} operations finished; due {words.when(found['due_at'])}",
            f"its lots: millmark lots list --order {order}",
        ],
    )


def _on(model: int | None) -> str:
    return "by procedure" if model is None else f"on model {model}"


def _read_gates(at: At, texts: list[str] | None) -> list[dict[str, int]]:
    """The gates, as the contract wants them: by ascending inspector."""
    return sorted((_gate(at, text) for text in texts or ()), key=lambda gate: gate["inspector"])


def _gate(at: At, text: str) -> dict[str, int]:
    name, sign, model = text.rpartition(":")
    if not sign:
        return {"inspector": at.participant(text)}
    if not model.isdecimal():
        raise InputError(f"--gate {text[:80]}: {model[:20]!r} is not a model's number", hint="write INSPECTOR:MODEL")
    return {"inspector": at.participant(name), "model": int(model)}


def _gates(order: Order) -> list[dict[str, int]]:
    return [{"inspector": one.inspector.participant, "model": one.model or 0} for one in order.gates]
