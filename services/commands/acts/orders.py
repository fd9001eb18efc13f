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
from millmark.services.acts import Body
from millmark.services.commands.acts import words
from millmark.services.commands.acts.act import Done, Given, Group, Home, Listing, record
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


def _accept_assignment(at: Home, given: Given) -> None:
    """A row of a plan is accepted if it is as it was offered."""
    from millmark.services.commands.plan.planner import find_offered_row  # noqa: PLC0415 - other acts need no database

    # Both sides commit to one text: the acceptance has the claims root of the row that was proposed.
    if "claims" not in given.body:
        given.body["claims_root"] = find_offered_row(at.home, int(given.values["assignment"]))


def _start(at: Home, given: Given) -> Iterator[Done] | None:
    """With a reading of the register before it, if one is given."""
    assignment, body = int(given.values["assignment"]), given.body
    stream = body.get("stream")
    found: Stream | OpenedStream = at.gateway.get_stream(stream) if stream else at.stream_of(assignment)
    body["stream"] = found.subject
    work = at.gateway.get_assignment(assignment).to_json()
    given.values |= {
        "order": words.order_of(work),
        "operation": str(words.operation(work)),
        "stream": words.name_of(found.to_json()),
    }
    reading = _take_reading(given)
    if not reading:
        return None
    start = partial(record, at, "assignments start", given)
    return _one_by_one(partial(_read_at, at, given, {"moment": "start", "stream": found.subject, **reading}), start)


def _finish(at: Home, given: Given) -> Done | Iterator[Done]:
    """With the entry that shows the work: an event, or the reading of the register."""
    body, assignment = given.body, int(given.values["assignment"])
    reading = _take_reading(given)
    if sum(name in {**body, **reading} for name in ("event", "leaf_index", "register_wh")) > 1:
        raise InputError("the work is shown by one entry", hint="give one of --event, --entry and --register-wh")
    if "leaf_index" not in body:
        body.setdefault("event", register_event_id(assignment, Moment.FINISH))
    given.values["order"] = words.order_of(at.gateway.get_assignment(assignment).to_json())
    finish = partial(record, at, "assignments finish", given)
    if not reading:
        return finish()
    return _one_by_one(partial(_read_at, at, given, {"moment": "finish", **reading}), finish)


def _one_by_one(*acts: Callable[[], Done]) -> Iterator[Done]:
    """Each is done when the one before is final."""
    for act in acts:
        yield act()


def _take_reading(given: Given) -> Body:
    """Takes out of the body what is about the register. Raises InputError for what is not a reading."""
    reading: Body = {name: given.body.pop(name) for name in ("register_wh", "reset", "quantity") if name in given.body}
    if reading and "register_wh" not in reading:
        raise InputError("no reading is given", hint="give --register-wh as well")
    _parse_reset(reading)
    return reading


def _parse_reset(reading: Body) -> None:
    text = str(reading.get("reset", "0=0"))
    before, sign, after = text.partition("=")
    if not (sign and before.isdecimal() and after.isdecimal()):
        raise InputError(f"{text[:40]} is not a reset", hint="write BEFORE=AFTER in Wh, such as 1204310=0")
    if "reset" in reading:
        reading["reset"] = [int(before), int(after)]


def _read_at(at: Home, given: Given, reading: Body) -> Done:
    """Adds the reading to the machine's stream, and anchors it."""
    values = {**given.values, "moment": reading["moment"], "register_wh": str(reading["register_wh"])}
    return replace(record(at, "assignments read", Given((), given.thing, reading, values)), then=())


def _read(_: Home, given: Given) -> None:
    _parse_reset(given.body)


ASSIGNMENTS.add_acts(accept=_accept_assignment, start=_start, finish=_finish, read=_read)


@ASSIGNMENTS.list("list", "millmark assignments list --machine LATHE-2", of="assignments")
def list_assignments(
    at: Home,
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
_OVER_ORDERS = ("delivered", "cancelled", "ended")
_COLUMNS = {
    "order": words.name_of,
    "state": words.state,
    "buyer": lambda one: words.party(one["buyer"]),
    "coordinator": lambda one: words.party(one["coordinator"]),
    "done": lambda one: f"{one['finished']} of {one['operations']}",
    "quantity": lambda one: f"{one['quantity']} {one['unit']}" if one["quantity"] else "-",
    "due": lambda one: words.when(one["due_at"]).removesuffix(" 00:00"),
}


def register(app: typer.Typer) -> None:
    for group in (ORDERS, ASSIGNMENTS):
        app.add_typer(group.app, name=group.name)


def _place(at: Home, given: Given) -> None:
    """With the number of operations and the document that follow from a product."""
    terms, product, options = given.body["terms"], given.body.pop("product", None), given.body.pop("option", [])
    if product is not None:
        made = _configure(at.home, product, options, terms.get("operations"), terms.get("claims"))
        terms["operations"], terms["claims"] = made
    elif options:
        raise InputError("--option without --product", hint="name the product: `millmark products list`")
    terms.setdefault("operations", 1)
    terms["gates"] = _read_gates(at, given.body.pop("gate", []))
    _agree(terms)


def _agree(terms: Body) -> None:
    """The contract wants both or none of quantity and unit."""
    if not terms["quantity"]:
        del terms["quantity"], terms["unit"]


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


def _revise(at: Home, given: Given) -> Done | None:
    """What is left out stays as it is."""
    subject, order, body = str(given.thing), given.values["order"], given.body
    changes: Body = body.pop("terms", {})
    accept, gates, no_gates = body.pop("accept", False), body.pop("gate", []), body.pop("no_gates", False)
    if accept is bool(changes or gates or no_gates):
        raise InputError("a revision is either proposed or accepted", hint="give the terms that change, or --accept")
    if accept:
        proposal = at.latest_proposal(subject, "RevisionProposed", f"no revision of {order} is proposed")
        return Done(at.gateway.accept_revision(subject, proposal), f"the revision of order {order} is accepted")
    now = at.gateway.get_order(subject)
    terms = {
        "operations": now.operations,
        "coordinator": now.coordinator.participant,
        "gates": [] if no_gates else _read_gates(at, gates) or _gates(now),
        "due_at": now.due_at,
        **({} if "claims" in changes else {"claims_root": now.claims_root}),
        "quantity": now.quantity,
        "unit": now.unit or "H87",
        **changes,
    }
    _agree(terms)
    body["terms"] = terms
    return None


def _end(at: Home, given: Given) -> Done | None:
    subject, order, body = str(given.thing), given.values["order"], given.body
    if len(body) != 1:
        raise InputError(
            "the end of an order is either proposed or agreed to", hint="give --reason, --accept or --alone"
        )
    if "reason" in body:
        return None
    proposal = 0 if "alone" in body else at.latest_proposal(subject, "EndProposed", f"no end of {order} is proposed")
    return Done(at.gateway.end_order(subject, proposal), f"order {order} is ended")


ORDERS.add_acts(place=_place, revise=_revise, end=_end)


@ORDERS.list("list", "millmark orders list --state in-production", of="orders")
def list_orders(
    at: Home, state_: words.InState = None, buyer: words.OfCompany = None, coordinator: words.OfCompany = None
) -> Listing:
    """List orders that are not over."""
    found = at.gateway.iterate_orders(
        state=words.state_word(state_), buyer=at.maybe_participant(buyer), coordinator=at.maybe_participant(coordinator)
    )
    return Listing("orders", found, _COLUMNS, lambda one: state_ is not None or one["state"] not in _OVER_ORDERS)


@ORDERS.list("show", "millmark orders show order-7", of="assignments", whole=True)
def show(at: Home, order: words.OrderName) -> Listing:
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


def _read_gates(at: Home, texts: Sequence[str]) -> list[dict[str, int]]:
    """The gates, as the contract wants them: by ascending inspector."""
    return sorted((_gate(at, text) for text in texts), key=lambda gate: gate["inspector"])


def _gate(at: Home, text: str) -> dict[str, int]:
    name, sign, model = text.rpartition(":")
    if not sign:
        return {"inspector": at.participant(text)}
    if not model.isdecimal():
        raise InputError(f"--gate {text[:80]}: {model[:20]!r} is not a model's number", hint="write INSPECTOR:MODEL")
    return {"inspector": at.participant(name), "model": int(model)}


def _gates(order: Order) -> list[dict[str, int]]:
    return [{"inspector": one.inspector.participant, "model": one.model or 0} for one in order.gates]
