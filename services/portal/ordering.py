"""The order wizard: which product, which options, what they cost and when it can be there; the terms are a form of
millmark.services.portal.acting."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from fastapi import Request
from starlette.responses import Response

from millmark.ledger import products
from millmark.ledger.errors import InputError, NotFoundError, SpecificationError
from millmark.ledger.records import Role
from millmark.services.access import Scope
from millmark.services.access.rules import Rule
from millmark.services.planning.calendar import CALENDAR_FILE, find_earliest, read_calendar
from millmark.services.portal.acting.things import Sent
from millmark.services.portal.pages import Catalogue, Forms, PageRoute, Pages
from millmark.services.products import Catalogue as Products

# A product as somebody chooses its options: what is still possible beside what is chosen, and why something is not.
#
# Why: the smallest set of constraints that rules it out. Nothing here is in a language; templates word it.

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
    reasons: tuple[products.Constraint, ...]
    """The constraints that together rule it out, as far as they were looked for."""


@dataclass(frozen=True, slots=True)
class OptionShown:
    """An option with what was filled in."""

    option: products.Option
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

    product: products.Product
    options: tuple[OptionShown, ...]
    conflict: tuple[products.Constraint, ...]
    """The constraints that what is chosen breaks together."""
    least: Least
    """For one piece with what is chosen, and the cheapest that goes with it."""
    made: products.Configuration | None
    """Once every option is chosen or follows."""

    @property
    def is_wrong(self) -> bool:
        return bool(self.conflict) or any(one.problem for one in self.options)


def build_configuring(product: products.Product, filled: Mapping[str, str]) -> Configuring:
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


def find_least(product: products.Product, chosen: Mapping[str, products.Value]) -> Least:
    """What a piece with the chosen values costs at least."""
    try:
        made = products.find_cheapest(product, chosen)
    except SpecificationError:
        return Least(None, is_possible=True)
    return Least(None, is_possible=False) if made is None else Least(made.price, is_possible=True)


def _read(product: products.Product, texts: Mapping[str, str]) -> tuple[dict[str, products.Value], dict[str, str]]:
    """The values that can be used, and what is wrong with each other text."""
    chosen: dict[str, products.Value] = {}
    problems: dict[str, str] = {}
    for key, text in texts.items():
        if not text:
            continue
        try:
            chosen |= products.parse_choices(product, [f"{key}={text}"])
        except SpecificationError:
            problems[key] = _problem(product.by_key[key], text)
    return chosen, problems


def _problem(option: products.Option, text: str) -> str:
    if isinstance(option, products.ChoiceOption):
        return "choice"
    if isinstance(option, products.IntegerOption):
        return "range"
    fits = option.least <= len(text) <= option.most and text.isprintable()
    return "characters" if fits and option.characters is not None else "text"


def _show(
    product: products.Product,
    option: products.Option,
    text: str,
    chosen: Mapping[str, products.Value],
    problem: str,
    left: list[int],
    conflicting: bool,
) -> OptionShown:
    others = {key: value for key, value in chosen.items() if key != option.key}
    domain = _domain(product, option, others)
    span = domain if isinstance(domain, products.Span) else products.Span(0, 0)
    choices: tuple[ChoiceShown, ...] = ()
    if isinstance(option, products.ChoiceOption):
        choices = tuple(
            _choice(product, option, place, chosen, others, domain, left) for place in range(len(option.choices))
        )
    follows = "" if option.key in chosen or problem or conflicting else _follows(option, domain)
    may_be_empty = isinstance(option, products.TextOption) and span.least == 0
    is_missing = option.key not in chosen and not follows and not may_be_empty
    return OptionShown(option, text, problem, choices, span.least, span.most, is_missing, follows)


def _domain(
    product: products.Product, option: products.Option, others: Mapping[str, products.Value]
) -> products.Domain:
    """What an option can have beside the others; all of it where those already exclude each other."""
    try:
        return products.find_possible(product, others)[option.key]
    except SpecificationError:
        return (
            products.ValueSet(option.values)
            if isinstance(option, products.ChoiceOption)
            else products.Span(option.least, option.most)
        )


def _choice(
    product: products.Product,
    option: products.ChoiceOption,
    place: int,
    chosen: Mapping[str, products.Value],
    others: Mapping[str, products.Value],
    domain: products.Domain,
    left: list[int],
) -> ChoiceShown:
    one = option.choices[place]
    is_possible = isinstance(domain, products.ValueSet) and one.value in domain.values
    reasons: tuple[products.Constraint, ...] = ()
    if not is_possible and left[0] > 0:
        left[0] -= 1
        reasons = _find_reasons(product, {**others, option.key: one.value})
    is_chosen = chosen.get(option.key) == one.value
    stated = one.price, one.co2e_mg, one.lead_hours
    return ChoiceShown(one.value, one.names, *stated, is_chosen, is_possible, reasons)


def _follows(option: products.Option, domain: products.Domain) -> str:
    """The only value that is left; of a text, only its length is known."""
    if isinstance(domain, products.ValueSet):
        return domain.values[0] if domain.is_single else ""
    return str(domain.least) if domain.is_single and isinstance(option, products.IntegerOption) else ""


def _find_reasons(product: products.Product, chosen: Mapping[str, products.Value]) -> tuple[products.Constraint, ...]:
    """Constraints that what is chosen breaks together, and of which none can be left out; empty if it breaks none."""
    if _holds(product, chosen):
        return ()
    # One after the other is left out; those without which nothing would be broken are the reason.
    kept: Sequence[products.Constraint] = product.constraints
    for one in product.constraints:
        fewer = tuple(other for other in kept if other is not one)
        if not _holds(replace(product, constraints=fewer), chosen):
            kept = fewer
    return tuple(kept)


def _holds(product: products.Product, chosen: Mapping[str, products.Value]) -> bool:
    try:
        domains = products.find_possible(product, chosen)
    except SpecificationError:
        return False
    # What narrows a span to nothing is found out no later than here.
    return all(domain.least <= domain.most for domain in domains.values() if isinstance(domain, products.Span)) and all(
        domain.values for domain in domains.values() if isinstance(domain, products.ValueSet)
    )


def _configure(product: products.Product, chosen: Mapping[str, products.Value]) -> products.Configuration | None:
    try:
        return products.configure(product, chosen)
    except SpecificationError:
        return None


_RULE = Rule(Scope.RECORDING, Role.BUYER, owner=True, page=True)
_CHECKED = Rule(Scope.RECORDING, Role.BUYER, owner=True, page=True, cost=4)
"""What excludes what is looked for anew."""
_OPTION = "option."
_HOUR_MIN = 60


@dataclass(frozen=True, slots=True)
class Arrival:
    """When a piece can be ready at the earliest."""

    at: datetime | None
    """None if the calendar has no time for it."""
    basis: str
    """`clock`, `shifts`, or `some` if no machine of the calendar does some of the operations; `none` without a time."""
    unknown: tuple[str, ...]
    """Those kinds of operations."""


@dataclass(frozen=True, slots=True)
class Ordering:
    """`home`: folder with the company's products and calendar. `go_on` shows the form of the terms for a configured
    product, which is placed with it."""

    home: Path | None
    pages: Pages
    forms: Forms
    go_on: Callable[[Request, dict[str, str]], Response]

    def routes(self) -> tuple[PageRoute, ...]:
        return (
            PageRoute("/portal/order", self.list, _RULE, menu="order", of_company=True),
            PageRoute("/portal/order/{name}", self.show, _CHECKED),
            PageRoute("/portal/order/{name}", self.check, _CHECKED, method="POST"),
        )

    def list(self, request: Request) -> Response:
        """The products that can be ordered."""
        language = self.pages.catalogue(request).language
        entries = Products(self.home).entries()
        found = [one.product for one in entries if one.product is not None]
        # Of several with one name the company's own counts, as it does when it is ordered.
        offered = list({one.product: one for one in reversed(found)}.values())[::-1]
        values: dict[str, Any] = {
            "products": [(one, products.name_in(one.names, language), find_least(one, {})) for one in offered],
            "money": products.money,
            "unusable": [(Path(one.source).name, one.problem) for one in entries if one.problem],
        }
        return self.pages.render(request, "order_products.html", forms=self.forms, **values)

    def show(self, request: Request, name: str) -> Response:
        """The options of a product, with nothing chosen. Raises NotFoundError."""
        return self._render(request, self._find(name), {}, "")

    def check(self, request: Request, name: str, sent: Sent) -> Response:
        """The options as far as they are chosen; the terms, if that is asked for and all is well. Raises NotFoundError,
        FormRefusedError."""
        self.forms.verify(request, _one(sent, "token"))
        product = self._find(name)
        filled = {key.removeprefix(_OPTION): values[0] for key, values in sent.items() if key.startswith(_OPTION)}
        changed = _one(sent, "product") != product.digest.hex()
        if changed or _one(sent, "step") != "terms":
            return self._render(request, product, filled, "changed" if changed else "")
        state = build_configuring(product, filled)
        if state.made is None:
            return self._render(request, product, filled, "wrong" if state.is_wrong else "missing", 400)
        options = json.dumps(dict(state.made.options), ensure_ascii=False, separators=(",", ":"))
        return self.go_on(request, {"product": product.digest.hex(), "options": options})

    def _find(self, name: str) -> products.Product:
        """Raises NotFoundError for a name that no product has, InputError for one that several files have."""
        if not name.isprintable() or "/" in name or name.endswith(".json"):
            raise NotFoundError("no product is called so")  # nobody names a file of this machine here
        return Products(self.home).find(name)

    def _render(
        self, request: Request, product: products.Product, filled: dict[str, str], problem: str, status: int = 200
    ) -> Response:
        catalogue = self.pages.catalogue(request)
        language = catalogue.language
        state = build_configuring(product, filled)
        words = Wording(product, catalogue)
        values: dict[str, Any] = {
            "product": product,
            "state": state,
            "problem": problem,
            "words": words,
            "title": products.name_in(product.names, language),
            "arrival": None if state.made is None else earliest_of(self.home, state.made),
            "sent": bool(filled) or request.method == "POST",
        }
        return self.pages.render(request, "order_options.html", status, forms=self.forms, **values)


@dataclass(frozen=True, slots=True)
class Wording:
    """A product's own words, in the page's language."""

    product: products.Product
    catalogue: Catalogue

    def name(self, names: Any) -> str:
        return products.name_in(names, self.catalogue.language)

    def money(self, amount: int) -> str:
        return products.money(amount, self.product.currency)

    def co2e(self, mg: int) -> str:
        """Grams of CO2e with their sign, such as +310 g."""
        return self.catalogue.say("wizard.co2e", grams=f"{Decimal(mg).scaleb(-3).normalize():+,f}".replace("-", "−"))

    def value(self, key: str, text: str) -> str:
        """A value of an option as people read it."""
        option = self.product.by_key[key]
        named = {one.value: one.names for one in getattr(option, "choices", ())}
        return self.name(named[text]) if text in named else f"{text} {getattr(option, 'unit', '')}".strip()

    def constraint(self, one: Any) -> str:
        """What a constraint says, such as that one choice needs another."""
        say, first = self.catalogue.say, self._condition(one.conditions[0])
        if one.then is not None:
            return say("wizard.needs", given=first, needed=self._condition(one.then))
        others = say("wizard.with").join(self._condition(other) for other in one.conditions)
        return say("wizard.excludes", given=others)

    def minutes(self, minutes: int) -> str:
        hours, rest = divmod(minutes, _HOUR_MIN)
        return self.catalogue.say("wizard.hours", hours=hours, minutes=rest)

    def _condition(self, condition: products.Condition) -> str:
        return self.catalogue.say("wizard.and").join(
            f"{self.name(self.product.by_key[key].names)}{self.catalogue.say('colon')}{self._domain(key, domain)}"
            for key, domain in condition.items()
        )

    def _domain(self, key: str, domain: products.Domain) -> str:
        option, say = self.product.by_key[key], self.catalogue.say
        if not isinstance(domain, products.Span):
            return say("wizard.or").join(self.value(key, one) for one in domain.values)
        span = str(domain.least) if domain.is_single else say("wizard.span", least=domain.least, most=domain.most)
        if isinstance(option, products.TextOption):
            return say("wizard.characters", span=span)
        return f"{span} {getattr(option, 'unit', '')}".strip()


def earliest_of(home: Path | None, made: products.Configuration) -> Arrival:
    """The earliest arrival, by the calendar of the home if that has a usable one, otherwise by the clock."""
    calendar = None
    if home is not None and (home / CALENDAR_FILE).is_file():
        try:
            calendar = read_calendar(home)
        except InputError:
            calendar = None  # whoever orders cannot mend it; the page says that it reckoned by the clock
    operations = [(one.kind, one.minutes) for one in made.operations]
    found = find_earliest(calendar, operations, int(time.time()))
    if found.at is None:
        return Arrival(None, "none", ())
    unknown = found.unknown or ()
    basis = "clock" if found.unknown is None else "some" if unknown else "shifts"
    return Arrival(datetime.fromtimestamp(found.at, UTC), basis, unknown)


def _one(sent: Any, name: str) -> str:
    return next(iter(sent.get(name, ())), "")
