"""`millmark digital-link`, `epcis` and `footprint`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from millmark.ledger.canonical import Json
from millmark.ledger.errors import InputError, NotFoundError
from millmark.ledger.footprint.figures import kilograms, kilowatt_hours, percent
from millmark.ledger.ids import DigitalLink, SubjectKind
from millmark.ledger.provenance.footprints import ContributionOf, LotFootprint, build_lot_footprint
from millmark.ledger.provenance.reader import find_subject, open_reader, verify_name
from millmark.ledger.store import Book
from millmark.services.commands.context import open_context
from millmark.services.files import read_bounded
from millmark.services.interop.digital_link import build_part_link, build_qr_svg, read_link
from millmark.services.interop.epcis.capture import capture, none_rejected, open_evidence_file, parse_capture
from millmark.services.interop.epcis.documents import hash_events, read_bytes
from millmark.services.interop.pcf import MAX_ABOUT_BYTES, build_catena_x, build_pact, parse_about
from millmark.services.output import AsJson, print_document, print_json, print_lines, print_table, warn
from millmark.services.text.footprint import describe_source


def register(app: typer.Typer) -> None:
    app.command(
        "digital-link",
        epilog="Example: millmark digital-link 'https://id.gs1.org/01/09506000013459/21/A0001?17=271231'",
    )(run_digital_link)
    epcis = typer.Typer(help="EPCIS 2.0 events from a partner's system.", no_args_is_help=True)
    epcis.command("hash", epilog="Example: millmark epcis hash events.jsonld")(run_hash)
    epcis.command("capture", epilog="Example: millmark epcis capture events.jsonld")(run_capture)
    app.add_typer(epcis, name="epcis")
    app.command("footprint", epilog="Example: millmark footprint A0006R --catena-x --about crankshaft.json")(
        run_footprint
    )


def run_digital_link(
    context: typer.Context,
    uri: str,
    qr: Path | None = typer.Option(None, "--qr", help="Also write the link as a QR code, as SVG, to this file."),
    code: bool = typer.Option(
        False,
        "--code",
        help="Use the link for the code on the part: at the gateway's address, with the salt from the private book. "
        "Anyone who reads that code can open the part's passport.",
    ),
    zero_suppressed: bool = typer.Option(
        False,
        "--zero-suppressed",
        help="Also accept a GTIN of 8, 12 or 13 digits in the path, and pad it with zeros; the standard requires 14.",
    ),
) -> None:
    """Check a GS1 Digital Link; print its values by application identifier and its canonical form, as JSON."""
    report = read_link(uri, zero_suppressed=zero_suppressed)
    link = _find_code(Path(context.obj), report.link) if code else uri
    if qr is not None:
        _write(qr, build_qr_svg(link))
    print_json(context, report.to_json() | ({"code": link} if code else {}))


def _find_code(home: Path, link: DigitalLink) -> str:
    """The link for the code on a part. Raises NotFoundError if the book has no such lot, InputError if several."""
    with open_context(home) as opened, opened.store.reading() as connection:
        known = [one for one in Book(connection).identities(link.uri) if one.kind is SubjectKind.LOT]
    if not known:
        raise NotFoundError(f"{link.uri} is not in the private book", hint="give the identifier of a lot in it")
    # Lots of several makers may share an identifier, each with a salt of its own; a code can only lead to one.
    if len(known) > 1:
        raise InputError(f"{link.uri} names {len(known)} lots", hint="use a book that has only one of them")
    return build_part_link(link, known[0].salt, base_url=opened.settings.origin)


def run_hash(file: Path = typer.Argument(help="EPCIS document: JSON-LD or XML, or one event as JSON-LD.")) -> None:
    """Print the event hash (CBV 2.0) of every event in the file, one `ni:` URI per line."""
    print_lines(*hash_events(read_bytes(file)))


def run_capture(
    context: typer.Context,
    file: Path = typer.Argument(help="EPCIS 2.0 document, query document or event, as JSON-LD."),
) -> None:
    """Validate every event in the file, add the valid ones to the evidence in the home's epcis-events.jsonl, and print
    the outcome of each as a JSON line.

    Exit code 0: none was rejected (duplicates do not count); 1: some were; 2: the file is not an EPCIS document.
    """
    document = parse_capture(read_bytes(file))
    with open_evidence_file(Path(context.obj) / "epcis-events.jsonl") as evidence:
        captured = capture(document, evidence)
    print_lines(*(json.dumps(one.to_json()) for one in captured))
    if not none_rejected(captured):
        raise typer.Exit(1)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}", hint="name a file in a folder that exists") from None


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
