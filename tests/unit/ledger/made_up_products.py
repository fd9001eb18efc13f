"""Products that nobody designed, choices of their options, and their constraints read by a few lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from millmark.ledger.canonical import Json, canonical_json
from millmark.ledger.products import ChoiceOption, IntegerOption, Option, Product, Value, parse_product

__all__ = ["choices", "has", "plainly_holds", "products", "values_of"]

KEYS = ("a", "b", "c", "d")


@st.composite
def conditions(draw: st.DrawFn, options: list[dict[str, Any]]) -> dict[str, Any]:
    chosen = draw(st.lists(st.sampled_from(options), min_size=1, max_size=2, unique_by=lambda one: str(one["key"])))
    return {one["key"]: draw(_allowed(one)) for one in chosen}


def _allowed(option: dict[str, Any]) -> st.SearchStrategy[list[Any]]:
    if "choices" in option:
        values = [choice["value"] for choice in option["choices"]]
        return st.lists(st.sampled_from(values), min_size=1, unique=True)
    low, high = option["integer"] if "integer" in option else option["text"]
    return st.lists(st.integers(low, high), min_size=2, max_size=2).map(sorted)


@st.composite
def options(draw: st.DrawFn, key: str) -> dict[str, Any]:
    names, price = {"en": key}, draw(st.integers(0, 9))
    kind = draw(st.sampled_from(["choices", "choices", "integer", "text"]))
    low = draw(st.integers(0, 2))
    if kind == "choices":
        values = draw(st.lists(st.sampled_from("xyz"), min_size=1, unique=True))
        prices = [draw(st.integers(0, 9)) for _ in values]
        priced = [{"value": one, "names": names, "price": adds} for one, adds in zip(values, prices, strict=True)]
        return {"key": key, "names": names, kind: priced}
    span = [low, low + draw(st.integers(0, 4))]
    if kind == "integer":
        return {"key": key, "names": names, kind: span, "unit": "mm", "price_per": price}
    return {"key": key, "names": names, kind: span, "price": price}


@st.composite
def products(draw: st.DrawFn) -> Product:
    made = [draw(options(key)) for key in KEYS[: draw(st.integers(1, len(KEYS)))]]
    rule = conditions(made)
    constraints = st.one_of(
        st.fixed_dictionaries({"if": rule, "then": rule}),
        st.fixed_dictionaries({"excludes": st.lists(rule, min_size=2, max_size=3)}),
    )
    needed = [{"option": one["key"]} for one in made if "text" not in one] + [1, "steel"]
    step = st.fixed_dictionaries(
        {
            "need": st.fixed_dictionaries(
                {"kind": st.just("work"), "values": st.dictionaries(st.sampled_from("pq"), st.sampled_from(needed))}
            ),
            "minutes": st.integers(1, 99),
        },
        optional={"when": rule},
    )
    steps: list[Any] = draw(st.lists(step, max_size=3))
    route: list[Json] = [{"name": "first", "need": {"kind": "begin", "values": {}}, "minutes": 1}]
    route += [{"name": f"step {number}", **one} for number, one in enumerate(steps)]
    document: Json = {
        "format": "millmark.product",
        "version": 1,
        "product": "thing",
        "names": {"en": "thing"},
        "currency": "EUR/100",
        "price": draw(st.integers(0, 2**40)),
        "options": made,
        "constraints": draw(st.lists(constraints, max_size=4)),
        "route": route,
    }
    return parse_product(canonical_json(document))


def values_of(option: Option) -> st.SearchStrategy[Value]:
    if isinstance(option, ChoiceOption):
        return st.sampled_from(option.values)
    if isinstance(option, IntegerOption):
        return st.integers(option.least, option.most)
    return st.text("AB", min_size=option.least, max_size=option.most)


@st.composite
def choices(draw: st.DrawFn, product: Product) -> dict[str, Value]:
    """Some of a product's options, each with a value that it allows."""
    return {option.key: draw(values_of(option)) for option in product.options if draw(st.booleans())}


def plainly_holds(product: Product, chosen: Mapping[str, Value]) -> bool:
    """The constraints, read from the document by a few lines that know nothing of sets of values."""

    def condition(one: Mapping[str, Any]) -> bool:
        return all(has(chosen[key], allowed) for key, allowed in one.items())

    document: Any = product.to_json()
    return not any(
        all(map(condition, one["excludes"]))
        if "excludes" in one
        else condition(one["if"]) and not condition(one["then"])
        for one in document["constraints"]
    )


def has(value: Value, allowed: list[Any]) -> bool:
    if isinstance(allowed[0], str):
        return value in allowed
    size = value if isinstance(value, int) else len(value)
    return bool(allowed[0] <= size <= allowed[1])
