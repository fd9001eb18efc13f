"""Products: a document has one digest, an accepted specification has a route and a price, and nothing else passes."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millmark.ledger.canonical import canonical_json, parse_json
from millmark.ledger.errors import IdentifierError, ProductError, SpecificationError
from millmark.ledger.products import (
    MAX_BYTES,
    Product,
    TextOption,
    build_mark,
    build_order_document,
    complete,
    configure,
    element_string,
    find_possible,
    find_unreachable,
    money,
    parse_choices,
    parse_product,
    verify_order_document,
    verify_specification,
)
from tests.unit.ledger.made_up_products import choices, has, plainly_holds, products, values_of

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
        assert has(value, domain.to_json())  # type: ignore[arg-type]  # a list
    assert complete(product, part) is not None


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
