"""The cheapest of a product is what trying everything would find; where that takes too long, it is not guessed."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millmark.ledger.canonical import canonical_json
from millmark.ledger.errors import SpecificationError
from millmark.ledger.products import ChoiceOption, IntegerOption, Option, Product, Value, find_cheapest, parse_product
from millmark.services.products import Catalogue
from tests.unit.ledger.made_up_products import choices, plainly_holds, products


def everything(option: Option, edges: Collection[int] = ()) -> list[Value]:
    """All values of an option; of more than 20 numbers or lengths, only `edges`."""
    if isinstance(option, ChoiceOption):
        return list(option.values)
    span = range(option.least, option.most + 1)
    sizes = span if len(span) <= 20 else sorted(set(edges) & set(span))
    return (
        list(sizes) if isinstance(option, IntegerOption) else [(option.characters or "A")[0] * size for size in sizes]
    )


def edges_of(product: Product) -> dict[str, set[int]]:
    """By option, the numbers or lengths beside which a constraint, or the option itself, changes."""
    document: Any = product.to_json()
    found = {one["key"]: set(one.get("integer", one.get("text", []))) for one in document["options"]}
    for one in document["constraints"]:
        for condition in one.get("excludes", [one.get("if", {}), one.get("then", {})]):
            for key, allowed in condition.items():
                found[key] |= {size + by for size in allowed if isinstance(size, int) for by in (-1, 0, 1)}
    return found


def acceptable(product: Product, chosen: Mapping[str, Value]) -> list[tuple[dict[str, Value], int]]:
    """All specifications with what is chosen that the constraints allow, and their prices."""
    edges, keys = edges_of(product), [option.key for option in product.options]
    every = ([chosen[one.key]] if one.key in chosen else everything(one, edges[one.key]) for one in product.options)
    tried = (dict(zip(keys, values, strict=True)) for values in itertools.product(*every))
    return [(one, plain_price(product, one)) for one in tried if plainly_holds(product, one)]


def plain_price(product: Product, chosen: Mapping[str, Value]) -> int:
    document: Any = product.to_json()
    price = int(document["price"])
    for one in document["options"]:
        value = chosen[one["key"]]
        adds = {choice["value"]: choice["price"] for choice in one.get("choices", ())}
        price += adds[value] if adds else one["price_per"] * value if "integer" in one else one["price"] * bool(value)
    return price


@given(st.data())
def test_the_cheapest_that_goes_with_what_is_chosen_is_found(data: st.DataObject) -> None:
    product = data.draw(products())
    chosen = data.draw(choices(product))
    made = find_cheapest(product, chosen)
    prices = [price for _, price in acceptable(product, chosen)]
    assert (None if made is None else made.price) == min(prices, default=None)
    assert made is None or {**made.options, **chosen} == made.options


@pytest.mark.parametrize(
    ("name", "price"), [("appliance", 3450), ("crankshaft", 47_600), ("garment", 6900), ("implant", 150_000)]
)
def test_the_cheapest_of_each_shipped_product(name: str, price: int) -> None:
    """And beside each value of each option."""
    product = Catalogue().find(name)
    made = find_cheapest(product, {})
    assert made is not None
    assert made.price == price
    found, edges = acceptable(product, {}), edges_of(product)
    for key, value in ((one.key, value) for one in product.options for value in everything(one, edges[one.key])):
        beside = find_cheapest(product, {key: value})
        least = min((price for one, price in found if one[key] == value), default=None)
        assert (None if beside is None else beside.price) == least, (key, value)


def test_options_that_no_constraint_links_are_priced_apart() -> None:
    """Of 30 pairs, the cheapest values of each exclude each other: together these are 3 to the 30th ways."""
    prices = {"0": 0, "1": 1, "2": 2}
    values = [{"value": value, "names": {"en": value}, "price": adds} for value, adds in prices.items()]
    document = _plain([{"key": f"o{number}", "names": {"en": "o"}, "choices": values} for number in range(60)])
    document["constraints"] = [{"excludes": [{f"o{one}": ["0"]}, {f"o{one + 1}": ["0"]}]} for one in range(0, 60, 2)]
    made = find_cheapest(parse_product(canonical_json(document)), {})
    assert made is not None
    assert made.price == document["price"] + 30


def test_a_price_that_takes_too_long_to_find_is_not_guessed() -> None:
    """Each of 7 has to differ from each other, of 6 values: no price shows that this cannot be."""
    values = [{"value": str(one), "names": {"en": "v"}, "price": 0} for one in range(6)]
    document = _plain([{"key": f"o{number}", "names": {"en": "o"}, "choices": values} for number in range(7)])
    document["constraints"] = [
        {"excludes": [{f"o{a}": [str(one)]}, {f"o{b}": [str(one)]}]}
        for a, b in itertools.combinations(range(7), 2)
        for one in range(6)
    ]
    with pytest.raises(SpecificationError, match="not known after 500 looks"):
        find_cheapest(parse_product(canonical_json(document)), {})


def _plain(made: list[dict[str, Any]]) -> Any:
    """A document with these options and one step."""
    route = [{"name": "work", "need": {"kind": "work", "values": {}}, "minutes": 1}]
    document: Any = Catalogue().find("garment").to_json()
    return {**document, "options": made, "constraints": [], "route": route}
