"""`millmark products`: what can be ordered, what a choice of options costs, and what work it needs."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from millmark.ledger.errors import SpecificationError
from millmark.services.commands.acts.options import Options, ProductName
from millmark.services.output import AsJson, print_json, print_lines, print_table

if TYPE_CHECKING:
    from millmark.ledger.canonical import Json
    from millmark.ledger.products import Configuration, Product
    from millmark.services.planning.calendar import Earliest

_APP = typer.Typer(no_args_is_help=True, help="See what can be ordered, and what a choice of options costs and needs.")
_LANGUAGES = ("en", "zh")


def register(app: typer.Typer) -> None:
    app.add_typer(_APP, name="products")


@_APP.command("list", epilog="Example: millmark products list")
def list_products(context: typer.Context, as_json: AsJson = False) -> None:
    """List the products: your company's own, in the home's folder `products`, and those that are shipped."""
    from millmark.ledger.products import name_in  # noqa: PLC0415 - help parses no product
    from millmark.services.products import Catalogue  # noqa: PLC0415 - as above

    entries = Catalogue(context.obj).entries()
    if as_json:
        listed = [{"source": one.source, "problem": one.problem, **_head(one.product)} for one in entries]
        print_json(context, {"products": listed})
        return
    found = [(one.product, one.source) for one in entries if one.product is not None]
    rows = [
        [
            product.product,
            *(name_in(product.names, language) for language in _LANGUAGES),
            _from(product),
            f"0x{product.digest.hex()[:8]}",
            source,
        ]
        for product, source in found
    ]
    columns = ["product", "name", "名称", "from", "digest", "source"]
    print_table("products", columns, rows)
    print_lines(*(f"unusable: {one.source}: {one.problem}" for one in entries if one.problem))


@_APP.command("show", epilog="Example: millmark products show implant")
def show(context: typer.Context, product: ProductName, as_json: AsJson = False) -> None:
    """Show a product: its options, what excludes what, and its route."""
    from millmark.services.commands.acts.product_texts import constraint_lines, option_rows, route_lines  # noqa: PLC0415 - as above

    found = _find(context, product)
    if as_json:
        print_json(context, {"digest": "0x" + found.digest.hex(), "product": found.to_json()})
        return
    print_table(_title(found), ["option", "name", "名称", "values", "adds"], option_rows(found))
    print_lines("", *constraint_lines(found), "", "route:", *route_lines(found))


@_APP.command("check", epilog="Example: millmark products check products/bracket.json")
def check(
    context: typer.Context,
    product: ProductName,
    document: Annotated[
        Path | None, typer.Option(help="JSON file with an order's document, to check against the product.")
    ] = None,
) -> None:
    """Check a product's document, and that each of its choices can be ordered; or an order's document against it."""
    from millmark.ledger.errors import ProductError, SpecificationError  # noqa: PLC0415 - as above
    from millmark.ledger.products import find_unreachable, verify_order_document  # noqa: PLC0415 - as above
    from millmark.services.commands.acts.words import read_claims  # noqa: PLC0415 - as above

    found = _find(context, product)
    claims = read_claims(document)
    if claims is not None:
        made = verify_order_document(claims, None, {found.digest: found}.get)
        if made is None:
            raise SpecificationError(
                f"{document} has no specification of this product", hint=f"its digest is {_digest(found)}"
            )
        print_lines(f"the document is of {_title(found)}, and its specification fits it", *_told(made))
        return
    for key, value in find_unreachable(found):
        raise ProductError(f"no specification can have {key} {value}", hint="the constraints exclude it: correct them")
    print_lines(f"{_title(found)} is a product: {len(found.options)} options, {len(found.route)} steps, all reachable")


@_APP.command("configure", epilog="Example: millmark products configure crankshaft --option stroke_mm=92 -o order.json")
def configure(
    context: typer.Context,
    product: ProductName,
    option: Options = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Also write the order's document to this file, as JSON.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Choose options, and see price, time, earliest date and route. Without options, a terminal asks for each."""
    from millmark.ledger.products import build_order_document, parse_choices  # noqa: PLC0415 - as above
    from millmark.ledger.products import configure as configure_product  # noqa: PLC0415 - as above
    from millmark.services.commands.acts.product_questions import ask_options  # noqa: PLC0415 - as above
    from millmark.services.files import write_whole  # noqa: PLC0415 - as above

    found = _find(context, product)
    asks = not option and not as_json and sys.stdin.isatty()
    made = configure_product(found, ask_options(found) if asks else parse_choices(found, option or ()))
    if output is not None:
        text = json.dumps(build_order_document(made), indent=2, ensure_ascii=False)
        write_whole(output, f"{text}\n".encode())
    earliest = _earliest(context, made)
    if as_json:
        print_json(context, {**_result(made), "earliest": _earliest_json(earliest)})
        return
    how = (
        f"--operations {len(made.operations)} --claims {shlex.quote(str(output))}"
        if output is not None
        else f"--product {shlex.quote(product)} {_flags(made)}"
    )
    print_lines(
        *_told(made),
        _earliest_line(earliest),
        f"next: millmark orders place IDENTIFIER --coordinator NAME --due DAY {how}",
    )


def _find(context: typer.Context, name: str) -> Product:
    from millmark.services.products import Catalogue  # noqa: PLC0415 - as above

    return Catalogue(context.obj).find(name)


def _earliest(context: typer.Context, made: Configuration) -> Earliest:
    """By the calendar of the home, if it has one. Raises CalendarError for one that cannot be read."""
    from millmark.services.planning.calendar import (  # noqa: PLC0415 - as above
        CALENDAR_FILE,
        find_earliest,
        read_calendar,
    )

    home = Path(context.obj)
    calendar = read_calendar(home) if (home / CALENDAR_FILE).is_file() else None
    return find_earliest(calendar, [(one.kind, one.minutes) for one in made.operations], int(time.time()))


def _earliest_line(found: Earliest) -> str:
    if found.at is None:
        return "at the earliest: the machines of calendar.toml have no time for it within 120 days"
    what = "by the clock, for this home has no calendar of machines"
    if found.unknown is not None:
        what = "by the shifts of calendar.toml"
        if found.unknown:
            what += f"; by the clock for {', '.join(found.unknown)}, which no machine in it does"
    at = datetime.fromtimestamp(found.at, UTC)
    return f"at the earliest: {at:%Y-%m-%d %H:%M} UTC for a piece begun now, {what}; without other work and transport"


def _earliest_json(found: Earliest) -> dict[str, Json]:
    return {
        "at": None if found.at is None else datetime.fromtimestamp(found.at, UTC).isoformat(),
        "calendar": found.unknown is not None,
        "by_the_clock": list(found.unknown or ()),
    }


def _told(made: Configuration) -> Sequence[str]:
    from millmark.services.commands.acts.product_texts import configuration_lines  # noqa: PLC0415 - as above

    return configuration_lines(made)


def _flags(made: Configuration) -> str:
    """The options as the command line takes them; what is empty may be left out."""
    return " ".join(f"--option {shlex.quote(f'{key}={value}')}" for key, value in made.options.items() if value != "")


def _title(product: Product) -> str:
    return f"{product.product} {_digest(product)}"


def _from(product: Product) -> str:
    """What a piece costs at least; a dash if nothing can be ordered, or that is not found out."""
    from millmark.ledger.products import find_cheapest, money  # noqa: PLC0415 - help parses no product

    try:
        made = find_cheapest(product, {})
    except SpecificationError:
        made = None
    return "-" if made is None else money(made.price, product.currency)


def _digest(product: Product) -> str:
    return "0x" + product.digest.hex()


def _head(product: Product | None) -> dict[str, Json]:
    if product is None:
        return {"product": None}
    return {
        "product": product.product,
        "digest": _digest(product),
        "names": product.names,
        "currency": product.currency,
        "price": product.price,
    }


def _result(made: Configuration) -> dict[str, Json]:
    return {
        **_head(made.product),
        "price": made.price,
        "minutes": made.minutes,
        "co2e_mg": made.co2e_mg,
        "lead_hours": made.lead_hours,
        "implied": list(made.implied),
        "specification": made.specification,
        "operations": [{**one.to_json(), "minutes": one.minutes} for one in made.operations],
    }
