"""`millmark products`: what can be ordered, what a choice of options costs, and what work it needs."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from millmark.ledger import products
from millmark.ledger.canonical import Json
from millmark.ledger.errors import ProductError, SpecificationError
from millmark.ledger.products import configure as configure_product
from millmark.ledger.verify.statements import LANGUAGES
from millmark.services.commands.acts.words import Options, ProductName, read_claims
from millmark.services.files import write_whole
from millmark.services.output import AsJson, print_json, print_lines, print_table, warn
from millmark.services.planning.calendar import CALENDAR_FILE, Earliest, find_earliest, read_calendar
from millmark.services.products import Catalogue


def option_rows(product: products.Product) -> list[list[object]]:
    """Rows of a table, one for each choice, and one for an option without: key, names, values, what it adds."""
    rows: list[list[object]] = []
    for option in product.options:
        head: list[object] = [option.key, *(products.name_in(option.names, language) for language in LANGUAGES)]
        if not isinstance(option, products.ChoiceOption):
            rows.append([*head, _range(option), added(product, option, "")])
            continue
        for choice in option.choices:
            rows.append([*head, choice.value, added(product, option, choice.value)])
            head = [""] * len(head)
    return rows


def added(product: products.Product, option: products.Option, value: products.Value) -> str:
    """What a choice adds to the price, for people; nothing where it adds nothing."""
    if isinstance(option, products.IntegerOption):
        return f"{products.money(option.price_per, product.currency)} per {option.unit}" if option.price_per else ""
    amount = (
        next((choice.price for choice in option.choices if choice.value == value), 0)
        if isinstance(option, products.ChoiceOption)
        else option.price
    )
    return f"+ {products.money(amount, product.currency)}" if amount else ""


def constraint_lines(product: products.Product) -> list[str]:
    """A line for each constraint."""
    known = product.by_key
    return [
        " excludes ".join(_condition(one, known) for one in constraint.conditions)
        if constraint.then is None
        else f"{_condition(constraint.conditions[0], known)} needs {_condition(constraint.then, known)}"
        for constraint in product.constraints
    ]


def route_lines(product: products.Product) -> list[str]:
    """A line for each step, with what it needs and when it is done."""
    known, lines = product.by_key, []
    for step in product.route:
        values = {
            key: f"<{one.key}>" if isinstance(one, products.FromOption) else one
            for key, one in step.need.values.items()
        }
        when = "" if step.when is None else f", if {_condition(step.when, known)}"
        lines.append(f"  {step.name}: {_need(step.need.kind, values)}; {time_text(step.minutes)}{when}")
    return lines


def configuration_lines(made: products.Configuration) -> list[str]:
    """Options, price, time and route."""
    width = max(map(len, made.options))
    follows = {key: "  (follows)" if key in made.implied and value != "" else "" for key, value in made.options.items()}
    options = [f"  {key:{width}}  {value if value != '' else '-'}{follows[key]}" for key, value in made.options.items()]
    route = [
        f"  {number} {one.name}: {_need(one.kind, one.values)}; {time_text(one.minutes)}"
        for number, one in enumerate(made.operations, start=1)
    ]
    return [
        f"{products.name_in(made.product.names, 'en')}, {made.product.product} 0x{made.product.digest.hex()}",
        *options,
        f"price: {products.money(made.price, made.product.currency)} a piece",
        f"indicative time: {time_text(made.minutes)} of work a piece, without waiting and transport",
        *_stated_lines(made),
        "route:",
        *route,
    ]


def _stated_lines(made: products.Configuration) -> list[str]:
    """What the chosen values state beside their prices."""
    lines = []
    if made.co2e_mg is not None:
        lines.append(f"CO2e of the choices: {made.co2e_mg / 1000:+,.3f} g a piece, as the maker states it")
    if made.lead_hours is not None:
        lines.append(f"lead time of the choices: {made.lead_hours} h")
    return lines


def time_text(minutes: int) -> str:
    hours, rest = divmod(minutes, 60)
    return " ".join([*([f"{hours} h"] if hours else []), *([f"{rest} min"] if rest or not hours else [])])


def _need(kind: str, values: Mapping[str, products.Value]) -> str:
    return ", ".join([kind, *(f"{key} {value}" for key, value in values.items())])


def _condition(condition: products.Condition, known: Mapping[str, products.Option]) -> str:
    return " with ".join(
        f"{key} {allowed}"
        + ("" if isinstance(known[key], products.ChoiceOption | products.IntegerOption) else " characters")
        for key, allowed in condition.items()
    )


def _range(option: products.IntegerOption | products.TextOption) -> str:
    unit = option.unit if isinstance(option, products.IntegerOption) else "characters"
    return f"{option.least} to {option.most} {unit}"


def ask_options(product: products.Product) -> dict[str, products.Value]:
    """The options that a person chooses, one after the other; what cannot be chosen any more is not offered. Raises
    SpecificationError if the product's constraints leave nothing."""
    chosen: dict[str, products.Value] = {}
    for option in product.options:
        chosen |= _ask(product, option, chosen)
    return chosen


def _ask(
    product: products.Product, option: products.Option, chosen: dict[str, products.Value]
) -> dict[str, products.Value]:
    domain = products.find_possible(product, chosen)[option.key]
    name = products.name_in(option.names, "en")
    if isinstance(option, products.ChoiceOption) and domain.is_single:
        print_lines(f"{name}: {domain}, which follows")
        return {}
    offered = _offered(product, option, domain)
    print_lines(f"{name} ({option.key}):", *(f"  {place} {line}" for place, (_, line) in enumerate(offered, start=1)))
    while True:
        may_be_empty = (
            isinstance(option, products.TextOption) and isinstance(domain, products.Span) and domain.least == 0
        )
        default = "" if may_be_empty else None
        answer = str(typer.prompt(_question(option, domain), default=default, show_default=False)).strip()
        if answer.isdecimal() and 0 < int(answer) <= len(offered) and answer not in {value for value, _ in offered}:
            answer = offered[int(answer) - 1][0]
        try:
            found = products.parse_choices(product, [f"{option.key}={answer}"])
            products.find_possible(product, {**chosen, **found})
        except SpecificationError as error:
            warn(str(error))
            continue
        return found


def _offered(product: products.Product, option: products.Option, domain: products.Domain) -> list[tuple[str, str]]:
    """Values to choose from, each with a line about it; none for numbers and texts."""
    if not isinstance(option, products.ChoiceOption) or isinstance(domain, products.Span):
        return []
    lines = []
    for choice in option.choices:
        if choice.value in domain.values:
            parts = (choice.value, products.name_in(choice.names, "en"), added(product, option, choice.value))
            lines.append((choice.value, "  ".join(dict.fromkeys(part for part in parts if part))))
    return lines


def _question(option: products.Option, domain: products.Domain) -> str:
    if isinstance(option, products.ChoiceOption):
        return "number or value"
    if isinstance(option, products.IntegerOption):
        return f"{domain} ({option.unit})"
    empty = ", or nothing" if isinstance(domain, products.Span) and domain.least == 0 else ""
    return f"{domain} characters{empty}"


_APP = typer.Typer(no_args_is_help=True, help="See what can be ordered, and what a choice of options costs and needs.")


def register(app: typer.Typer) -> None:
    app.add_typer(_APP, name="products")


@_APP.command("list", epilog="Example: millmark products list")
def list_products(context: typer.Context, as_json: AsJson = False) -> None:
    """List the products: your company's own, in the home's folder `products`, and those that are shipped."""
    entries = Catalogue(context.obj).entries()
    if as_json:
        listed = [{"source": one.source, "problem": one.problem, **_head(one.product)} for one in entries]
        print_json(context, {"products": listed})
        return
    found = [(one.product, one.source) for one in entries if one.product is not None]
    rows = [
        [
            product.product,
            *(products.name_in(product.names, language) for language in LANGUAGES),
            _from(product),
            f"0x{product.digest.hex()[:8]}",
            source,
        ]
        for product, source in found
    ]
    columns = ["product", *LANGUAGES.values(), "from", "digest", "source"]
    print_table("products", columns, rows)
    print_lines(*(f"unusable: {one.source}: {one.problem}" for one in entries if one.problem))


@_APP.command("show", epilog="Example: millmark products show implant")
def show(context: typer.Context, product: ProductName, as_json: AsJson = False) -> None:
    """Show a product: its options, what excludes what, and its route."""
    found = Catalogue(context.obj).find(product)
    if as_json:
        print_json(context, {"digest": _digest(found), "product": found.to_json()})
        return
    print_table(_title(found), ["option", *LANGUAGES.values(), "values", "adds"], option_rows(found))
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
    found = Catalogue(context.obj).find(product)
    claims = read_claims(document)
    if claims is not None:
        made = products.verify_order_document(claims, None, {found.digest: found}.get)
        if made is None:
            raise SpecificationError(
                f"{document} has no specification of this product", hint=f"its digest is {_digest(found)}"
            )
        print_lines(f"the document is of {_title(found)}, and its specification fits it", *configuration_lines(made))
        return
    for key, value in products.find_unreachable(found):
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
    found = Catalogue(context.obj).find(product)
    asks = not option and not as_json and sys.stdin.isatty()
    made = configure_product(found, ask_options(found) if asks else products.parse_choices(found, option or ()))
    if output is not None:
        text = json.dumps(products.build_order_document(made), indent=2, ensure_ascii=False)
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
        *configuration_lines(made),
        _earliest_line(earliest),
        f"next: millmark orders place IDENTIFIER --coordinator NAME --due DAY {how}",
    )


def _earliest(context: typer.Context, made: products.Configuration) -> Earliest:
    """By the calendar of the home, if it has one. Raises CalendarError for one that cannot be read."""
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


def _flags(made: products.Configuration) -> str:
    """The options as the command line takes them; what is empty may be left out."""
    return " ".join(f"--option {shlex.quote(f'{key}={value}')}" for key, value in made.options.items() if value != "")


def _title(product: products.Product) -> str:
    return f"{product.product} {_digest(product)}"


def _from(product: products.Product) -> str:
    """What a piece costs at least; a dash if nothing can be ordered, or that is not found out."""
    try:
        made = products.find_cheapest(product, {})
    except SpecificationError:
        made = None
    return "-" if made is None else products.money(made.price, product.currency)


def _digest(product: products.Product) -> str:
    return "0x" + product.digest.hex()


def _head(product: products.Product | None) -> dict[str, Json]:
    if product is None:
        return {"product": None}
    return {
        "product": product.product,
        "digest": _digest(product),
        "names": product.names,
        "currency": product.currency,
        "price": product.price,
    }


def _result(made: products.Configuration) -> dict[str, Json]:
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
