"""How products and configurations read on a terminal."""

from __future__ import annotations

from collections.abc import Mapping

from millmark.ledger.products import (
    ChoiceOption,
    Condition,
    Configuration,
    FromOption,
    IntegerOption,
    Option,
    Product,
    Value,
    money,
    name_in,
)

_HOUR_MIN = 60


def option_rows(product: Product) -> list[list[object]]:
    """Rows of a table, one for each choice, and one for an option without: key, names, values, what it adds."""
    rows: list[list[object]] = []
    for option in product.options:
        head: list[object] = [option.key, name_in(option.names, "en"), name_in(option.names, "zh")]
        if not isinstance(option, ChoiceOption):
            rows.append([*head, _range(option), added(product, option, "")])
            continue
        for place, choice in enumerate(option.choices):
            rows.append([*(head if place == 0 else ["", "", ""]), choice.value, added(product, option, choice.value)])
    return rows


def added(product: Product, option: Option, value: Value) -> str:
    """What a choice adds to the price, for people; nothing where it adds nothing."""
    if isinstance(option, IntegerOption):
        return f"{money(option.price_per, product.currency)} per {option.unit}" if option.price_per else ""
    amount = (
        next((choice.price for choice in option.choices if choice.value == value), 0)
        if isinstance(option, ChoiceOption)
        else option.price
    )
    return f"+ {money(amount, product.currency)}" if amount else ""


def constraint_lines(product: Product) -> list[str]:
    """A line for each constraint."""
    known = product.by_key
    return [
        " excludes ".join(_condition(one, known) for one in constraint.conditions)
        if constraint.then is None
        else f"{_condition(constraint.conditions[0], known)} needs {_condition(constraint.then, known)}"
        for constraint in product.constraints
    ]


def route_lines(product: Product) -> list[str]:
    """A line for each step, with what it needs and when it is done."""
    known, lines = product.by_key, []
    for step in product.route:
        values = {key: f"<{one.key}>" if isinstance(one, FromOption) else one for key, one in step.need.values.items()}
        when = "" if step.when is None else f", if {_condition(step.when, known)}"
        lines.append(f"  {step.name}: {_need(step.need.kind, values)}; {time_text(step.minutes)}{when}")
    return lines


def configuration_lines(made: Configuration) -> list[str]:
    """Options, price, time and route."""
    width = max(map(len, made.options))
    follows = {key: "  (follows)" if key in made.implied and value != "" else "" for key, value in made.options.items()}
    options = [f"  {key:{width}}  {value if value != '' else '-'}{follows[key]}" for key, value in made.options.items()]
    route = [
        f"  {number} {one.name}: {_need(one.kind, one.values)}; {time_text(one.minutes)}"
        for number, one in enumerate(made.operations, start=1)
    ]
    return [
        f"{name_in(made.product.names, 'en')}, {made.product.product} 0x{made.product.digest.hex()}",
        *options,
        f"price: {money(made.price, made.product.currency)} a piece",
        f"indicative time: {time_text(made.minutes)} of work a piece, without waiting and transport",
        *_stated_lines(made),
        "route:",
        *route,
    ]


def _stated_lines(made: Configuration) -> list[str]:
    """What the chosen values state beside their prices."""
    lines = []
    if made.co2e_mg is not None:
        lines.append(f"CO2e of the choices: {made.co2e_mg / 1000:+,.3f} g a piece, as the maker states it")
    if made.lead_hours is not None:
        lines.append(f"lead time of the choices: {made.lead_hours} h")
    return lines


def time_text(minutes: int) -> str:
    hours, rest = divmod(minutes, _HOUR_MIN)
    return " ".join([*([f"{hours} h"] if hours else []), *([f"{rest} min"] if rest or not hours else [])])


def _need(kind: str, values: Mapping[str, Value]) -> str:
    return ", ".join([kind, *(f"{key} {value}" for key, value in values.items())])


def _condition(condition: Condition, known: Mapping[str, Option]) -> str:
    return " with ".join(
        f"{key} {allowed}" + ("" if isinstance(known[key], ChoiceOption | IntegerOption) else " characters")
        for key, allowed in condition.items()
    )


def _range(option: Option) -> str:
    if isinstance(option, ChoiceOption):
        return " or ".join(option.values)
    unit = option.unit if isinstance(option, IntegerOption) else "characters"
    return f"{option.least} to {option.most} {unit}"
