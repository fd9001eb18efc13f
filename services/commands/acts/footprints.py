"""What a lot's claims state of its energy and emissions: made of register readings, of what went in, and of factors."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from millmark.ledger.canonical import Json
from millmark.ledger.errors import InputError, NotFoundError
from millmark.ledger.footprint import (
    ALL,
    PATH,
    Amounts,
    FactorKind,
    FactorTable,
    Other,
    Own,
    Part,
    Step,
    Taken,
    build_footprint,
    parse_factors,
)
from millmark.services.client.errors import ProblemError
from millmark.services.files import read_bounded

if TYPE_CHECKING:
    from millmark.services.commands.acts.names import At

_MAX_BYTES = 1 << 20
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

    table: FactorTable
    location: str | None
    market: str | None
    others: tuple[Other, ...]
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
    table = parse_factors(read_bounded(factors, _MAX_BYTES))
    parsed = [_other(table, text) for text in further or ()]
    others = tuple(one for one, _ in parsed)
    return Accounting(table, location, market, others, frozenset(lot for _, lot in parsed if lot))


def _other(table: FactorTable, text: str) -> tuple[Other, str]:
    shown, _, lot = text.partition("@")
    key, sign, amount = shown.partition("=")
    recycled = key.startswith("recycled:")
    key = key.removeprefix("recycled:")
    if not (sign and amount.isdecimal()):
        raise InputError(f"--emission {text[:80]} has no amount", hint="write FACTOR=AMOUNT, a whole number")
    table.get(key)
    return Other(key, key, int(amount), recycled), lot


def with_footprint(
    at: At,
    claims: dict[str, Json] | None,
    accounting: Accounting | None,
    step: Step,
    lot: bytes,
    assignment: int | None,
    *,
    reworked: bool = False,
) -> dict[str, Json] | None:
    """The claims with `passport.footprint`. `step` names lots by their subjects, and new ones by `new_lot`; with
    `reworked`, `lot` is one of what it takes and goes on under its name.

    Raises InputError if the claims have one, FootprintError for an input without a footprint, FactorError.
    """
    if accounting is None:
        return claims
    own = [] if assignment is None else [_own(at, accounting, assignment, step.good)]
    whole = {lot: (_source(at, Taken(lot, 0))[0], ALL)} if reworked else {}
    estimated = {bytes.fromhex(at.lot(one)[2:]) for one in accounting.in_place_of}
    sources = {one.lot: _source(at, one) for one in step.taken if one.lot not in {*estimated, *whole}}
    found = build_footprint(
        step,
        lot,
        sources={**sources, **whole},
        own=own,
        other=accounting.others,
        table=accounting.table,
        time_s=int(time.time()),
        estimated=estimated,
        part=ALL if reworked else None,
    )
    passport = dict(claims or {}).get(PATH[0], {})
    if not isinstance(passport, Mapping) or PATH[1] in passport:
        raise InputError("the claims have a footprint, or a passport without members", hint="leave out --factors")
    return {**(claims or {}), PATH[0]: {**passport, PATH[1]: found.to_json()}}


def _own(at: At, accounting: Accounting, assignment: int, good: int) -> Own:
    energy = at.gateway.get_assignment_energy(assignment)
    keys = (
        _key(accounting.table, FactorKind.LOCATION, accounting.location),
        _key(accounting.table, FactorKind.MARKET, accounting.market),
    )
    own = Own(energy["wh"], *keys, assignment)
    if energy["quantity"] is None:
        return own
    # What was made before under the assignment has the first part of its energy.
    before = sum(one["quantity_created"] for one in at.gateway.iterate_lots() if one["assignment"] == assignment)
    return replace(own, part=Part(before, before + good, energy["quantity"]))


def _key(table: FactorTable, kind: FactorKind, named: str | None) -> str:
    if named is not None:
        return named
    found = [one.key for one in table.factors if one.kind is kind]
    if len(found) != 1:
        raise InputError(
            f"the table has {len(found)} factors of kind {kind.value}", hint=f"name one with --{kind.value}"
        )
    return found[0]


def _source(at: At, taken: Taken) -> tuple[Amounts, Part]:
    try:
        found: Mapping[str, Any] = at.gateway.get_footprint(f"0x{taken.lot.hex()}")
    except ProblemError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        raise NotFoundError(
            error.cause, hint="state a secondary factor in its place: --emission FACTOR=AMOUNT@LOT"
        ) from None
    amounts = Amounts(found["wh"], found["location_mg"], found["market_mg"], found["metered_mg"])
    whole = found["quantity"] - found["scrapped"]
    return amounts, Part(found["taken"], found["taken"] + taken.quantity, whole)


def new_lot(identifier: str) -> bytes:
    """Stands for a lot that has no subject yet."""
    return hashlib.sha256(identifier.encode()).digest()
