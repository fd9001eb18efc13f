"""`millmark lots`: material and parts, from their origin to their end."""

from __future__ import annotations

import enum
import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from millmark.ledger import footprint
from millmark.ledger.canonical import Json, to_hex
from millmark.ledger.errors import InputError, NotFoundError
from millmark.ledger.provenance.answers import Lot
from millmark.ledger.provenance.footprints import AssignmentEnergy, LotFootprint
from millmark.services.client.errors import ProblemError
from millmark.services.commands.acts import words
from millmark.services.commands.acts.act import At, Done, Group, Listing
from millmark.services.commands.acts.custody import CERTIFICATE_COLUMNS
from millmark.services.files import read_bounded

# A lot's claims state its energy and emissions: made of register readings, of what went in, and of factors.
_MAX_TABLE_BYTES = 1 << 20
Claims: TypeAlias = "dict[str, Json] | None"
Factors = Annotated[
    Path | None,
    typer.Option(help="State the footprint, by this factor table (ledger/footprint/FOOTPRINT.md).", dir_okay=False),
]
Location = Annotated[
    str | None, typer.Option(help="With --factors: key of the grid's factor, if the table has several.")
]
Market = Annotated[
    str | None, typer.Option(help="With --factors: key of the supplier's factor, if the table has several.")
]
Further = Annotated[
    list[str] | None,
    typer.Option(
        "--emission",
        metavar="FACTOR=AMOUNT",
        help="With --factors: material from outside (in g or pieces; recycled:FACTOR=AMOUNT if it was used before) or "
        "transport (in kg km). In place of an input without a footprint: FACTOR=AMOUNT@LOT.",
    ),
]


@dataclass(frozen=True, slots=True)
class Accounting:
    """How energy and material of a step are counted."""

    table: footprint.FactorTable
    location: str | None
    market: str | None
    others: tuple[footprint.Other, ...]
    in_place_of: frozenset[str]
    """Lots, as the user names them, for which one of `others` stands."""


def read_accounting(
    factors: Path | None, location: str | None, market: str | None, further: Sequence[str] | None
) -> Accounting | None:
    """None without a factor table. Raises InputError for options that need one, FactorError."""
    if factors is None:
        if location or market or further:
            raise InputError("emissions need a factor table", hint="give --factors as well")
        return None
    table = footprint.parse_factors(read_bounded(factors, _MAX_TABLE_BYTES))
    parsed = [_other(table, text) for text in further or ()]
    others = tuple(one for one, _ in parsed)
    return Accounting(table, location, market, others, frozenset(lot for _, lot in parsed if lot))


def _other(table: footprint.FactorTable, text: str) -> tuple[footprint.Other, str]:
    shown, _, lot = text.partition("@")
    key, sign, amount = shown.partition("=")
    recycled = key.startswith("recycled:")
    key = key.removeprefix("recycled:")
    if not (sign and amount.isdecimal()):
        raise InputError(f"--emission {text[:80]} has no amount", hint="write FACTOR=AMOUNT, a whole number")
    table.get(key)
    return footprint.Other(key, key, int(amount), recycled), lot


def with_footprints(
    at: At,
    claims: Mapping[bytes, Claims],
    accounting: Accounting | None,
    step: footprint.Step,
    assignment: int | None,
    *,
    reworked: bool = False,
) -> Mapping[bytes, Claims]:
    """The claims of each lot that a step made, with `passport.footprint`. `step` names lots by their subjects, and new
    ones by `new_lot`; with `reworked`, the only lot is one of what it takes and goes on under its name. Raises
    InputError if the claims have one, FootprintError for an input without a footprint, FactorError."""
    if accounting is None:
        return claims
    # Each question once, however many lots were made.
    own = [] if assignment is None else [_own(at, accounting, assignment, step.good)]
    whole = {lot: (_source(at, footprint.Taken(lot, 0))[0], footprint.ALL) for lot in claims} if reworked else {}
    estimated = {bytes.fromhex(at.lot(one)[2:]) for one in accounting.in_place_of}
    sources = {one.lot: _source(at, one) for one in step.taken if one.lot not in {*estimated, *whole}}
    build = partial(
        footprint.build_footprint,
        step,
        sources={**sources, **whole},
        own=own,
        other=accounting.others,
        table=accounting.table,
        time_s=int(time.time()),
        estimated=estimated,
        part=footprint.ALL if reworked else None,
    )
    return {lot: _with(stated, build(lot)) for lot, stated in claims.items()}


def _with(claims: Claims, found: footprint.Footprint) -> Claims:
    passport = dict(claims or {}).get(footprint.PATH[0], {})
    if not isinstance(passport, Mapping) or footprint.PATH[1] in passport:
        raise InputError("the claims have a footprint, or a passport without members", hint="leave out --factors")
    return {**(claims or {}), footprint.PATH[0]: {**passport, footprint.PATH[1]: found.to_json()}}


def _own(at: At, accounting: Accounting, assignment: int, good: int) -> footprint.Own:
    energy = at.gateway.get(AssignmentEnergy, "/v1/assignments/{}/registers", assignment)
    keys = (
        _key(accounting.table, footprint.FactorKind.LOCATION, accounting.location),
        _key(accounting.table, footprint.FactorKind.MARKET, accounting.market),
    )
    own = footprint.Own(energy.wh, *keys, assignment)
    if energy.quantity is None:
        return own
    # What was made before under the assignment has the first part of its energy.
    return replace(own, part=footprint.Part(energy.made, energy.made + good, energy.quantity))


def _key(table: footprint.FactorTable, kind: footprint.FactorKind, named: str | None) -> str:
    if named is not None:
        return named
    found = [one.key for one in table.factors if one.kind is kind]
    if len(found) != 1:
        raise InputError(
            f"the table has {len(found)} factors of kind {kind.value}", hint=f"name one with --{kind.value}"
        )
    return found[0]


def _source(at: At, taken: footprint.Taken) -> tuple[footprint.Amounts, footprint.Part]:
    try:
        found = at.gateway.get(LotFootprint, "/v1/lots/{}/footprint", taken.lot)
    except ProblemError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        raise NotFoundError(
            error.cause, hint="state a secondary factor in its place: --emission FACTOR=AMOUNT@LOT"
        ) from None
    amounts = footprint.Amounts(found.wh, found.location_mg, found.market_mg, found.metered_mg)
    whole = found.quantity - found.scrapped
    return amounts, footprint.Part(found.taken, found.taken + taken.quantity, whole)


def new_lot(identifier: str) -> bytes:
    """Stands for a lot that has no subject yet."""
    return hashlib.sha256(identifier.encode()).digest()


LOTS = Group("lots", "Bring lots into the ledger, make, pack, quarantine and scrap them.")
_COLUMNS = {
    "lot": words.name_of,
    "quantity": words.quantity_of,
    "state": words.state,
    "holder": lambda one: words.party(one["holder"]),
    "since": lambda one: words.when(one["created_at"]),
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
    identifier: words.NewName,
    quantity: words.Quantity = 1,
    unit: words.Unit = "H87",
    claims: words.Claims = None,
    factors: Factors = None,
    emission: Further = None,
) -> Done:
    """Receive a lot from outside the ledger."""
    accounting = read_accounting(factors, None, None, emission)
    lot = new_lot(identifier)
    step = footprint.Step(made=((lot, quantity),))
    stated = with_footprints(at, {lot: words.read_claims(claims)}, accounting, step, None)[lot]
    done = at.gateway.receive_lot(identifier=identifier, quantity=quantity, unit=unit, claims=stated)
    return Done(done, "lot {subject} is received")


@LOTS.act(
    "commission",
    "millmark lots commission https://id.gs1.org/01/09506000013459/21/A0006R --order order-7 --operation 1",
)
def commission(
    at: At,
    identifier: words.NewName,
    order: Of,
    operation: words.Operation,
    quantity: words.Quantity = 1,
    unit: words.Unit = "H87",
    claims: words.Claims = None,
    factors: Factors = None,
    location: Location = None,
    market: Market = None,
    emission: Further = None,
) -> Done:
    """Create a lot under an assignment that is started, as the company that works on it."""
    ordered = at.order(order)
    accounting = read_accounting(factors, location, market, emission)
    assignment = None if accounting is None else _started(at, ordered, operation)
    lot = new_lot(identifier)
    step = footprint.Step(made=((lot, quantity),))
    stated = with_footprints(at, {lot: words.read_claims(claims)}, accounting, step, assignment)[lot]
    done = at.gateway.commission_lot(
        identifier=identifier,
        order=ordered,
        operation=operation - 1,
        quantity=quantity,
        unit=unit,
        claims=stated,
    )
    then = f"once the operation is finished: millmark custody offer {words.short(identifier)} --to COMPANY"
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
    claims: words.Claims = None,
    factors: Factors = None,
    location: Location = None,
    market: Market = None,
    emission: Further = None,
) -> Done:
    """Split, merge, convert or rework lots into new ones. Quantities must balance."""
    inputs = [*_inputs(at, from_, "--input", False), *_inputs(at, component or [], "--component", True)]
    first = at.gateway.get_lot(inputs[0]["lot"])
    used = unit or first.unit
    made = output_unit or used
    outputs: list[dict[str, Any]] = [
        {"identifier": name, "quantity": quantity, "unit": made}
        for name, quantity in words.quantities(into, "--output")
    ]
    accounting = read_accounting(factors, location, market, emission)
    if accounting is not None:
        work = first.order if kind in (Kind.CONVERSION, Kind.REWORK) else None
        _account(at, accounting, _step(inputs, outputs, loss), outputs, work, operation)
    yield_out, yield_in = _ratio(yielding)
    done = at.gateway.transform_lots(
        kind=kind.value,
        order=first.order,  # without it, the lots would leave their order
        operation=operation - 1,
        unit=used,
        output_unit=made,
        loss=loss,
        yield_in=yield_in,
        yield_out=yield_out,
        inputs=inputs,
        outputs=outputs,
        claims=words.read_claims(claims),
    )
    return Done(done, "made {subject}")


@LOTS.act("rework", "millmark lots rework A0006R --operation 2 --component seal-3")
def rework(
    at: At,
    lot: words.LotName,
    operation: words.Operation,
    component: Annotated[
        list[str] | None, typer.Option(metavar="LOT=QUANTITY", help="What is built in; without a quantity, 1.")
    ] = None,
    claims: words.Claims = None,
    factors: Factors = None,
    location: Location = None,
    market: Market = None,
    emission: Further = None,
) -> Done:
    """Record the rework of a lot that keeps its identifier. Its certificates no longer decide."""
    parts, subject = _inputs(at, component or [], "--component", True), at.lot(lot)
    accounting, assignment = read_accounting(factors, location, market, emission), None
    if accounting is not None and (order := at.gateway.get_lot(subject).order) is not None:
        assignment = _started(at, order, operation)
    name = bytes.fromhex(subject[2:])
    step = footprint.Step(taken=(footprint.Taken(name, 1), *_taken(parts)))
    stated = with_footprints(at, {name: words.read_claims(claims)}, accounting, step, assignment, reworked=True)[name]
    done = at.gateway.rework_lot(subject, operation=operation - 1, components=parts, claims=stated)
    return Done(done, f"lot {lot} is reworked")


@LOTS.act("scrap", "millmark lots scrap A0006R --reason 'a crack at the edge'")
def scrap(
    at: At,
    lot: words.LotName,
    reason: words.Reason,
    quantity: Annotated[int | None, typer.Option(min=1, help="How much; by default all that is left.")] = None,
    became: Annotated[Disposition, typer.Option("--as", help="What becomes of it.")] = Disposition.SCRAPPED,
) -> Done:
    """Take some of a lot out for good: scrapped, exported, sold, lost or recycled."""
    found = at.lot(lot)
    amount = quantity or at.gateway.get_lot(found).quantity
    done = at.gateway.scrap_lot(found, quantity=amount, disposition=became.value, reason=words.reason_of(reason))
    return Done(done, f"{amount} of lot {lot} is taken out: {became.value}")


@LOTS.act("allocate", "millmark lots allocate bar-12 --order order-7 --operation 1")
def allocate(at: At, lot: words.LotName, order: Of, operation: words.Operation, claims: words.Claims = None) -> Done:
    """Allocate a lot of no order to an order."""
    done = at.gateway.allocate_lot(
        at.order(order), lot=at.lot(lot), operation=operation - 1, claims=words.read_claims(claims)
    )
    return Done(done, f"lot {lot} is allocated to order {order}")


@LOTS.act("deallocate", "millmark lots deallocate bar-12")
def deallocate(at: At, lot: words.LotName, claims: words.Claims = None) -> Done:
    """Take a lot out of its order, into stock."""
    return Done(at.gateway.deallocate_lot(at.lot(lot), claims=words.read_claims(claims)), f"lot {lot} is in stock")


@LOTS.act("return", "millmark lots return A0006R")
def return_(at: At, lot: words.LotName, claims: words.Claims = None) -> Done:
    """Offer a quarantined lot to its maker."""
    return Done(
        at.gateway.return_lot(at.lot(lot), claims=words.read_claims(claims)), f"lot {lot} is offered to its maker"
    )


@LOTS.act("pack", "millmark lots pack pallet-1 A0006R A0007R")
def pack(
    at: At,
    parent: Annotated[str, typer.Argument(metavar="CARRIER", help="The lot that they are packed into.")],
    lots: words.LotNames,
) -> Done:
    """Pack lots into another one, with which they then travel."""
    done = at.gateway.pack_lots(at.lot(parent), lots=sorted(at.lots(lots)))
    return Done(done, f"{len(lots)} packed into {parent}", f"millmark custody offer {parent} --to COMPANY")


@LOTS.act("unpack", "millmark lots unpack pallet-1 A0006R")
def unpack(
    at: At,
    parent: Annotated[str, typer.Argument(metavar="CARRIER", help="The lot that they are in.")],
    lots: words.LotNames,
) -> Done:
    """Unpack lots from the one that they are in."""
    return Done(
        at.gateway.unpack_lots(at.lot(parent), lots=sorted(at.lots(lots))), f"{len(lots)} unpacked from {parent}"
    )


@LOTS.act("quarantine", "millmark lots quarantine A0006R A0007R --reason 'the gauge was not calibrated'")
def quarantine(at: At, lots: words.LotNames, reason: words.Reason) -> Iterator[Done]:
    """Quarantine lots: none of them can be handed on until it is released."""
    for lot, subject in zip(lots, at.lots(lots), strict=True):
        yield Done(at.gateway.quarantine_lot(subject, reason=words.reason_of(reason)), f"lot {lot} is quarantined")


@LOTS.act("release", "millmark lots release A0006R --reason 'measured again'")
def release(at: At, lots: words.LotNames, reason: words.Reason) -> Iterator[Done]:
    """Release lots from quarantine."""
    for lot, subject in zip(lots, at.lots(lots), strict=True):
        yield Done(at.gateway.release_lot(subject, reason=words.reason_of(reason)), f"lot {lot} is released")


@LOTS.list("list", "millmark lots list --order order-7", of="lots")
def list_lots(
    at: At,
    order: words.OfOrder = None,
    holder: words.OfCompany = None,
    state_: words.InState = None,
    named: Annotated[str | None, typer.Option(help="Only those of this identifier, or of this last part.")] = None,
) -> Listing:
    """List lots that are not used up."""
    found = at.gateway.iterate_lots(
        order=at.order(order) if order else None,
        custodian=at.maybe_participant(holder),
        state=words.state_word(state_),
        identifier=named,
    )
    return Listing("lots", found, _COLUMNS, lambda one: state_ is not None or one["state"] != "spent")


@LOTS.list("show", "millmark lots show A0006R", of="certificates", whole=True)
def show(at: At, lot: words.LotName) -> Listing:
    """Show a lot, and its certificates. `millmark trace` shows where it comes from."""
    found = at.gateway.get_lot(at.lot(lot))
    return Listing(
        f"lot {found.identifier or to_hex(found.subject)}: {words.state(found.to_json())}",
        at.gateway.iterate_certificates(lot=found.subject),
        CERTIFICATE_COLUMNS,
        more=list(_describe(found)),
    )


def _describe(lot: Lot) -> Iterator[str]:
    shown: Mapping[str, Any] = lot.to_json()
    created = words.quantity_of({**shown, "quantity": lot.quantity_created})
    yield f"{lot.quantity} of {created} left, held by {words.party(shown['holder'])}"
    if lot.offer is not None:
        yield f"offered to {words.party(shown['counterparty'])} by record {lot.offer}"
    if lot.parent is not None:
        yield f"packed in {to_hex(lot.parent)}"
    yield f"subject {to_hex(lot.subject)}"


def _inputs(at: At, pairs: list[str], option: str, component: bool) -> list[dict[str, Any]]:
    return [
        {"lot": at.lot(name), "quantity": quantity, "component": component}
        for name, quantity in words.quantities(pairs, option)
    ]


def _account(
    at: At,
    accounting: Accounting,
    step: footprint.Step,
    outputs: Sequence[dict[str, Any]],
    work: bytes | None,
    operation: int,
) -> None:
    """Adds its footprint to the claims of each output. `work`: the order whose operation was worked on; None if nothing
    was, as in a split."""
    assignment = None if work is None else _started(at, work, operation)
    lots = [new_lot(one["identifier"]) for one in outputs]
    stated = with_footprints(at, dict.fromkeys(lots), accounting, step, assignment)
    for lot, one in zip(lots, outputs, strict=True):
        one["claims"] = stated[lot]


def _started(at: At, order: str | bytes, operation: int) -> int:
    """The started assignment of an operation, counted from 1. Raises InputError if there is none."""
    for one in at.gateway.iterate_assignments(order=order, state="started"):
        if one.operation == operation - 1 and one.current:
            return one.assignment
    raise InputError(
        f"operation {operation} of the order is not started", hint="start it: `millmark assignments start`"
    )


def _step(inputs: Sequence[Mapping[str, Any]], outputs: Sequence[Mapping[str, Any]], loss: int) -> footprint.Step:
    """What a transformation takes and makes; all of its outputs are in the output unit here."""
    return footprint.Step(
        taken=_taken(inputs), made=tuple((new_lot(one["identifier"]), one["quantity"]) for one in outputs), loss=loss
    )


def _taken(inputs: Sequence[Mapping[str, Any]]) -> tuple[footprint.Taken, ...]:
    return tuple(
        footprint.Taken(bytes.fromhex(one["lot"][2:]), one["quantity"], bool(one["component"])) for one in inputs
    )


def _ratio(text: str) -> tuple[int, int]:
    numbers: list[Any] = text.split("/")
    if len(numbers) != 2 or not all(one.isascii() and one.isdecimal() for one in numbers):
        raise InputError(f"--yield {text[:40]} is not a ratio of whole numbers", hint="write OUT/IN, such as 3/2")
    return int(numbers[0]), int(numbers[1])
