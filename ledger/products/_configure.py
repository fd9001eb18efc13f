"""Checks a buyer's choices against a product, and says what they cost and what work they need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from millmark.ledger.canonical import Json
from millmark.ledger.errors import SpecificationError
from millmark.ledger.products._domains import Domain, Span
from millmark.ledger.products._model import (
    Choice,
    ChoiceOption,
    FromOption,
    IntegerOption,
    Option,
    Product,
    Step,
    TextOption,
)
from millmark.ledger.products._narrow import Domains, holds, narrow
from millmark.ledger.products._values import Value, check_value, describe, read_value


@dataclass(frozen=True, slots=True)
class Operation:
    """A step of the route, with the needs that follow from the choices."""

    name: str
    kind: str
    """Kind of operation that the machine has to be capable of."""
    values: Mapping[str, Value]
    """What the capability must include, such as {"diameter_mm": 80}."""
    minutes: int
    """Indicative time for one piece."""

    def to_json(self) -> dict[str, Json]:
        """The operation as an order's document has it: {"name", "need": {"kind", "values"}}."""
        return {"name": self.name, "need": {"kind": self.kind, "values": dict(self.values)}}


@dataclass(frozen=True, slots=True)
class Configuration:
    """A product with all options chosen so that every constraint holds, and what follows."""

    product: Product
    options: Mapping[str, Value]
    """Every option, in the product's order."""
    implied: tuple[str, ...]
    """Keys of those that were not chosen, but follow."""
    price: int
    """For one piece, in the unit of the product's currency."""
    operations: tuple[Operation, ...]
    """At least one."""

    @property
    def minutes(self) -> int:
        """Indicative time of all operations for one piece, in minutes; without waiting and transport."""
        return sum(operation.minutes for operation in self.operations)

    @property
    def co2e_mg(self) -> int | None:
        """What the chosen values add to the footprint of a piece, in mg of CO2e; None where none of them states it."""
        stated = [one.co2e_mg for one in self._choices() if one.co2e_mg is not None]
        return sum(stated) if stated else None

    @property
    def lead_hours(self) -> int | None:
        """By how many hours a piece is ready later: what the chosen values wait for comes side by side, so the longest
        counts. None where none of them states it."""
        return max((one.lead_hours for one in self._choices() if one.lead_hours is not None), default=None)

    def _choices(self) -> list[Choice]:
        options = [option for option in self.product.options if isinstance(option, ChoiceOption)]
        return [one for option in options for one in option.choices if one.value == self.options[option.key]]

    @property
    def specification(self) -> dict[str, Json]:
        """What the order's document has: {"product": digest, "options": ...}."""
        return {"product": "0x" + self.product.digest.hex(), "options": dict(self.options)}


def configure(product: Product, chosen: Mapping[str, object]) -> Configuration:
    """Check choices, add those that follow from them, and work out price and route.

    An option that is left out is filled in where the constraints leave it one value, and a text where it may be empty.
    Raises SpecificationError for an option that the product lacks, one that is missing or out of range, and options
    that exclude each other.
    """
    given = _checked(product, chosen)
    options = _fill(product, given)
    domains = narrow(product, options)
    return Configuration(
        product=product,
        options=options,
        implied=tuple(key for key in options if key not in given),
        price=product.price + sum(price_of(option, options[option.key]) for option in product.options),
        operations=tuple(_operation(step, options) for step in product.route if _is_done(step, domains)),
    )


def verify_specification(product: Product, options: Mapping[str, object]) -> Configuration:
    """As `configure`, for a specification that must have every option. Raises SpecificationError."""
    made = configure(product, options)
    if made.implied:
        raise SpecificationError(f"the specification lacks the option {made.implied[0]}", hint="name every option")
    return made


def find_possible(product: Product, chosen: Mapping[str, object]) -> Domains:
    """The values that each option can still have beside the chosen ones; of a text, the lengths.

    Raises SpecificationError if the chosen ones exclude each other.
    """
    return narrow(product, _checked(product, chosen))


def parse_choices(product: Product, pairs: Sequence[str]) -> dict[str, Value]:
    """Read choices as people write them, KEY=VALUE. Raises SpecificationError."""
    found: dict[str, Value] = {}
    for pair in pairs:
        key, sign, text = pair.partition("=")
        if not sign:
            raise SpecificationError(f"{pair[:80]!a} has no value", hint="write KEY=VALUE")
        if key in found:
            raise SpecificationError(f"the option {key} is given twice", hint="leave one of them out")
        found[key] = read_value(_option(product, key), text)
    return found


def _checked(product: Product, chosen: Mapping[str, object]) -> dict[str, Value]:
    return {key: check_value(_option(product, key), value) for key, value in chosen.items()}


def _option(product: Product, key: str) -> Option:
    known = product.by_key
    if key not in known:
        raise SpecificationError(
            f"the product {product.product} has no option {str(key)[:40]!a}", hint=f"its options: {', '.join(known)}"
        )
    return known[key]


def _fill(product: Product, given: Mapping[str, Value]) -> dict[str, Value]:
    """All options in the product's order: what was given, and what follows."""
    found = dict(given)
    domains = narrow(product, found)
    for key, option in product.by_key.items():
        if key not in found and (only := _only(option, domains[key])) is not None:
            found[key] = only
    missing = [option for option in product.options if option.key not in found]
    for option in missing:
        if not _may_be_empty(option, domains[option.key]):
            raise SpecificationError(f"the option {option.key} is missing", hint=_how(option, domains[option.key]))
    found |= {option.key: "" for option in missing}
    return {option.key: found[option.key] for option in product.options}


def _only(option: Option, domain: Domain) -> Value | None:
    """The one value that is left; None if there are more."""
    if not domain.is_single:
        return None
    if isinstance(domain, Span):
        # Of a text, only the length is known: a text of one length is still the buyer's own.
        return domain.least if isinstance(option, IntegerOption) else "" if domain.least == 0 else None
    return domain.values[0]


def _may_be_empty(option: Option, domain: Domain) -> bool:
    return isinstance(option, TextOption) and isinstance(domain, Span) and domain.least == 0


def _how(option: Option, domain: Domain) -> str:
    if isinstance(option, ChoiceOption):
        return f"choose {domain}"
    return f"give {describe(option, domain)}" + (f" ({option.unit})" if isinstance(option, IntegerOption) else "")


def price_of(option: Option, value: Value) -> int:
    if isinstance(option, ChoiceOption):
        return next(choice.price for choice in option.choices if choice.value == value)
    if isinstance(option, IntegerOption):
        return option.price_per * int(value)
    return option.price if value else 0


def _is_done(step: Step, domains: Domains) -> bool:
    return step.when is None or holds(step.when, domains)


def _operation(step: Step, options: Mapping[str, Value]) -> Operation:
    values = {key: options[one.key] if isinstance(one, FromOption) else one for key, one in step.need.values.items()}
    return Operation(step.name, step.need.kind, values, step.minutes)
