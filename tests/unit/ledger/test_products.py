"""Products: a document has one digest, an accepted specification has a route and a price, and nothing else passes."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.canonical import Json, canonical_json, parse_json
from ledger.errors import IdentifierError, ProductError, SpecificationError
from ledger.products import (
    MAX_BYTES,
    ChoiceOption,
    IntegerOption,
    Option,
    Product,
    TextOption,
    Value,
    build_mark,
    build_order_document,
    complete,
    configure,
    element_string,
    find_cheapest,
    find_possible,
    find_unreachable,
    money,
    parse_choices,
    parse_product,
    verify_order_document,
    verify_specification,
)
from services.products import Catalogue

VECTORS: Mapping[str, list[dict[str, Any]]] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "products.json").read_text(encoding="utf-8")
)
DOCUMENTS, SPECIFICATIONS, ORDERS = (VECTORS[name] for name in ("documents", "specifications", "orders"))


def says(case: dict[str, Any]) -> str:
    return str(case["says"])


def bracket() -> Product:
    return parse_product(canonical_json(DOCUMENTS[0]["document"]))


def document_of(case: dict[str, Any], first: Any) -> Any:
    """The case's document; or the first one of the list, changed."""
    if "document" in case or case["change"] is None:
        return case.get("document", first)
    found = copy.deepcopy(first)
    (*path, last), *value = case["change"]
    place = found
    for step in path:
        place = place[step]
    if value:
        place[last] = value[0]
    else:
        del place[last]
    return found


@pytest.mark.parametrize("case", DOCUMENTS, ids=says)
def test_documents(case: dict[str, Any]) -> None:
    data = canonical_json(document_of(case, DOCUMENTS[0]["document"]))
    if "refused" in case:
        with pytest.raises(ProductError) as refused:
            parse_product(data)
        assert case["refused"] in str(refused.value)
        assert "\n" not in str(refused.value)
    else:
        product = parse_product(data)
        assert "0x" + product.digest.hex() == case["digest"]
        assert product.canonical == data


@pytest.mark.parametrize("case", SPECIFICATIONS, ids=says)
def test_specifications(case: dict[str, Any]) -> None:
    if "refused" in case:
        with pytest.raises(SpecificationError) as refused:
            configure(bracket(), case["options"])
        assert case["refused"] in str(refused.value)
        return
    made = configure(bracket(), case["options"])
    assert (made.specification, list(made.implied)) == (case["specification"], case["implied"])
    assert (made.price, made.minutes) == (case["price"], case["minutes"])
    assert [operation.to_json() for operation in made.operations] == case["operations"]


@pytest.mark.parametrize("case", ORDERS, ids=says)
def test_documents_of_orders(case: dict[str, Any]) -> None:
    document, known = document_of(case, ORDERS[0]["document"]), bracket()
    find = {known.digest: known}.get if case.get("known", True) else lambda _: None
    if "refused" in case:
        with pytest.raises((SpecificationError, ProductError)) as refused:
            verify_order_document(document, case["operations"], find)
        assert case["refused"] in str(refused.value)
    else:
        made = verify_order_document(document, case["operations"], find)
        assert (made is not None) is case["known"]


def test_there_are_more_refusals_than_acceptances() -> None:
    for cases in VECTORS.values():
        assert sum("refused" in case for case in cases) > len(cases) / 2


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{", b'{"format":"millmark.product","format":"x"}', b"\xff", b" " * 10**6]
)
def test_what_is_no_json_object_is_refused(data: bytes) -> None:
    with pytest.raises(ProductError):
        parse_product(data)


def test_a_product_that_is_too_large_for_an_order_is_refused() -> None:
    document: Any = copy.deepcopy(DOCUMENTS[0]["document"])
    text = {"en": "x" * 200}
    document["options"][0]["choices"] += [{"value": f"v{number}", "names": text, "price": 0} for number in range(60)]
    document["options"][1]["choices"] += [{"value": f"v{number}", "names": text, "price": 0} for number in range(60)]
    with pytest.raises(ProductError, match=f"more than {MAX_BYTES} bytes"):
        parse_product(canonical_json(document))


# Properties over products that nobody designed

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
        return all(_has(chosen[key], allowed) for key, allowed in one.items())

    document: Any = product.to_json()
    return not any(
        all(map(condition, one["excludes"]))
        if "excludes" in one
        else condition(one["if"]) and not condition(one["then"])
        for one in document["constraints"]
    )


def _has(value: Value, allowed: list[Any]) -> bool:
    if isinstance(allowed[0], str):
        return value in allowed
    size = value if isinstance(value, int) else len(value)
    return bool(allowed[0] <= size <= allowed[1])


@given(products())
def test_a_document_is_read_as_it_was_written(product: Product) -> None:
    again = parse_product(product.canonical)
    assert again == product
    assert (again.digest, again.canonical) == (product.digest, product.canonical)
    pretty = json.dumps(product.to_json(), indent=1).encode()
    assert parse_product(pretty).digest == product.digest


@given(st.data())
def test_an_accepted_specification_has_a_route_a_price_and_an_order(data: st.DataObject) -> None:
    product = data.draw(products())
    chosen = data.draw(choices(product))
    try:
        made = configure(product, chosen)
    except SpecificationError:
        return
    assert list(made.options) == [option.key for option in product.options]
    assert {**made.options, **chosen} == made.options
    assert plainly_holds(product, made.options)
    assert made.operations
    assert made.operations[0].name == "first"
    assert all(isinstance(value, str | int) for one in made.operations for value in one.values.values())
    assert product.price <= made.price < 2**53
    assert verify_specification(product, made.options) == configure(product, made.options)
    document: Any = parse_json(canonical_json(build_order_document(made)), max_bytes=10**6, max_depth=32)
    assert verify_order_document(document, len(made.operations), lambda _: None) is not None


@given(st.data())
def test_a_full_specification_is_accepted_exactly_if_every_constraint_holds(data: st.DataObject) -> None:
    product = data.draw(products())
    chosen = {option.key: data.draw(values_of(option)) for option in product.options}
    try:
        accepted = configure(product, chosen).options == chosen
    except SpecificationError:
        accepted = False
    assert accepted is plainly_holds(product, chosen)


@given(st.data())
def test_nothing_that_could_still_be_chosen_is_taken_away(data: st.DataObject) -> None:
    """Whatever a full, acceptable specification has is possible beside any part of it."""
    product = data.draw(products())
    made = complete(product, {})
    if made is None:
        return
    part = {key: value for key, value in made.options.items() if data.draw(st.booleans())}
    possible = find_possible(product, part)
    for option in product.options:
        value, domain = made.options[option.key], possible[option.key]
        assert _has(value, domain.to_json())  # type: ignore[arg-type]  # a list
    assert complete(product, part) is not None


# The cheapest


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
    """The first document, with other options and one step."""
    route = [{"name": "work", "need": {"kind": "work", "values": {}}, "minutes": 1}]
    return {**copy.deepcopy(DOCUMENTS[0]["document"]), "options": made, "constraints": [], "route": route}


# Marks


def test_a_piece_is_marked_with_gtin_serial_and_expiry() -> None:
    mark = build_mark(bracket(), {"21": "A0001", "17": "310131"})
    assert element_string(mark) == "(01)09506000013459(17)310131(21)A0001"
    assert mark.uri == "https://id.gs1.org/01/09506000013459/21/A0001"


@pytest.mark.parametrize(
    ("values", "refused"),
    [
        ({}, r"is marked with \(21\), \(17\) beside its GTIN, not with nothing"),
        ({"21": "A0001"}, r"not with \(21\)"),
        ({"21": "A0001", "17": "310131", "10": "B1"}, r"not with \(21\), \(17\), \(10\)"),
        ({"21": "A0001", "17": "311331"}, "17"),
        ({"21": "A0001", "17": "never"}, "17"),
        ({"21": "A" * 21, "17": "310131"}, "21"),
        ({"21": "", "17": "310131"}, "21"),
    ],
)
def test_another_mark_is_refused(values: dict[str, str], refused: str) -> None:
    with pytest.raises(IdentifierError, match=refused):
        build_mark(bracket(), values)


def test_a_product_without_gtin_cannot_be_marked() -> None:
    with pytest.raises(IdentifierError, match="has no GTIN"):
        build_mark(parse_product(canonical_json(DOCUMENTS[1]["document"])), {})


# What people write


@pytest.mark.parametrize(
    ("pair", "refused"),
    [
        ("finish", "has no value; write KEY=VALUE"),
        ("=zinc", "has no option ''"),
        ("length_mm=8e1", "length_mm '8e1' is out of range"),
        ("length_mm=", "length_mm '' is out of range"),
        ("length_mm=" + "9" * 5000, "is out of range"),
        ("length_mm=８０", "is out of range"),
        ("finish=zinc\n", "is not a choice"),
    ],
)
def test_a_choice_that_cannot_be_read_is_refused(pair: str, refused: str) -> None:
    with pytest.raises(SpecificationError) as error:
        parse_choices(bracket(), [pair])
    assert refused in str(error.value)
    assert len(str(error.value)) < 200


def test_an_option_that_is_given_twice_is_refused() -> None:
    with pytest.raises(SpecificationError, match="finish is given twice"):
        parse_choices(bracket(), ["finish=zinc", "finish=zinc"])


def test_a_choice_may_contain_an_equals_sign() -> None:
    document: Any = copy.deepcopy(DOCUMENTS[0]["document"])
    document["options"][3]["characters"] = "A="
    assert parse_choices(parse_product(canonical_json(document)), ["label=A=A"]) == {"label": "A=A"}


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (0, "EUR/100", "EUR 0.00"),
        (123456, "EUR/100", "EUR 1,234.56"),
        (5, "JPY/1", "JPY 5"),
        (7, "KWD/1000", "KWD 0.007"),
    ],
)
def test_amounts_are_written_with_their_fraction(amount: int, currency: str, text: str) -> None:
    assert money(amount, currency) == text


def test_a_product_whose_constraints_contradict_has_choices_that_nobody_can_order() -> None:
    document: Any = copy.deepcopy(DOCUMENTS[0]["document"])
    document["constraints"].append({"if": {"finish": ["zinc"]}, "then": {"material": ["brass"]}})
    product = parse_product(canonical_json(document))
    assert find_unreachable(product) == [("finish", "zinc")]
    with pytest.raises(SpecificationError, match="finish zinc needs material"):
        configure(product, {"finish": "zinc", "length_mm": 80})


def test_a_search_without_an_end_is_given_up() -> None:
    """Constraints can hide a contradiction behind more combinations than anybody can try."""
    document: Any = copy.deepcopy(DOCUMENTS[0]["document"])
    two = [{"value": value, "names": {"en": value}, "price": 0} for value in ("0", "1")]
    document["options"] = [{"key": f"o{number}", "names": {"en": "o"}, "choices": two} for number in range(24)]
    document["constraints"] = [
        {"excludes": [{"o21": [a]}, {"o22": [b]}, {"o23": [c]}]} for a in "01" for b in "01" for c in "01"
    ]
    document["route"] = [{"name": "work", "need": {"kind": "work", "values": {}}, "minutes": 1}]
    product = parse_product(canonical_json(document))
    with pytest.raises(SpecificationError, match="not known after 5000 choices"):
        complete(product, {})


def test_texts_are_the_buyers_own_even_where_only_one_length_is_left() -> None:
    document: Any = copy.deepcopy(DOCUMENTS[0]["document"])
    document["options"][3]["text"] = [3, 3]
    document["constraints"] = []
    product = parse_product(canonical_json(document))
    assert isinstance(product.options[3], TextOption)
    with pytest.raises(SpecificationError, match="the option label is missing; give 3 characters"):
        configure(product, {"material": "steel", "finish": "plain", "length_mm": 80})
