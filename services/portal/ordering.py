"""The order wizard: which product, which options, what they cost and when it can be there; the terms are a form of
millmark.services.portal.acting."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from fastapi import Request
from starlette.responses import Response

from millmark.ledger.errors import InputError, NotFoundError
from millmark.ledger.products import Condition, Configuration, Domain, Product, Span, TextOption, money, name_in
from millmark.ledger.records import Role
from millmark.services.access import Scope
from millmark.services.access.rules import Rule
from millmark.services.planning.calendar import CALENDAR_FILE, read_calendar
from millmark.services.planning.earliest import find_earliest
from millmark.services.planning.forecast.making import Shares
from millmark.services.portal.acting.form_data import Sent
from millmark.services.portal.configuring import build_configuring, find_least, show_wanted_first
from millmark.services.portal.forms import Forms
from millmark.services.portal.language import Catalogue
from millmark.services.portal.pages import Pages
from millmark.services.portal.routes import PageRoute
from millmark.services.products import Catalogue as Products

__all__ = ["Ordering", "earliest_of"]

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
    shares: Callable[[], Mapping[str, Shares]] = dict
    """What is kept of preferences, by product; the most wanted value of each option is shown first."""

    def routes(self) -> tuple[PageRoute, ...]:
        return (
            PageRoute("/portal/order", self.list, _RULE, menu="order", of_company=True),
            PageRoute("/portal/order/{name}", self.show, _CHECKED),
            PageRoute("/portal/order/{name}", self.check, _CHECKED, method="POST"),
        )

    def list(self, request: Request) -> Response:
        """The products that can be ordered."""
        language = self.pages.catalogue(request).language.value
        entries = Products(self.home).entries()
        found = [one.product for one in entries if one.product is not None]
        # Of several with one name the company's own counts, as it does when it is ordered.
        products = list({one.product: one for one in reversed(found)}.values())[::-1]
        values: dict[str, Any] = {
            "products": [(one, name_in(one.names, language), find_least(one, {})) for one in products],
            "money": money,
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

    def _find(self, name: str) -> Product:
        """Raises NotFoundError for a name that no product has, InputError for one that several files have."""
        if not name.isprintable() or "/" in name or name.endswith(".json"):
            raise NotFoundError("no product is called so")  # nobody names a file of this machine here
        return Products(self.home).find(name)

    def _render(
        self, request: Request, product: Product, filled: dict[str, str], problem: str, status: int = 200
    ) -> Response:
        catalogue = self.pages.catalogue(request)
        language = catalogue.language.value
        state = show_wanted_first(build_configuring(product, filled), self.shares().get(product.product, {}))
        words = Wording(product, catalogue)
        values: dict[str, Any] = {
            "product": product,
            "state": state,
            "problem": problem,
            "words": words,
            "title": name_in(product.names, language),
            "arrival": None if state.made is None else earliest_of(self.home, state.made),
            "sent": bool(filled) or request.method == "POST",
        }
        return self.pages.render(request, "order_options.html", status, forms=self.forms, **values)


@dataclass(frozen=True, slots=True)
class Wording:
    """A product's own words, in the page's language."""

    product: Product
    catalogue: Catalogue

    def name(self, names: Any) -> str:
        return name_in(names, self.catalogue.language.value)

    def money(self, amount: int) -> str:
        return money(amount, self.product.currency)

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

    def _condition(self, condition: Condition) -> str:
        return self.catalogue.say("wizard.and").join(
            f"{self.name(self.product.by_key[key].names)}{self.catalogue.say('colon')}{self._domain(key, domain)}"
            for key, domain in condition.items()
        )

    def _domain(self, key: str, domain: Domain) -> str:
        option, say = self.product.by_key[key], self.catalogue.say
        if not isinstance(domain, Span):
            return say("wizard.or").join(self.value(key, one) for one in domain.values)
        span = str(domain.least) if domain.is_single else say("wizard.span", least=domain.least, most=domain.most)
        if isinstance(option, TextOption):
            return say("wizard.characters", span=span)
        return f"{span} {getattr(option, 'unit', '')}".strip()


def earliest_of(home: Path | None, made: Configuration) -> Arrival:
    """By the calendar of the home, if it has one that can be used; else by the clock."""
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
