"""`millmark footprint`: energy and emissions of a lot, and their exports."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from millmark.ledger.canonical import Json
from millmark.ledger.errors import InputError
from millmark.ledger.footprint.figures import kilograms, kilowatt_hours, percent
from millmark.ledger.ids import SubjectKind
from millmark.ledger.provenance.footprints import ContributionOf, LotFootprint, build_lot_footprint
from millmark.ledger.provenance.reader import find_subject, open_reader, verify_name
from millmark.services.commands.context import open_context
from millmark.services.files import read_bounded
from millmark.services.output import AsJson, print_document, print_json, print_lines, print_table, warn
from millmark.services.text.footprint import describe_source


def register(app: typer.Typer) -> None:
    app.command("footprint", epilog="Example: millmark footprint A0006R --catena-x --about crankshaft.json")(
        run_footprint
    )


def run_footprint(
    context: typer.Context,
    identifier: Annotated[str, typer.Argument(help="The lot: identifier, its last part, or subject.")],
    catena_x: Annotated[bool, typer.Option("--catena-x", help="Print it as Catena-X Pcf 9.0.0.")] = False,
    pact: Annotated[bool, typer.Option("--pact", help="Print it as a ProductFootprint of PACT 3.0.3.")] = False,
    about: Annotated[
        Path | None,
        typer.Option(
            help="With --catena-x or --pact: JSON file on company, product and method (services/interop/pcf/PCF.md).",
            dir_okay=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the energy and emissions of a lot as its maker states them; `millmark bundle` and `verify` prove them."""
    if sum((catena_x, pact, as_json)) > 1:
        raise InputError("several forms are asked for", hint="give one of --catena-x, --pact and --json")
    if (about is not None) is not (catena_x or pact):
        raise InputError(
            "an export is about a product, and nothing else is", hint="give --about with --catena-x or --pact"
        )
    verify_name(identifier)
    export = _export(catena_x, about)
    with open_context(context.obj) as opened:
        unreachable = opened.catch_up()
        if unreachable is not None:
            warn(f"millmark: {unreachable.cause}; answering from the index, which may be out of date")
        with open_reader(opened.store) as reader:
            found = build_lot_footprint(reader, find_subject(reader, identifier, SubjectKind.LOT)[1])
    if export is not None:
        print_document(export(found))
    elif as_json:
        print_json(context, found.to_json())
    else:
        _show(found)


def _export(catena_x: bool, about: Path | None) -> Callable[[LotFootprint], dict[str, Json]] | None:
    """Reads what the export needs, before anything else is done."""
    if about is None:
        return None
    from millmark.services.interop.pcf import MAX_ABOUT_BYTES, build_catena_x, build_pact, parse_about  # noqa: PLC0415 - as elsewhere

    described = parse_about(read_bounded(about, MAX_ABOUT_BYTES))
    return lambda found: build_catena_x(found, described) if catena_x else build_pact(found, described)


def _show(found: LotFootprint) -> None:
    rows = [_row(one) for one in found.contributions]
    columns = ["from", "of", "kWh", "kg CO2e, location", "kg CO2e, market"]
    total = (
        "all of it",
        f"{found.quantity} {found.unit}",
        kilowatt_hours(found.wh),
        kilograms(found.location_mg),
        kilograms(found.market_mg),
    )
    print_table(f"footprint of {found.identifier or '0x' + found.lot.hex()}", columns, [*rows, total])
    print_lines(
        f"{percent(found.metered_mg, found.location_mg)} of the location-based emissions follow from register readings",
        f"as record {found.record} states it; factor table SHA-256 0x{found.table.hex()}",
        "next: millmark bundle IDENTIFIER -o part.bundle --disclose /passport, which proves it",
    )


def _row(one: ContributionOf) -> tuple[str, ...]:
    named = one.identifier or "0x" + one.lot.hex()
    what = describe_source(one.source, one.assignment, one.what)
    return what, named, kilowatt_hours(one.wh), kilograms(one.location_mg), kilograms(one.market_mg)
