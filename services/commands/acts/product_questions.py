"""Asks a person for one option after the other. What cannot be chosen any more is not offered."""

from __future__ import annotations

import typer

from millmark.ledger.errors import SpecificationError
from millmark.ledger.products import (
    ChoiceOption,
    Domain,
    IntegerOption,
    Option,
    Product,
    Span,
    TextOption,
    Value,
    find_possible,
    name_in,
    parse_choices,
)
from millmark.services.commands.acts.product_texts import added
from millmark.services.output import print_lines, warn


def ask_options(product: Product) -> dict[str, Value]:
    """The options that a person chose. Raises SpecificationError if the product's constraints leave nothing."""
    chosen: dict[str, Value] = {}
    for option in product.options:
        chosen |= _ask(product, option, chosen)
    return chosen


def _ask(product: Product, option: Option, chosen: dict[str, Value]) -> dict[str, Value]:
    domain = find_possible(product, chosen)[option.key]
    name = name_in(option.names, "en")
    if isinstance(option, ChoiceOption) and domain.is_single:
        print_lines(f"{name}: {domain}, which follows")
        return {}
    offered = _offered(product, option, domain)
    print_lines(f"{name} ({option.key}):", *(f"  {place} {line}" for place, (_, line) in enumerate(offered, start=1)))
    while True:
        may_be_empty = isinstance(option, TextOption) and isinstance(domain, Span) and domain.least == 0
        default = "" if may_be_empty else None
        answer = str(typer.prompt(_question(option, domain), default=default, show_default=False)).strip()
        if answer.isdecimal() and 0 < int(answer) <= len(offered) and answer not in {value for value, _ in offered}:
            answer = offered[int(answer) - 1][0]
        try:
            found = parse_choices(product, [f"{option.key}={answer}"])
            find_possible(product, {**chosen, **found})
        except SpecificationError as error:
            warn(str(error))
            continue
        return found


def _offered(product: Product, option: Option, domain: Domain) -> list[tuple[str, str]]:
    """Values to choose from, each with a line about it; none for numbers and texts."""
    if not isinstance(option, ChoiceOption) or isinstance(domain, Span):
        return []
    lines = []
    for choice in option.choices:
        if choice.value in domain.values:
            parts = (choice.value, name_in(choice.names, "en"), added(product, option, choice.value))
            lines.append((choice.value, "  ".join(dict.fromkeys(part for part in parts if part))))
    return lines


def _question(option: Option, domain: Domain) -> str:
    if isinstance(option, ChoiceOption):
        return "number or value"
    if isinstance(option, IntegerOption):
        return f"{domain} ({option.unit})"
    empty = ", or nothing" if isinstance(domain, Span) and domain.least == 0 else ""
    return f"{domain} characters{empty}"
