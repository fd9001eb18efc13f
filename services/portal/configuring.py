"""A product as somebody chooses its options: what is still possible beside what is chosen, and why something is not.

Why: the smallest set of constraints that rules it out. Nothing here is in a language; templates word it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from millmark.ledger.errors import SpecificationError
from millmark.ledger.products import (
    ChoiceOption,
    Configuration,
    Constraint,
    Domain,
    IntegerOption,
    Option,
    Product,
    Span,
    TextOption,
    Value,
    ValueSet,
    configure,
    find_cheapest,
    find_possible,
    parse_choices,
)
from millmark.services.planning.forecast.preferences import order_options

__all__ = [
    "ChoiceShown",
    "Configuring",
    "Least",
    "OptionShown",
    "build_configuring",
    "find_least",
    "show_wanted_first",
]

_MOST_REASONS = 40
"""Most values that are explained on one page; of others it says that they do not go with what is chosen."""
_MAX_TEXT = 2_000


@dataclass(frozen=True, slots=True)
class ChoiceShown:
    """A value of an option."""

    value: str
    names: Mapping[str, str]
    price: int
    """Added to the product's price."""
    co2e_mg: int | None
    """Added to the footprint of a piece; None where that is not stated."""
    lead_hours: int | None
    """By how many hours a piece is ready later; None where that is not stated."""
    is_chosen: bool
    is_possible: bool
    """Beside the other chosen options."""
    reasons: tuple[Constraint, ...]
    """The constraints that together rule it out, as far as they were looked for."""


@dataclass(frozen=True, slots=True)
class OptionShown:
    """An option with what was filled in."""

    option: Option
    text: str
    """As it was filled in; empty if it was not."""
    problem: str
    """What is wrong with the text itself: `range`, `text`, `characters` or `choice`; empty if nothing is."""
    choices: tuple[ChoiceShown, ...]
    """Empty for an integer or a text."""
    least: int
    """What an integer may be beside the other chosen options, or how long a text."""
    most: int
    is_missing: bool
    """Whether it has to be chosen before the product can be ordered."""
    follows: str
    """The value that follows from the others, if nothing was chosen; empty if none does."""


@dataclass(frozen=True, slots=True)
class Least:
    """What a piece costs at least."""

    price: int | None
    """None if nothing can be ordered, or what it costs was not found out."""
    is_possible: bool
    """False if nothing can be ordered that has what is chosen."""


@dataclass(frozen=True, slots=True)
class Configuring:
    """Where a choice of options stands."""

    product: Product
    options: tuple[OptionShown, ...]
    conflict: tuple[Constraint, ...]
    """The constraints that what is chosen breaks together."""
    least: Least
    """For one piece with what is chosen, and the cheapest that goes with it."""
    made: Configuration | None
    """Once every option is chosen or follows."""

    @property
    def is_wrong(self) -> bool:
        return bool(self.conflict) or any(one.problem for one in self.options)


def build_configuring(product: Product, filled: Mapping[str, str]) -> Configuring:
    """`filled`: texts by the keys of options; unknown keys are passed over. Never raises for what somebody wrote."""
    texts = {option.key: filled.get(option.key, "").strip()[:_MAX_TEXT] for option in product.options}
    chosen, problems = _read(product, texts)
    conflict = _find_reasons(product, chosen)
    left = [_MOST_REASONS]
    options = tuple(
        _show(product, option, texts[option.key], chosen, problems.get(option.key, ""), left, bool(conflict))
        for option in product.options
    )
    made = None
    if not conflict and not problems and not any(one.is_missing for one in options):
        made = _configure(product, chosen)
    least = find_least(product, chosen) if made is None else Least(made.price, is_possible=True)
    return Configuring(product, options, conflict, least, made)


def find_least(product: Product, chosen: Mapping[str, Value]) -> Least:
    """What a piece with the chosen values costs at least."""
    try:
        made = find_cheapest(product, chosen)
    except SpecificationError:
        return Least(None, is_possible=True)
    return Least(None, is_possible=False) if made is None else Least(made.price, is_possible=True)


def _read(product: Product, texts: Mapping[str, str]) -> tuple[dict[str, Value], dict[str, str]]:
    """The values that can be used, and what is wrong with each other text."""
    chosen: dict[str, Value] = {}
    problems: dict[str, str] = {}
    for key, text in texts.items():
        if not text:
            continue
        try:
            chosen |= parse_choices(product, [f"{key}={text}"])
        except SpecificationError:
            problems[key] = _problem(product.by_key[key], text)
    return chosen, problems


def show_wanted_first(state: Configuring, shares: Mapping[str, Mapping[str, int]]) -> Configuring:
    """The same, with the values of each option in the order in which they are wanted. `shares`: by option and value."""
    ordered = order_options(state.product, shares)
    options = tuple(_sort(one, ordered.get(one.option.key, ())) for one in state.options)
    return replace(state, options=options)


def _sort(shown: OptionShown, values: Sequence[str]) -> OptionShown:
    return replace(shown, choices=tuple(sorted(shown.choices, key=lambda choice: values.index(choice.value))))


def _problem(option: Option, text: str) -> str:
    if isinstance(option, ChoiceOption):
        return "choice"
    if isinstance(option, IntegerOption):
        return "range"
    fits = option.least <= len(text) <= option.most and text.isprintable()
    return "characters" if fits and option.characters is not None else "text"


def _show(
    product: Product,
    option: Option,
    text: str,
    chosen: Mapping[str, Value],
    problem: str,
    left: list[int],
    conflicting: bool,
) -> OptionShown:
    others = {key: value for key, value in chosen.items() if key != option.key}
    domain = _domain(product, option, others)
    span = domain if isinstance(domain, Span) else Span(0, 0)
    choices: tuple[ChoiceShown, ...] = ()
    if isinstance(option, ChoiceOption):
        choices = tuple(
            _choice(product, option, place, chosen, others, domain, left) for place in range(len(option.choices))
        )
    follows = "" if option.key in chosen or problem or conflicting else _follows(option, domain)
    may_be_empty = isinstance(option, TextOption) and span.least == 0
    is_missing = option.key not in chosen and not follows and not may_be_empty
    return OptionShown(option, text, problem, choices, span.least, span.most, is_missing, follows)


def _domain(product: Product, option: Option, others: Mapping[str, Value]) -> Domain:
    """What an option can have beside the others; all of it where those already exclude each other."""
    try:
        return find_possible(product, others)[option.key]
    except SpecificationError:
        return ValueSet(option.values) if isinstance(option, ChoiceOption) else Span(option.least, option.most)


def _choice(
    product: Product,
    option: ChoiceOption,
    place: int,
    chosen: Mapping[str, Value],
    others: Mapping[str, Value],
    domain: Domain,
    left: list[int],
) -> ChoiceShown:
    one = option.choices[place]
    is_possible = isinstance(domain, ValueSet) and one.value in domain.values
    reasons: tuple[Constraint, ...] = ()
    if not is_possible and left[0] > 0:
        left[0] -= 1
        reasons = _find_reasons(product, {**others, option.key: one.value})
    is_chosen = chosen.get(option.key) == one.value
    stated = one.price, one.co2e_mg, one.lead_hours
    return ChoiceShown(one.value, one.names, *stated, is_chosen, is_possible, reasons)


def _follows(option: Option, domain: Domain) -> str:
    """The only value that is left; of a text, only its length is known."""
    if isinstance(domain, ValueSet):
        return domain.values[0] if domain.is_single else ""
    return str(domain.least) if domain.is_single and isinstance(option, IntegerOption) else ""


def _find_reasons(product: Product, chosen: Mapping[str, Value]) -> tuple[Constraint, ...]:
    """Constraints that what is chosen breaks together, and of which none can be left out; empty if it breaks none."""
    if _holds(product, chosen):
        return ()
    # One after the other is left out; those without which nothing would be broken are the reason.
    kept: Sequence[Constraint] = product.constraints
    for one in product.constraints:
        fewer = tuple(other for other in kept if other is not one)
        if not _holds(replace(product, constraints=fewer), chosen):
            kept = fewer
    return tuple(kept)


def _holds(product: Product, chosen: Mapping[str, Value]) -> bool:
    try:
        domains = find_possible(product, chosen)
    except SpecificationError:
        return False
    # What narrows a span to nothing is found out no later than here.
    return all(domain.least <= domain.most for domain in domains.values() if isinstance(domain, Span)) and all(
        domain.values for domain in domains.values() if isinstance(domain, ValueSet)
    )


def _configure(product: Product, chosen: Mapping[str, Value]) -> Configuration | None:
    try:
        return configure(product, chosen)
    except SpecificationError:
        return None
