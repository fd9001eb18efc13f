"""Searches for specifications: one that completes some choices, the cheapest that does, and choices that none has."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeAlias

from millmark.ledger.errors import SpecificationError
from millmark.ledger.products._configure import Configuration, configure, find_possible, price_of
from millmark.ledger.products._domains import Domain, Span
from millmark.ledger.products._model import ChoiceOption, Constraint, Option, Product, TextOption
from millmark.ledger.products._narrow import Domains, find_broken, narrow_from
from millmark.ledger.products._values import Value, domain_of

_MAX_TRIED: Final = 5_000
"""Choices tried at most: a product's constraints can make a search as long as its author likes."""
_MAX_PRICED: Final = 500
"""Sets of values of which the cheapest are looked at, at most, for the same reason; a page waits for it."""
Order: TypeAlias = Callable[[Option, Sequence[Value]], Sequence[Value]]
"""Takes an option and values that it could have; returns them in the order in which they are to be tried."""


def complete(
    product: Product, chosen: Mapping[str, Value], order: Order = lambda _, values: values
) -> Configuration | None:
    """Return an acceptable specification with the chosen values; None if there is none.

    Raises SpecificationError if that is not known after 5,000 choices.
    """
    left = [_MAX_TRIED]
    return next(_completions(product, dict(chosen), order, left), None)


def find_cheapest(product: Product, chosen: Mapping[str, Value]) -> Configuration | None:
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


def _linked(product: Product, domains: Domains) -> list[set[str]]:
    """The options that are still open, in groups between which no constraint is."""
    groups: list[set[str]] = [{key} for key, domain in domains.items() if not domain.is_single]
    for constraint in product.constraints:
        keys = _keys(constraint)
        joined = [group for group in groups if group & keys]
        if joined:
            groups = [*(group for group in groups if not group & keys), set().union(*joined)]
    return groups


def _keys(constraint: Constraint) -> set[str]:
    return {key for condition in (*constraint.conditions, constraint.then or {}) for key in condition}


def _cheapest(product: Product, keys: set[str], domains: Domains, left: list[int]) -> Domains | None:
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
        tried = {**still, **{one.key: domain_of(one, _least(one, still[one.key])) for one in options}}
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


def _narrowed(product: Product, domains: Domains) -> Domains | None:
    """What the constraints leave of the domains; None if they leave nothing of one."""
    if any(one.least > one.most if isinstance(one, Span) else not one.values for one in domains.values()):
        return None
    try:
        return narrow_from(product, domains)
    except SpecificationError:
        return None


def _least(option: Option, domain: Domain) -> Value:
    """The cheapest value that is left."""
    if isinstance(domain, Span):
        return _text(option, domain.least) if isinstance(option, TextOption) else domain.least
    return min(domain.values, key=lambda value: price_of(option, value))


def _text(option: TextOption, length: int) -> str:
    letter = next((one for one in option.characters or "A" if one != " "), "A")
    return letter * length


def find_unreachable(product: Product) -> list[tuple[str, str]]:
    """Return (key, value) of choices that no acceptable specification has: mistakes of the product's author.

    Raises SpecificationError as `complete` does.
    """
    return [
        (option.key, value)
        for option in product.options
        if isinstance(option, ChoiceOption)
        for value in option.values
        if complete(product, {option.key: value}) is None
    ]


def _completions(product: Product, chosen: dict[str, Value], order: Order, left: list[int]) -> Iterator[Configuration]:
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


def _values(product: Product, option: Option, domain: Domain) -> list[Value]:
    """Values to try: all choices; of numbers and lengths, those at which some constraint changes, and both ends."""
    if not isinstance(domain, Span):
        return list(domain.values)
    points = {domain.least, domain.most}
    for constraint in product.constraints:
        for condition in (*constraint.conditions, constraint.then or {}):
            allowed = condition.get(option.key)
            if isinstance(allowed, Span):
                points |= {allowed.least - 1, allowed.least, allowed.most, allowed.most + 1}
    inside = sorted(point for point in points if domain.least <= point <= domain.most)
    return [_text(option, length) for length in inside] if isinstance(option, TextOption) else list(inside)
