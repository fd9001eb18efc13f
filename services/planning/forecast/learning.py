"""Learns preferences from orders, by the logit model of `millmark.quality.preference`. Needs numpy and torch.

Every option that has a list of values is one choice in every order: among its values, at their prices, with the work
that each adds, and with the CO2e and the lead time that the product states for them. One model over all of them has a
coefficient for each of these, the same for all options, and a constant for each value, held back towards zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from millmark.ledger.products import Choice, ChoiceOption, Product, ValueSet
from millmark.quality.preference import Choices, Fitted, build_choices
from millmark.quality.preference.logit import fit_logit
from millmark.services.planning.forecast.document import Ordered

_PRICE = "price"
_WORTH: Final = {
    "minutes": (1, "minute of work"),
    "co2e_mg": (1_000_000, "kg of CO2e"),
    "lead_hours": (1, "hour of lead time"),
}
"""Attributes that buyers may pay to have less of: in how many of their units what they are worth is told, and the
word for that."""


def learn_options(
    product: Product, options: Sequence[ChoiceOption], orders: Sequence[Ordered]
) -> tuple[dict[str, list[float]], dict[str, tuple[int, int]], list[str]]:
    """For each option the shares of its values; what less of an attribute is worth, as `Preferences` has it; notes."""
    choices, starts = _choices(product, options, orders)
    constants = [name for name in choices.names if name not in (_PRICE, *_WORTH)]
    fitted = fit_logit(choices, held_back=constants)
    shares = {}
    for option in options:
        predicted = fitted.shares(choices.pick([starts[option.key]]))[0]
        shares[option.key] = [float(one) for one in predicted[: len(option.values)]]
    return shares, _worth(fitted), [note for note in fitted.notes if not note.startswith(tuple(constants))]


def _choices(
    product: Product, options: Sequence[ChoiceOption], orders: Sequence[Ordered]
) -> tuple[Choices, Mapping[str, int]]:
    """Each option of each order as a choice, and where each option's choices begin."""
    constants = [(option.key, value) for option in options for value in option.values[1:]]
    # Work, and what else the product states of at least one value.
    choices = [choice for option in options for choice in option.choices]
    stated = [name for name in _WORTH if name == "minutes" or any(getattr(one, name) is not None for one in choices)]
    attributes = (_PRICE, *stated)
    names = (*attributes, *(f"{key}={value}" for key, value in constants))
    most = max(len(option.values) for option in options)
    rows: list[NDArray[np.int64]] = []
    there: list[list[bool]] = []
    taken: list[int] = []
    people: list[int] = []
    starts: dict[str, int] = {}
    for option in options:
        starts[option.key] = len(rows)
        block = np.zeros((most, len(names)), dtype=np.int64)
        for place, choice in enumerate(option.choices):
            block[place, 0] = choice.price
            for number, name in enumerate(stated, 1):
                block[place, number] = _attribute(product, option.key, choice, name)
            if place:
                block[place, len(attributes) + constants.index((option.key, choice.value))] = 1
        for number, one in enumerate(orders):
            if one.options.get(option.key) in option.values:
                rows.append(block)
                there.append([place < len(option.values) for place in range(most)])
                taken.append(option.values.index(one.options[option.key]))
                people.append(number)
    whole = np.abs(np.array(rows)).max(axis=(0, 1))
    scales = *(max(1, int(one)) for one in whole[: len(attributes)]), *(1 for _ in constants)
    made = build_choices(np.array(rows), np.array(there), np.array(taken), names, scales, np.array(people))
    return made, starts


def _attribute(product: Product, option: str, choice: Choice, name: str) -> int:
    """What is not stated of a value counts as nothing added: its constant has the rest."""
    return _work_of_value(product, option, choice.value) if name == "minutes" else getattr(choice, name) or 0


def _work_of_value(product: Product, option: str, value: str) -> int:
    """Minutes of the steps that this value calls for, and another one of the same option would not."""
    found = 0
    for step in product.route:
        domain = None if step.when is None else step.when.get(option)
        if isinstance(domain, ValueSet) and value in domain.values:
            found += step.minutes
    return found


def _worth(fitted: Fitted) -> dict[str, tuple[int, int]]:
    """What less of an attribute is worth, where more of it, and a higher price, make a value less wanted: no other
    ratio is a price."""
    found = {}
    for name, (units, word) in _WORTH.items():
        if name not in fitted.names or fitted.coefficients[fitted.names.index(name)] >= 0:
            continue
        if fitted.coefficients[fitted.names.index(_PRICE)] >= 0:
            continue
        ratio = fitted.ratio(name, _PRICE)
        if ratio.error is not None:
            found[word] = round(ratio.value * 1000 * units), round(ratio.error * 1000 * units)
    return found
