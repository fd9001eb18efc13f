"""Checks a buyer's choices against a product, and says what they cost and what work they need."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from millmark.ledger.canonical import Json, canonical_json, parse_hex32
from millmark.ledger.errors import CanonicalError, SpecificationError
from millmark.ledger.products import _model
from millmark.ledger.products._parse import parse_product

# What a product's constraints leave of each option, once some are chosen.

Domains: TypeAlias = dict[str, _model.Domain]


@dataclass(frozen=True, slots=True)
class Part:
    """Whether an option has one of some values, or, not `wanted`, none of them."""

    key: str
    allowed: _model.Domain
    wanted: bool

    def is_sure(self, domain: _model.Domain) -> bool:
        return domain.within(self.allowed) if self.wanted else domain.apart(self.allowed)

    def deny(self, domain: _model.Domain) -> _model.Domain:
        """What is left of the option if this must not be so."""
        return domain.drop(self.allowed) if self.wanted else domain.keep(self.allowed)

    def grant(self, domain: _model.Domain) -> _model.Domain:
        """What is left of the option if this must be so."""
        return domain.keep(self.allowed) if self.wanted else domain.drop(self.allowed)


_Clause: TypeAlias = tuple[Part, ...]
"""Parts that must not all be so."""


def holds(condition: _model.Condition, domains: Domains) -> bool:
    """Whether a condition certainly holds."""
    return all(domains[key].within(allowed) for key, allowed in condition.items())


def narrow(product: _model.Product, chosen: Mapping[str, _model.Value]) -> Domains:
    """The values that each option can still have, chosen ones included. The values must have been checked.

    Raises SpecificationError naming the constraint that cannot hold any more. Only what follows from one constraint at
    a time is found: with options left open, no error does not mean that a specification exists.
    """
    domains = {
        key: _model.domain_of(option, chosen[key]) if key in chosen else _model.full_domain(option)
        for key, option in product.by_key.items()
    }
    return narrow_from(product, domains)


def narrow_from(product: _model.Product, domains: Domains) -> Domains:
    """As `narrow`, from what is left of each option."""
    clauses = [(constraint, clause) for constraint in product.constraints for clause in _clauses(constraint)]
    changed = True
    # Every round but the last takes a value away, and there are finitely many; a span shrinks to a constraint's edge.
    while changed:
        changed = False
        for constraint, clause in clauses:
            open_parts = [part for part in clause if not part.is_sure(domains[part.key])]
            if not open_parts:
                raise _violation(product, constraint, domains)
            if len(open_parts) == 1:  # denying one that is impossible anyway takes nothing away
                [part] = open_parts
                left = part.deny(domains[part.key])
                changed |= left != domains[part.key]
                domains = {**domains, part.key: left}
    return domains


def find_broken(product: _model.Product, domains: Domains) -> _Clause:
    """Parts that must not all be so, and certainly are; empty if the constraints leave none such."""
    clauses = (clause for constraint in product.constraints for clause in _clauses(constraint))
    return next((one for one in clauses if all(part.is_sure(domains[part.key]) for part in one)), ())


def _clauses(constraint: _model.Constraint) -> Iterator[_Clause]:
    given = tuple(Part(key, allowed, True) for condition in constraint.conditions for key, allowed in condition.items())
    if constraint.then is None:
        yield given
        return
    for key, allowed in constraint.then.items():
        yield (*given, Part(key, allowed, False))


def _violation(product: _model.Product, constraint: _model.Constraint, domains: Domains) -> SpecificationError:
    known = product.by_key
    given = [
        " with ".join(f"{key} {_model.describe(known[key], domains[key])}" for key in condition)
        for condition in constraint.conditions
    ]
    hint = "change one of them"
    if constraint.then is None:
        return SpecificationError(f"{' and '.join(given)} exclude each other", hint=hint)
    broken = [key for key, allowed in constraint.then.items() if not domains[key].within(allowed)]
    needs = " and ".join(f"{key} {_model.describe(known[key], constraint.then[key])}" for key in broken)
    instead = " and ".join(_model.describe(known[key], domains[key]) for key in broken)
    return SpecificationError(f"{given[0]} needs {needs}, not {instead}", hint=hint)


@dataclass(frozen=True, slots=True)
class Operation:
    """A step of the route, with the needs that follow from the choices."""

    name: str
    kind: str
    """Kind of operation that the machine has to be capable of."""
    values: Mapping[str, _model.Value]
    """What the capability must include, such as {"diameter_mm": 80}."""
    minutes: int
    """Indicative time for one piece."""

    def to_json(self) -> dict[str, Json]:
        """The operation as an order's document has it: {"name", "need": {"kind", "values"}}."""
        return {"name": self.name, "need": {"kind": self.kind, "values": dict(self.values)}}


@dataclass(frozen=True, slots=True)
class Configuration:
    """A product with all options chosen so that every constraint holds, and what follows."""

    product: _model.Product
    options: Mapping[str, _model.Value]
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
        """The hours that the chosen values add until a piece is ready. They wait at the same time: the longest counts.
        None where no value states hours."""
        return max((one.lead_hours for one in self._choices() if one.lead_hours is not None), default=None)

    def _choices(self) -> list[_model.Choice]:
        options = [option for option in self.product.options if isinstance(option, _model.ChoiceOption)]
        return [one for option in options for one in option.choices if one.value == self.options[option.key]]

    @property
    def specification(self) -> dict[str, Json]:
        """What the order's document has: {"product": digest, "options": ...}."""
        return {"product": "0x" + self.product.digest.hex(), "options": dict(self.options)}


def configure(product: _model.Product, chosen: Mapping[str, object]) -> Configuration:
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


def verify_specification(product: _model.Product, options: Mapping[str, object]) -> Configuration:
    """As `configure`, for a specification that must have every option. Raises SpecificationError."""
    made = configure(product, options)
    if made.implied:
        raise SpecificationError(f"the specification lacks the option {made.implied[0]}", hint="name every option")
    return made


def find_possible(product: _model.Product, chosen: Mapping[str, object]) -> Domains:
    """The values that each option can still have beside the chosen ones; of a text, the lengths. Raises
    SpecificationError if the chosen ones exclude each other."""
    return narrow(product, _checked(product, chosen))


def parse_choices(product: _model.Product, pairs: Sequence[str]) -> dict[str, _model.Value]:
    """Read choices as people write them, KEY=VALUE. Raises SpecificationError."""
    found: dict[str, _model.Value] = {}
    for pair in pairs:
        key, sign, text = pair.partition("=")
        if not sign:
            raise SpecificationError(f"{pair[:80]!a} has no value", hint="write KEY=VALUE")
        if key in found:
            raise SpecificationError(f"the option {key} is given twice", hint="leave one of them out")
        found[key] = _model.read_value(_option(product, key), text)
    return found


def _checked(product: _model.Product, chosen: Mapping[str, object]) -> dict[str, _model.Value]:
    return {key: _model.check_value(_option(product, key), value) for key, value in chosen.items()}


def _option(product: _model.Product, key: str) -> _model.Option:
    known = product.by_key
    if key not in known:
        raise SpecificationError(
            f"the product {product.product} has no option {str(key)[:40]!a}", hint=f"its options: {', '.join(known)}"
        )
    return known[key]


def _fill(product: _model.Product, given: Mapping[str, _model.Value]) -> dict[str, _model.Value]:
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


def _only(option: _model.Option, domain: _model.Domain) -> _model.Value | None:
    """The one value that is left; None if there are more."""
    if not domain.is_single:
        return None
    if isinstance(domain, _model.Span):
        # Of a text, only the length is known: a text of one length is still the buyer's own.
        return domain.least if isinstance(option, _model.IntegerOption) else "" if domain.least == 0 else None
    return domain.values[0]


def _may_be_empty(option: _model.Option, domain: _model.Domain) -> bool:
    return isinstance(option, _model.TextOption) and isinstance(domain, _model.Span) and domain.least == 0


def _how(option: _model.Option, domain: _model.Domain) -> str:
    if isinstance(option, _model.ChoiceOption):
        return f"choose {domain}"
    return f"give {_model.describe(option, domain)}" + (
        f" ({option.unit})" if isinstance(option, _model.IntegerOption) else ""
    )


def price_of(option: _model.Option, value: _model.Value) -> int:
    if isinstance(option, _model.ChoiceOption):
        return next(choice.price for choice in option.choices if choice.value == value)
    if isinstance(option, _model.IntegerOption):
        return option.price_per * int(value)
    return option.price if value else 0


def _is_done(step: _model.Step, domains: Domains) -> bool:
    return step.when is None or holds(step.when, domains)


def _operation(step: _model.Step, options: Mapping[str, _model.Value]) -> Operation:
    values = {
        key: options[one.key] if isinstance(one, _model.FromOption) else one for key, one in step.need.values.items()
    }
    return Operation(step.name, step.need.kind, values, step.minutes)


# Searches for specifications: one that completes some choices, the cheapest that does, and choices that none has.

_MAX_TRIED: Final = 5_000
"""Choices tried at most: a product's constraints can make a search as long as its author likes."""
_MAX_PRICED: Final = 500
"""Sets of values of which the cheapest are looked at, at most, for the same reason; a page waits for it."""
Order: TypeAlias = Callable[[_model.Option, Sequence[_model.Value]], Sequence[_model.Value]]
"""Takes an option and values that it could have; returns them in the order in which they are to be tried."""


def complete(
    product: _model.Product, chosen: Mapping[str, _model.Value], order: Order = lambda _, values: values
) -> Configuration | None:
    """Return an acceptable specification with the chosen values; None if there is none. Raises SpecificationError if
    that is not known after 5,000 choices."""
    left = [_MAX_TRIED]
    return next(_completions(product, dict(chosen), order, left), None)


def find_cheapest(product: _model.Product, chosen: Mapping[str, _model.Value]) -> Configuration | None:
    """Return the cheapest acceptable specification with the chosen values; None if there is none.

    A value costs the same whatever the others are, and numbers and texts cost least where they are least: so options
    that no constraint links are judged apart, and of the others only what a broken constraint forbids is taken away.

    Raises SpecificationError if it is not known after 500 looks: the price would be a guess.
    """
    try:
        domains = find_possible(product, chosen)
    except SpecificationError:
        return None
    found, left = dict(domains), [_MAX_PRICED]
    for keys in _linked(product, domains):
        cheapest = _cheapest(product, keys, domains, left)
        if cheapest is None:
            return None
        found |= cheapest
    return configure(product, {one.key: chosen.get(one.key, _least(one, found[one.key])) for one in product.options})


def _linked(product: _model.Product, domains: Domains) -> list[set[str]]:
    """The options that are still open, in groups between which no constraint is."""
    groups: list[set[str]] = [{key} for key, domain in domains.items() if not domain.is_single]
    for constraint in product.constraints:
        keys = _keys(constraint)
        joined = [group for group in groups if group & keys]
        if joined:
            groups = [*(group for group in groups if not group & keys), set().union(*joined)]
    return groups


def _keys(constraint: _model.Constraint) -> set[str]:
    return {key for condition in (*constraint.conditions, constraint.then or {}) for key in condition}


def _cheapest(product: _model.Product, keys: set[str], domains: Domains, left: list[int]) -> Domains | None:
    """The one value of each of `keys` that together cost least, of those that the constraints on them allow."""
    linked = tuple(one for one in product.constraints if keys & _keys(one))
    part, options = replace(product, constraints=linked), [one for one in product.options if one.key in keys]
    waiting, pushed = [(0, 0, domains)], itertools.count(1)
    while waiting:
        left[0] -= 1
        if left[0] < 0:
            raise SpecificationError(
                f"what {product.product} costs at least is not known after {_MAX_PRICED} looks",
                hint="choose more options",
            )
        _, _, still = heapq.heappop(waiting)  # what costs least if nothing is broken
        tried = {**still, **{one.key: _model.domain_of(one, _least(one, still[one.key])) for one in options}}
        broken = find_broken(part, tried)
        if not broken:
            return {key: tried[key] for key in keys}
        for one in broken:
            narrowed = _narrowed(part, {**still, one.key: one.deny(still[one.key])})
            if narrowed is not None:
                costs = sum(price_of(option, _least(option, narrowed[option.key])) for option in options)
                heapq.heappush(waiting, (costs, next(pushed), narrowed))
            still = {**still, one.key: one.grant(still[one.key])}  # the others are looked at below it
    return None


def _narrowed(product: _model.Product, domains: Domains) -> Domains | None:
    """What the constraints leave of the domains; None if they leave nothing of one."""
    if any(one.least > one.most if isinstance(one, _model.Span) else not one.values for one in domains.values()):
        return None
    try:
        return narrow_from(product, domains)
    except SpecificationError:
        return None


def _least(option: _model.Option, domain: _model.Domain) -> _model.Value:
    """The cheapest value that is left."""
    if isinstance(domain, _model.Span):
        return _text(option, domain.least) if isinstance(option, _model.TextOption) else domain.least
    return min(domain.values, key=lambda value: price_of(option, value))


def _text(option: _model.TextOption, length: int) -> str:
    letter = next((one for one in option.characters or "A" if one != " "), "A")
    return letter * length


def find_unreachable(product: _model.Product) -> list[tuple[str, str]]:
    """Return (key, value) of choices that no acceptable specification has: mistakes of the product's author. Raises
    SpecificationError as `complete` does."""
    return [
        (option.key, value)
        for option in product.options
        if isinstance(option, _model.ChoiceOption)
        for value in option.values
        if complete(product, {option.key: value}) is None
    ]


def _completions(
    product: _model.Product, chosen: dict[str, _model.Value], order: Order, left: list[int]
) -> Iterator[Configuration]:
    left[0] -= 1
    if left[0] < 0:
        raise SpecificationError(
            f"whether the constraints of {product.product} can hold is not known after {_MAX_TRIED} choices",
            hint="choose more options",
        )
    try:
        domains = find_possible(product, chosen)
    except SpecificationError:
        return
    option = next((one for one in product.options if one.key not in chosen), None)
    if option is None:
        yield configure(product, chosen)
        return
    for value in order(option, _values(product, option, domains[option.key])):
        yield from _completions(product, {**chosen, option.key: value}, order, left)


def _values(product: _model.Product, option: _model.Option, domain: _model.Domain) -> list[_model.Value]:
    """Values to try: all choices; of numbers and lengths, those at which some constraint changes, and both ends."""
    if not isinstance(domain, _model.Span):
        return list(domain.values)
    points = {domain.least, domain.most}
    for constraint in product.constraints:
        for condition in (*constraint.conditions, constraint.then or {}):
            allowed = condition.get(option.key)
            if isinstance(allowed, _model.Span):
                points |= {allowed.least - 1, allowed.least, allowed.most, allowed.most + 1}
    inside = sorted(point for point in points if domain.least <= point <= domain.most)
    return [_text(option, length) for length in inside] if isinstance(option, _model.TextOption) else list(inside)


# The document of an order for a configured product: built by its buyer, checked by whoever reads it.

FindProduct: TypeAlias = Callable[[bytes], _model.Product | None]
"""Returns the product with a digest; None if it is not known."""


def build_order_document(made: Configuration) -> dict[str, Json]:
    """Return the claims document of an order: specification, operations, passport, and the product as one text. The
    operations are by number, counting from 0, as an assignment's hand-over takes one of them out."""
    return {
        "specification": made.specification,
        "operations": _operations(made.operations),
        "passport": {"productName": _model.name_in(made.product.names, "en")},
        # One field, because a document's fields disclose the structure of all of them: who gets another field learns
        # nothing about the price list. Its bytes are those that the digest is about.
        "product": made.product.canonical.decode(),
    }


def verify_order_document(
    document: Mapping[str, Json], operations: int | None, find: FindProduct
) -> Configuration | None:
    """Check the specification in an order's document, where it names a product that is known.

    1. The specification has the members product and options, and nothing else.
    2. The product is the one in the document, whose digest must be that of the specification, or else one that `find`
       knows.
    3. The specification has every option, each is allowed, and all constraints hold.
    4. The order has as many operations as the route (unless `operations` is None: there is no order yet), and those in
       the document are the route's.

    Returns what was ordered; None, with nothing established, if the document has no specification of a product, or the
    product is not known. Raises SpecificationError, or ProductError for the product in the document.
    """
    specification = document.get("specification")
    if not isinstance(specification, Mapping) or "product" not in specification:
        return None
    digest, options = _parse_specification(specification)
    product = _product_in(document, digest) or find(digest)
    if product is None:
        return None
    made = verify_specification(product, options)
    if operations not in (None, len(made.operations)):
        raise SpecificationError(
            f"this {product.product} takes {len(made.operations)} operations, not {operations}",
            hint="the number of operations follows from the options",
        )
    if canonical_json(document.get("operations")) != canonical_json(_operations(made.operations)):
        raise SpecificationError(
            "the operations in the order's document are not those of the product's route",
            hint="write them as `millmark products configure` does",
        )
    return made


def _parse_specification(specification: Mapping[str, Json]) -> tuple[bytes, Mapping[str, Json]]:
    digest, options = specification["product"], specification.get("options")
    if specification.keys() != {"product", "options"} or not isinstance(options, Mapping):
        raise SpecificationError(
            "the specification does not have the members product and options", hint='such as {"product": "0x...", ...}'
        )
    try:
        return parse_hex32(digest if isinstance(digest, str) else ""), options
    except CanonicalError as error:
        raise SpecificationError(f"the specification's product: {error.cause}", hint=error.hint) from None


def _product_in(document: Mapping[str, Json], digest: bytes) -> _model.Product | None:
    text = document.get("product")
    if text is None:
        return None
    if not isinstance(text, str):
        raise SpecificationError("the product in the order's document is not a text")
    product = parse_product(text.encode("utf-8", "surrogatepass"))
    if product.digest != digest:
        raise SpecificationError(
            "the product in the order's document is not the one that its specification names",
            hint=f"its digest is 0x{product.digest.hex()}",
        )
    return product


def _operations(operations: tuple[Operation, ...]) -> dict[str, Json]:
    return {str(number): operation.to_json() for number, operation in enumerate(operations)}
