"""`millmark orders`: what is ordered, agreed on and delivered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from millmark.ledger.errors import InputError
from millmark.services.commands.acts.act import Done, Group, Listing
from millmark.services.commands.acts.assignments import COLUMNS as ASSIGNMENT_COLUMNS
from millmark.services.commands.acts.options import (
    Accepting,
    Claims,
    Company,
    InState,
    NewName,
    OfCompany,
    Options,
    OrderName,
    Reason,
    Unit,
)
from millmark.services.commands.acts.words import (
    agreed,
    configure_order,
    day_or_time,
    name_of,
    party,
    read_claims,
    reason_of,
    state,
    state_word,
    when,
)

if TYPE_CHECKING:
    from millmark.services.client.shapes import OrderTermsBody
    from millmark.services.commands.acts.names import At

ORDERS = Group("orders", "Place orders, agree on changes, and follow them to delivery.")
_OVER = ("rejected", "delivered", "cancelled", "ended")
_COLUMNS = {
    "order": name_of,
    "state": state,
    "buyer": lambda one: party(one["buyer"]),
    "coordinator": lambda one: party(one["coordinator"]),
    "done": lambda one: f"{one['finished']} of {one['operations']}",
    "quantity": lambda one: f"{one['quantity']} {one['unit']}" if one["quantity"] else "-",
    "due": lambda one: when(one["due_at"]).removesuffix(" 00:00"),
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
    app.add_typer(ORDERS.app, name=ORDERS.name)


@ORDERS.act("place", "millmark orders place urn:example:order-7 --coordinator Hub --product garment --due 2026-12-01")
def place(
    at: At,
    identifier: NewName,
    coordinator: Company,
    due: Due,
    product: Annotated[
        str | None, typer.Option(metavar="NAME_OR_FILE", help="What is ordered: `millmark products list`.")
    ] = None,
    option: Options = None,
    operations: Annotated[
        int | None, typer.Option(min=1, help="How many operations it takes: 1, or what the product's route says.")
    ] = None,
    gate: Gates = None,
    quantity: Annotated[int, typer.Option(min=0, help="Agreed quantity; 0: none is agreed.")] = 1,
    unit: Unit = "H87",
    claims: Claims = None,
) -> Done:
    """Place an order as its buyer. Its specification is the claims, or follows from a product's options."""
    count, document = operations or 1, read_claims(claims)
    if product is not None:
        count, document = configure_order(at.home, product, option or (), operations, document)
    elif option:
        raise InputError("--option without --product", hint="name the product: `millmark products list`")
    terms = {
        "operations": count,
        "coordinator": at.participant(coordinator),
        "gates": _read_gates(at, gate),
        "due_at": day_or_time(due),
        "claims": document,
        **agreed(quantity, unit),
    }
    placed = at.gateway.place_order(identifier=identifier, terms=cast("OrderTermsBody", terms))
    return Done(placed, "order {subject} is placed", f"the coordinator: millmark orders accept {identifier}")


@ORDERS.act("accept", "millmark orders accept order-7")
def accept(at: At, order: OrderName, claims: Claims = None) -> Done:
    """Accept an order as its coordinator."""
    done = at.gateway.accept_order(at.order(order), claims=read_claims(claims))
    then = f"millmark assignments propose {order} --operation 1 --machine NUMBER, of `millmark machines list`"
    return Done(done, f"order {order} is accepted", then)


@ORDERS.act("reject", "millmark orders reject order-7 --reason 'no capacity before May'")
def reject(at: At, order: OrderName, reason: Reason) -> Done:
    """Reject an order as its coordinator."""
    return Done(at.gateway.reject_order(at.order(order), reason=reason_of(reason)), f"order {order} is rejected")


@ORDERS.act("cancel", "millmark orders cancel order-7 --reason 'ordered twice'")
def cancel(at: At, order: OrderName, reason: Reason) -> Done:
    """Cancel an order on which no work has begun."""
    return Done(at.gateway.cancel_order(at.order(order), reason=reason_of(reason)), f"order {order} is cancelled")


@ORDERS.act("revise", "millmark orders revise order-7 --due 2027-01-15")
def revise(
    at: At,
    order: OrderName,
    accept: Accepting = False,
    coordinator: Annotated[str | None, typer.Option(help="Another coordinator: name or number.")] = None,
    due: Annotated[str | None, typer.Option(help="Another day or time.")] = None,
    operations: Annotated[int | None, typer.Option(min=1, help="Another number of operations.")] = None,
    gate: Gates = None,
    no_gates: Annotated[bool, typer.Option("--no-gates", help="Without gates.")] = False,
    quantity: Annotated[int | None, typer.Option(min=0, help="Another quantity; 0: none is agreed.")] = None,
    unit: Annotated[str | None, typer.Option(help="Another unit.")] = None,
    claims: Claims = None,
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
        "operations": operations or now["operations"],
        "coordinator": at.participant(coordinator) if coordinator else now["coordinator"]["participant"],
        "gates": [] if no_gates else _read_gates(at, gate) or _gates(now),
        "due_at": day_or_time(due or str(now["due_at"])),
        **({"claims": read_claims(claims)} if claims else {"claims_root": now["claims_root"]}),
        **agreed(now["quantity"] if quantity is None else quantity, unit or now["unit"] or "H87"),
    }
    done = at.gateway.propose_revision(subject, terms=cast("OrderTermsBody", terms))
    then = f"the other side: millmark orders revise {order} --accept"
    return Done(done, f"a revision of order {order} is proposed", then)


@ORDERS.act("end", "millmark orders end order-7 --reason 'the customer is gone'")
def end(
    at: At,
    order: OrderName,
    accept: Accepting = False,
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
        done = at.gateway.propose_end(subject, reason=reason_of(reason))
        then = f"the other side: millmark orders end {order} --accept"
        return Done(done, f"the end of order {order} is proposed", then)
    proposal = 0 if alone else at.latest_proposal(subject, "EndProposed", f"no end of {order} is proposed")
    return Done(at.gateway.end_order(subject, proposal), f"order {order} is ended")


@ORDERS.act("complete", "millmark orders complete order-7")
def complete(at: At, order: OrderName, claims: Claims = None) -> Done:
    """Declare an order complete as its coordinator, once its operations are finished."""
    done = at.gateway.complete_order(at.order(order), claims=read_claims(claims))
    then = f"the buyer, once it has the lots: millmark orders confirm {order} LOT..."
    return Done(done, f"order {order} is complete", then)


@ORDERS.act("confirm", "millmark orders confirm order-7 A0006R A0007R")
def confirm(
    at: At,
    order: OrderName,
    lots: Annotated[list[str] | None, typer.Argument(metavar="LOT...", help="The lots that were delivered.")] = None,
    claims: Claims = None,
) -> Done:
    """Confirm as its buyer that an order was delivered, with the lots that were."""
    done = at.gateway.confirm_delivery(at.order(order), lots=at.lots(lots or []), claims=read_claims(claims))
    return Done(done, f"order {order} is delivered", [f"millmark bundle {lot} -o FILE" for lot in (lots or [])[:1]])


@ORDERS.list("list", "millmark orders list --state in-production", of="orders")
def list_orders(at: At, state_: InState = None, buyer: OfCompany = None, coordinator: OfCompany = None) -> Listing:
    """List orders that are not over."""
    found = at.gateway.iterate_orders(
        state=state_word(state_), buyer=at.maybe_participant(buyer), coordinator=at.maybe_participant(coordinator)
    )
    return Listing("orders", found, _COLUMNS, lambda one: state_ is not None or one["state"] not in _OVER)


@ORDERS.list("show", "millmark orders show order-7", of="assignments", whole=True)
def show(at: At, order: OrderName) -> Listing:
    """Show an order, its terms, and who does which operation."""
    found = at.gateway.get_order(at.order(order))
    gates = ", ".join(f"{party(one['inspector'])} {_on(one['model'])}" for one in found["gates"]) or "none"
    return Listing(
        f"order {found['identifier'] or found['subject']}: {state(found)}",
        at.gateway.iterate_assignments(order=found["subject"]),
        ASSIGNMENT_COLUMNS,
        more=[
            f"for {party(found['buyer'])}, coordinated by {party(found['coordinator'])}; gates: {gates}",
            f"{found['finished']} of {found['operations']} operations finished; due {when(found['due_at'])}",
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


def _gates(order: Mapping[str, Any]) -> list[dict[str, int]]:
    return [{"inspector": one["inspector"]["participant"], "model": one["model"] or 0} for one in order["gates"]]
