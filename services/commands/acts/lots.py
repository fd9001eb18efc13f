"""`millmark lots`: material and parts, from their origin to their end."""

from __future__ import annotations

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
from millmark.services.commands.acts.act import Given, Group, Home, Listing
from millmark.services.commands.acts.custody import CERTIFICATE_COLUMNS
from millmark.services.files import read_bounded

# A lot's claims state its energy and emissions: made of register readings, of what went in, and of factors.
_MAX_TABLE_BYTES = 1 << 20
Claims: TypeAlias = "dict[str, Json] | None"


@dataclass(frozen=True, slots=True)
class Accounting:
    """How energy and material of a step are counted."""

    table: footprint.FactorTable
    location: str | None
    market: str | None
    others: tuple[footprint.Other, ...]
    in_place_of: frozenset[str]
    """Lots, as the user names them, for which one of `others` stands."""


def _take_accounting(given: Given) -> Accounting | None:
    """Takes out of the body what is about it; None without a factor table. Raises InputError for options that need one,
    FactorError."""
    factors, location, market, further = (
        given.body.pop(name, None) for name in ("factors", "location", "market", "emission")
    )
    if factors is None:
        if location or market or further:
            raise InputError("emissions need a factor table", hint="give --factors as well")
        return None
    table = footprint.parse_factors(read_bounded(Path(factors), _MAX_TABLE_BYTES))
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
    at: Home,
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


def _own(at: Home, accounting: Accounting, assignment: int, good: int) -> footprint.Own:
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


def _source(at: Home, taken: footprint.Taken) -> tuple[footprint.Amounts, footprint.Part]:
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


def register(app: typer.Typer) -> None:
    app.add_typer(LOTS.app, name=LOTS.name)


def _receive(at: Home, given: Given) -> None:
    _account(at, given, _take_accounting(given), None)


def _commission(at: Home, given: Given) -> None:
    body, accounting = given.body, _take_accounting(given)
    assignment = None if accounting is None else _started(at, body["order"], body["operation"])
    _account(at, given, accounting, assignment)


def _account(at: Home, given: Given, accounting: Accounting | None, assignment: int | None) -> None:
    """Adds its footprint to the claims of one new lot."""
    body, lot = given.body, new_lot(given.body["identifier"])
    step = footprint.Step(made=((lot, body["quantity"]),))
    body["claims"] = with_footprints(at, {lot: body.get("claims")}, accounting, step, assignment)[lot]


def _transform(at: Home, given: Given) -> None:
    """By default in the unit of the first input, and within its order."""
    body = given.body
    parts = body.pop("components", [])
    inputs = [*_inputs(at, body["inputs"], "--input", False), *_inputs(at, parts, "--component", True)]
    first = at.gateway.get_lot(inputs[0]["lot"])
    used = body.setdefault("unit", first.unit)
    made = body.setdefault("output_unit", used)
    outputs: list[dict[str, Any]] = [
        {"identifier": name, "quantity": quantity, "unit": made}
        for name, quantity in words.quantities(body["outputs"], "--output")
    ]
    accounting = _take_accounting(given)
    if accounting is not None:
        work = first.order if body["kind"] == "conversion" else None
        assignment = None if work is None else _started(at, work, body["operation"])
        step = _step(inputs, outputs, body["loss"])
        lots = [new_lot(one["identifier"]) for one in outputs]
        stated = with_footprints(at, dict.fromkeys(lots), accounting, step, assignment)
        for lot, one in zip(lots, outputs, strict=True):
            one["claims"] = stated[lot]
    yield_out, yield_in = _ratio(body.pop("yields"))
    # Without their order, the lots would leave it.
    body |= {"order": first.order, "inputs": inputs, "outputs": outputs}
    body |= {"yield_in": yield_in, "yield_out": yield_out}


def _rework(at: Home, given: Given) -> None:
    body, subject = given.body, str(given.thing)
    parts = body["components"] = _inputs(at, body.get("components", []), "--component", True)
    accounting, assignment = _take_accounting(given), None
    if accounting is not None and (order := at.gateway.get_lot(subject).order) is not None:
        assignment = _started(at, order, body["operation"])
    lot = bytes.fromhex(subject[2:])
    step = footprint.Step(taken=(footprint.Taken(lot, 1), *_taken(parts)))
    stated = with_footprints(at, {lot: body.get("claims")}, accounting, step, assignment, reworked=True)
    body["claims"] = stated[lot]


def _scrap(at: Home, given: Given) -> None:
    """By default all that is left."""
    amount = given.body.setdefault("quantity", at.gateway.get_lot(str(given.thing)).quantity)
    given.values["quantity"] = str(amount)


def _allocate(_: Home, given: Given) -> None:
    given.thing = given.body.pop("order")


LOTS.add_acts(
    receive=_receive,
    commission=_commission,
    transform=_transform,
    rework=_rework,
    scrap=_scrap,
    allocate=_allocate,
)


@LOTS.list("list", "millmark lots list --order order-7", of="lots")
def list_lots(
    at: Home,
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
def show(at: Home, lot: words.LotName) -> Listing:
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


def _inputs(at: Home, pairs: list[str], option: str, component: bool) -> list[dict[str, Any]]:
    return [
        {"lot": at.lot(name), "quantity": quantity, "component": component}
        for name, quantity in words.quantities(pairs, option)
    ]


def _started(at: Home, order: str | bytes, operation: int) -> int:
    """The started assignment of an operation, counted from 0. Raises InputError if there is none."""
    for one in at.gateway.iterate_assignments(order=order, state="started"):
        if one.operation == operation and one.current:
            return one.assignment
    raise InputError(
        f"operation {operation + 1} of the order is not started", hint="start it: `millmark assignments start`"
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
