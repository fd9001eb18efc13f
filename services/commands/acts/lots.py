"""`millmark lots`: material and parts, from their origin to their end."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from millmark.ledger.errors import InputError
from millmark.ledger.footprint import Step, Taken
from millmark.services.commands.acts.act import Done, Group, Listing
from millmark.services.commands.acts.footprints import (
    Accounting,
    Factors,
    Further,
    Location,
    Market,
    new_lot,
    read_accounting,
    with_footprint,
)
from millmark.services.commands.acts.options import (
    Claims,
    InState,
    LotName,
    LotNames,
    NewName,
    OfCompany,
    OfOrder,
    Operation,
    Quantity,
    Reason,
    Unit,
)
from millmark.services.commands.acts.words import (
    name_of,
    party,
    quantities,
    quantity_of,
    read_claims,
    reason_of,
    short,
    state,
    state_word,
    when,
)

if TYPE_CHECKING:
    from millmark.services.client.shapes import InputBody, Lot, OutputBody
    from millmark.services.commands.acts.names import At

LOTS = Group("lots", "Bring lots into the ledger, make, pack, quarantine and scrap them.")
COLUMNS = {
    "lot": name_of,
    "quantity": quantity_of,
    "state": state,
    "holder": lambda one: party(one["holder"]),
    "since": lambda one: when(one["created_at"]),
}
Of = Annotated[str, typer.Option("--order", help="The order: identifier, its last part, or subject.")]


class Kind(enum.Enum):
    """What a transformation does."""

    SPLIT = "split"
    MERGE = "merge"
    CONVERSION = "conversion"
    REWORK = "rework"


class Disposition(enum.Enum):
    """What became of a quantity that is taken out for good."""

    SCRAPPED = "scrapped"
    EXPORTED = "exported"
    SOLD = "sold"
    LOST = "lost"
    RECYCLED = "recycled"


def register(app: typer.Typer) -> None:
    app.add_typer(LOTS.app, name=LOTS.name)


@LOTS.act("receive", "millmark lots receive urn:example:bar-12 --quantity 40 --unit KGM")
def receive(
    at: At,
    identifier: NewName,
    quantity: Quantity = 1,
    unit: Unit = "H87",
    claims: Claims = None,
    factors: Factors = None,
    emission: Further = None,
) -> Done:
    """Receive a lot from outside the ledger."""
    accounting = read_accounting(factors, None, None, emission)
    step = Step(made=((new_lot(identifier), quantity),))
    stated = with_footprint(at, read_claims(claims), accounting, step, new_lot(identifier), None)
    done = at.gateway.receive_lot(identifier=identifier, quantity=quantity, unit=unit, claims=stated)
    return Done(done, "lot {subject} is received")


@LOTS.act(
    "commission",
    "millmark lots commission https://id.gs1.org/01/09506000013459/21/A0006R --order order-7 --operation 1",
)
def commission(
    at: At,
    identifier: NewName,
    order: Of,
    operation: Operation,
    quantity: Quantity = 1,
    unit: Unit = "H87",
    claims: Claims = None,
    factors: Factors = None,
    location: Location = None,
    market: Market = None,
    emission: Further = None,
) -> Done:
    """Create a lot under an assignment that is started, as the company that works on it."""
    ordered = at.order(order)
    accounting = read_accounting(factors, location, market, emission)
    assignment = None if accounting is None else _started(at, ordered, operation)
    step = Step(made=((new_lot(identifier), quantity),))
    stated = with_footprint(at, read_claims(claims), accounting, step, new_lot(identifier), assignment)
    done = at.gateway.commission_lot(
        identifier=identifier,
        order=ordered,
        operation=operation - 1,
        quantity=quantity,
        unit=unit,
        claims=stated,
    )
    then = f"once the operation is finished: millmark custody offer {short(identifier)} --to COMPANY"
    return Done(done, "lot {subject} is commissioned", then)


@LOTS.act(
    "transform", "millmark lots transform split --input bar-12=40 --output urn:example:a=20 --output urn:example:b=20"
)
def transform(
    at: At,
    kind: Annotated[Kind, typer.Argument(help="What is done.")],
    from_: Annotated[list[str], typer.Option("--input", metavar="LOT=QUANTITY", help="What is used up.")],
    into: Annotated[list[str], typer.Option("--output", metavar="IDENTIFIER=QUANTITY", help="A lot that is made.")],
    component: Annotated[
        list[str] | None, typer.Option(metavar="LOT=QUANTITY", help="What is built in, and does not count as material.")
    ] = None,
    operation: Annotated[int, typer.Option(min=1, help="The operation of the lots' order, from 1.")] = 1,
    unit: Annotated[str | None, typer.Option(help="Unit of the inputs; by default that of the first one.")] = None,
    output_unit: Annotated[str | None, typer.Option(help="Unit of the outputs; by default that of the inputs.")] = None,
    loss: Annotated[int, typer.Option(min=0, help="What is lost, in the outputs' unit.")] = 0,
    yielding: Annotated[str, typer.Option("--yield", metavar="OUT/IN", help="Outputs' units for the inputs'.")] = "1/1",
    claims: Claims = None,
    factors: Factors = None,
    location: Location = None,
    market: Market = None,
    emission: Further = None,
) -> Done:
    """Split, merge, convert or rework lots into new ones. Quantities must balance."""
    inputs = [*_inputs(at, from_, "--input", False), *_inputs(at, component or [], "--component", True)]
    first = at.gateway.get_lot(inputs[0]["lot"])
    used = unit or first["unit"]
    made = output_unit or used
    outputs = [
        cast("OutputBody", {"identifier": name, "quantity": quantity, "unit": made})
        for name, quantity in quantities(into, "--output")
    ]
    accounting = read_accounting(factors, location, market, emission)
    if accounting is not None:
        work = first["order"] if kind in (Kind.CONVERSION, Kind.REWORK) else None
        _account(at, accounting, _step(inputs, outputs, loss), outputs, work, operation)
    yield_out, yield_in = _ratio(yielding)
    done = at.gateway.transform_lots(
        kind=kind.value,
        order=first["order"],  # without it, the lots would leave their order
        operation=operation - 1,
        unit=used,
        output_unit=made,
        loss=loss,
        yield_in=yield_in,
        yield_out=yield_out,
        inputs=inputs,
        outputs=outputs,
        claims=read_claims(claims),
    )
    return Done(done, "made {subject}")


@LOTS.act("rework", "millmark lots rework A0006R --operation 2 --component seal-3")
def rework(
    at: At,
    lot: LotName,
    operation: Operation,
    component: Annotated[
        list[str] | None, typer.Option(metavar="LOT=QUANTITY", help="What is built in; without a quantity, 1.")
    ] = None,
    claims: Claims = None,
    factors: Factors = None,
    location: Location = None,
    market: Market = None,
    emission: Further = None,
) -> Done:
    """Record the rework of a lot that keeps its identifier. Its certificates no longer decide."""
    parts, subject = _inputs(at, component or [], "--component", True), at.lot(lot)
    accounting, assignment = read_accounting(factors, location, market, emission), None
    if accounting is not None and (order := at.gateway.get_lot(subject)["order"]) is not None:
        assignment = _started(at, order, operation)
    step = _reworking(subject, parts)
    stated = with_footprint(at, read_claims(claims), accounting, step, step.taken[0].lot, assignment, reworked=True)
    done = at.gateway.rework_lot(subject, operation=operation - 1, components=parts, claims=stated)
    return Done(done, f"lot {lot} is reworked")


@LOTS.act("scrap", "millmark lots scrap A0006R --reason 'a crack at the edge'")
def scrap(
    at: At,
    lot: LotName,
    reason: Reason,
    quantity: Annotated[int | None, typer.Option(min=1, help="How much; by default all that is left.")] = None,
    became: Annotated[Disposition, typer.Option("--as", help="What becomes of it.")] = Disposition.SCRAPPED,
) -> Done:
    """Take some of a lot out for good: scrapped, exported, sold, lost or recycled."""
    found = at.lot(lot)
    amount = quantity or at.gateway.get_lot(found)["quantity"]
    done = at.gateway.scrap_lot(found, quantity=amount, disposition=became.value, reason=reason_of(reason))
    return Done(done, f"{amount} of lot {lot} is taken out: {became.value}")


@LOTS.act("allocate", "millmark lots allocate bar-12 --order order-7 --operation 1")
def allocate(at: At, lot: LotName, order: Of, operation: Operation, claims: Claims = None) -> Done:
    """Allocate a lot of no order to an order."""
    done = at.gateway.allocate_lot(
        at.order(order), lot=at.lot(lot), operation=operation - 1, claims=read_claims(claims)
    )
    return Done(done, f"lot {lot} is allocated to order {order}")


@LOTS.act("deallocate", "millmark lots deallocate bar-12")
def deallocate(at: At, lot: LotName, claims: Claims = None) -> Done:
    """Take a lot out of its order, into stock."""
    return Done(at.gateway.deallocate_lot(at.lot(lot), claims=read_claims(claims)), f"lot {lot} is in stock")


@LOTS.act("return", "millmark lots return A0006R")
def return_(at: At, lot: LotName, claims: Claims = None) -> Done:
    """Offer a quarantined lot to its maker."""
    return Done(at.gateway.return_lot(at.lot(lot), claims=read_claims(claims)), f"lot {lot} is offered to its maker")


@LOTS.act("pack", "millmark lots pack pallet-1 A0006R A0007R")
def pack(
    at: At,
    parent: Annotated[str, typer.Argument(metavar="CARRIER", help="The lot that they are packed into.")],
    lots: LotNames,
) -> Done:
    """Pack lots into another one, with which they then travel."""
    done = at.gateway.pack_lots(at.lot(parent), lots=sorted(at.lots(lots)))
    return Done(done, f"{len(lots)} packed into {parent}", f"millmark custody offer {parent} --to COMPANY")


@LOTS.act("unpack", "millmark lots unpack pallet-1 A0006R")
def unpack(
    at: At, parent: Annotated[str, typer.Argument(metavar="CARRIER", help="The lot that they are in.")], lots: LotNames
) -> Done:
    """Unpack lots from the one that they are in."""
    return Done(
        at.gateway.unpack_lots(at.lot(parent), lots=sorted(at.lots(lots))), f"{len(lots)} unpacked from {parent}"
    )


@LOTS.act("quarantine", "millmark lots quarantine A0006R A0007R --reason 'the gauge was not calibrated'")
def quarantine(at: At, lots: LotNames, reason: Reason) -> Iterator[Done]:
    """Quarantine lots: none of them can be handed on until it is released."""
    for lot, subject in zip(lots, at.lots(lots), strict=True):
        yield Done(at.gateway.quarantine_lot(subject, reason=reason_of(reason)), f"lot {lot} is quarantined")


@LOTS.act("release", "millmark lots release A0006R --reason 'measured again'")
def release(at: At, lots: LotNames, reason: Reason) -> Iterator[Done]:
    """Release lots from quarantine."""
    for lot, subject in zip(lots, at.lots(lots), strict=True):
        yield Done(at.gateway.release_lot(subject, reason=reason_of(reason)), f"lot {lot} is released")


@LOTS.list("list", "millmark lots list --order order-7", of="lots")
def list_lots(
    at: At,
    order: OfOrder = None,
    holder: OfCompany = None,
    state_: InState = None,
    named: Annotated[str | None, typer.Option(help="Only those of this identifier, or of this last part.")] = None,
) -> Listing:
    """List lots that are not used up."""
    found = at.gateway.iterate_lots(
        order=at.order(order) if order else None,
        custodian=at.maybe_participant(holder),
        state=state_word(state_),
        identifier=named,
    )
    return Listing("lots", found, COLUMNS, lambda one: state_ is not None or one["state"] != "spent")


@LOTS.list("show", "millmark lots show A0006R", of="certificates", whole=True)
def show(at: At, lot: LotName) -> Listing:
    """Show a lot, and its certificates. `millmark trace` shows where it comes from."""
    from millmark.services.commands.acts.certificates import COLUMNS as CERTIFIED  # noqa: PLC0415 - they import this module

    found = at.gateway.get_lot(at.lot(lot))
    return Listing(
        f"lot {found['identifier'] or found['subject']}: {state(found)}",
        at.gateway.iterate_certificates(lot=found["subject"]),
        CERTIFIED,
        more=list(_describe(found)),
    )


def _describe(lot: Lot) -> Iterator[str]:
    created = quantity_of({**lot, "quantity": lot["quantity_created"]})
    yield f"{lot['quantity']} of {created} left, held by {party(lot['holder'])}"
    if lot["offer"] is not None:
        yield f"offered to {party(lot['counterparty'])} by record {lot['offer']}"
    if lot["parent"] is not None:
        yield f"packed in {lot['parent']}"
    yield f"subject {lot['subject']}"


def _inputs(at: At, pairs: list[str], option: str, component: bool) -> list[InputBody]:
    return [
        cast("InputBody", {"lot": at.lot(name), "quantity": quantity, "component": component})
        for name, quantity in quantities(pairs, option)
    ]


def _account(
    at: At, accounting: Accounting, step: Step, outputs: Sequence[OutputBody], work: str | None, operation: int
) -> None:
    """Adds its footprint to the claims of each output. `work`: the order whose operation was worked on; None if nothing
    was, as in a split."""
    assignment = None if work is None else _started(at, work, operation)
    for one in outputs:
        one["claims"] = with_footprint(at, None, accounting, step, new_lot(one["identifier"]), assignment)


def _started(at: At, order: str, operation: int) -> int:
    """The started assignment of an operation, counted from 1. Raises InputError if there is none."""
    for one in at.gateway.iterate_assignments(order=order, state="started"):
        if one["operation"] == operation - 1 and one["current"]:
            return one["assignment"]
    raise InputError(
        f"operation {operation} of the order is not started", hint="start it: `millmark assignments start`"
    )


def _step(inputs: Sequence[InputBody], outputs: Sequence[OutputBody], loss: int) -> Step:
    """What a transformation takes and makes; all of its outputs are in the output unit here."""
    return Step(
        taken=_taken(inputs), made=tuple((new_lot(one["identifier"]), one["quantity"]) for one in outputs), loss=loss
    )


def _reworking(lot: str, components: Sequence[InputBody]) -> Step:
    return Step(taken=(Taken(bytes.fromhex(lot[2:]), 1), *_taken(components)))


def _taken(inputs: Sequence[InputBody]) -> tuple[Taken, ...]:
    return tuple(Taken(bytes.fromhex(one["lot"][2:]), one["quantity"], bool(one["component"])) for one in inputs)


def _ratio(text: str) -> tuple[int, int]:
    numbers: list[Any] = text.split("/")
    if len(numbers) != 2 or not all(one.isascii() and one.isdecimal() for one in numbers):
        raise InputError(f"--yield {text[:40]} is not a ratio of whole numbers", hint="write OUT/IN, such as 3/2")
    return int(numbers[0]), int(numbers[1])
