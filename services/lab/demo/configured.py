"""What the demonstration's buyer orders: another configuration of the product every time, the same in every run."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final

from millmark.ledger.errors import InputError
from millmark.ledger.products import ChoiceOption, Configuration, IntegerOption, Option, Product, Value, complete

__all__ = ["TEXTS", "choose_options"]

TEXTS: Final = ("for Mara", "No. 7", "Team Blue", "1998", "M. K.", "Ahoy", "MK", "JO", "A-1007", "B-2210")
"""What buyers have written on their pieces, where it fits."""


def choose_options(product: Product, index: int) -> Configuration:
    """The configuration of an order, counted from 0. Raises InputError if the product's constraints allow none."""
    random = Random(f"{product.product}-{index}")  # noqa: S311 - not a secret: the same orders in every run

    def order(option: Option, values: Sequence[Value]) -> list[Value]:
        return _order(random, option, values)

    made = complete(product, {}, order)
    if made is None:
        raise InputError(f"no specification satisfies the constraints of {product.product}")
    return made


def _order(random: Random, option: Option, values: Sequence[Value]) -> list[Value]:
    """Values in the order in which they are tried: a drawn one first."""
    numbers = [one for one in values if isinstance(one, int)]
    if isinstance(option, IntegerOption):
        return [random.randint(min(numbers), max(numbers)), *values]
    if isinstance(option, ChoiceOption):
        return random.sample(values, len(values))
    allowed = None if option.characters is None else set(option.characters)
    fitting = [
        one for one in TEXTS if option.least <= len(one) <= option.most and (allowed is None or set(one) <= allowed)
    ]
    empty = [""] if option.least == 0 else []
    return [*random.sample([*fitting, *empty], len(fitting) + len(empty)), *values]
