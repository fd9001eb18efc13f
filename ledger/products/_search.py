"""Searches for specifications: one that completes some choices, and choices that none has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from ledger.errors import SpecificationError
from ledger.products._configure import Configuration, configure, find_possible
from ledger.products._domains import Domain, Span
from ledger.products._model import ChoiceOption, IntegerOption, Option, Product
from ledger.products._values import Value

__all__ = ["complete", "find_unreachable"]

_MAX_TRIED: Final = 5_000
"""Choices tried at most: a product's constraints can make a search as long as its author likes."""
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
    if isinstance(option, ChoiceOption | IntegerOption):
        return list(inside)
    letter = next((one for one in option.characters or "A" if one != " "), "A")
    return [letter * length for length in inside]
