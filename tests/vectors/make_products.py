"""Writes products.json beside this file: `python tests/vectors/make_products.py`.

Three lists: product documents, with digest or refusal; specifications of one product, with price, time and operations
or refusal; documents of orders for it. A refused document is the first one of its list with a change: a path, and the
value that is put there, or no value where the member is taken out. A refusal names words that the error has to have;
the generator does not check them, the tests do.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from millmark.ledger.canonical import canonical_json
from millmark.ledger.products import build_order_document, configure, parse_product

HERE = Path(__file__).parent
Case = dict[str, Any]
BRACKET: Case = {
    "format": "millmark.product",
    "version": 1,
    "product": "bracket",
    "gtin": "09506000013459",
    "marks": ["21", "17"],
    "names": {"en": "bracket", "zh": "支架"},
    "currency": "EUR/100",
    "price": 1200,
    "options": [
        {
            "key": "material",
            "names": {"en": "material", "zh": "材料"},
            "choices": [
                {"value": "steel", "names": {"en": "steel"}, "price": 0},
                {"value": "brass", "names": {"en": "brass"}, "price": 450},
            ],
        },
        {
            "key": "finish",
            "names": {"en": "finish"},
            "choices": [
                {"value": "plain", "names": {"en": "plain"}, "price": 0},
                {"value": "zinc", "names": {"en": "zinc-plated"}, "price": 120},
                {"value": "lacquer", "names": {"en": "lacquered"}, "price": 80},
            ],
        },
        {"key": "length_mm", "names": {"en": "length"}, "integer": [40, 200], "unit": "mm", "price_per": 3},
        {"key": "label", "names": {"en": "label"}, "text": [0, 8], "price": 50, "characters": "ABC123 "},
    ],
    "constraints": [
        {"if": {"finish": ["zinc"]}, "then": {"material": ["steel"]}},
        {"if": {"material": ["brass"], "length_mm": [150, 200]}, "then": {"finish": ["plain"], "label": [0, 0]}},
        {"excludes": [{"finish": ["lacquer"]}, {"label": [5, 8]}]},
    ],
    "route": [
        {
            "name": "bending",
            "need": {
                "kind": "bending",
                "values": {"material": {"option": "material"}, "length_mm": {"option": "length_mm"}},
            },
            "minutes": 6,
        },
        {
            "name": "coating",
            "need": {"kind": "coating", "values": {"finish": {"option": "finish"}}},
            "minutes": 30,
            "when": {"finish": ["zinc", "lacquer"]},
        },
        {"name": "packing", "need": {"kind": "packing", "values": {"boxes": 1, "standard": "ISTA 3A"}}, "minutes": 2},
    ],
}


def main() -> None:
    """Write the file."""
    found = {"documents": list(documents()), "specifications": list(specifications()), "orders": list(orders())}
    lines = [
        f'"{name}": [\n' + ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases) + "\n]"
        for name, cases in found.items()
    ]
    (HERE / "products.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def documents() -> Iterator[Case]:
    """Product documents as they are; and changed, at a path, in one thing."""
    for says, *changes in _GOOD:
        document = _changed(BRACKET, *changes)
        product = parse_product(canonical_json(document))
        yield {"says": says, "document": document, "digest": "0x" + product.digest.hex()}
    for says, refused, path, value in _BAD:
        yield {"says": says, "change": _change(path, value), "refused": refused}


def specifications() -> Iterator[Case]:
    """Choices for the first product of the documents."""
    product = parse_product(canonical_json(BRACKET))
    for says, options in _CHOSEN:
        made = configure(product, options)
        yield {
            "says": says,
            "options": options,
            "specification": made.specification,
            "implied": list(made.implied),
            "price": made.price,
            "minutes": made.minutes,
            "operations": [operation.to_json() for operation in made.operations],
        }
    for says, refused, options in _REFUSED:
        yield {"says": says, "options": options, "refused": refused}


def orders() -> Iterator[Case]:
    """Documents of orders; the number of operations is that of the order."""
    product = parse_product(canonical_json(BRACKET))
    plain: Any = build_order_document(configure(product, _CHOSEN[0][1]))
    coated: Any = build_order_document(configure(product, _CHOSEN[1][1]))
    yield {"says": "an order for a plain bracket", "document": plain, "operations": 2, "known": True}
    yield {
        "says": "an order for a coated bracket, with members beside",
        "document": {**coated, "po": "4711"},
        "operations": 3,
        "known": True,
    }
    alone = {name: value for name, value in plain.items() if name != "product"}
    yield {"says": "the product is known elsewhere", "document": alone, "operations": 2, "known": True}
    yield {
        "says": "the product is not known: nothing is established",
        "document": alone,
        "operations": 9,
        "known": False,
    }
    yield {
        "says": "a specification of no product: nothing is established",
        "document": {"specification": {"engraving": "A"}},
        "operations": 1,
        "known": False,
    }
    changes: list[tuple[str, str, int, tuple[Any, ...], Any]] = [
        ("fewer operations than the route", "takes 2 operations, not 1", 1, (), None),
        ("more operations than the route", "takes 2 operations, not 3", 3, (), None),
        ("an operation left out", "not those of the product's route", 2, ("operations", "1"), ...),
        ("an operation too many", "not those of the product's route", 2, ("operations", "2"), plain["operations"]["1"]),
        ("operations missing", "not those of the product's route", 2, ("operations",), ...),
        ("another need", "not those of the product's route", 2, ("operations", "0", "need", "values", "length_mm"), 81),
        (
            "a need as a decimal number",
            "not those of the product's route",
            2,
            ("operations", "0", "need", "values", "length_mm"),
            80.5,
        ),
        ("another name", "not those of the product's route", 2, ("operations", "0", "name"), "casting"),
        ("an option left out", "lacks the option label", 2, ("specification", "options", "label"), ...),
        ("an option too many", "has no option 'colour'", 2, ("specification", "options", "colour"), "red"),
        ("another option", "not those of the product's route", 2, ("specification", "options", "length_mm"), 90),
        (
            "options that exclude each other",
            "exclude each other",
            2,
            ("specification", "options"),
            {"material": "steel", "finish": "lacquer", "length_mm": 80, "label": "AAAAA"},
        ),
        (
            "another digest",
            "not the one that its specification names",
            2,
            ("specification", "product"),
            "0x" + "11" * 32,
        ),
        ("a digest in capitals", "not 32 bytes in hexadecimal", 2, ("specification", "product"), "0x" + "AB" * 32),
        ("a digest that is a number", "not 32 bytes in hexadecimal", 2, ("specification", "product"), 7),
        ("a member beside product and options", "does not have the members", 2, ("specification", "price"), 1),
        ("options that are a list", "does not have the members", 2, ("specification", "options"), []),
        ("a product that is not a text", "is not a text", 2, ("product",), {}),
        ("a product that is none", "not a product document", 2, ("product",), "{}"),
        (
            "a product of another price list",
            "not the one that its specification names",
            2,
            ("product",),
            canonical_json(_changed(BRACKET, (("price",), 1))).decode(),
        ),
    ]
    for says, refused, operations, path, value in changes:
        change = _change(path, value) if path else None
        yield {"says": says, "change": change, "operations": operations, "refused": refused}


def _change(path: tuple[Any, ...], value: Any) -> list[Any]:
    return [list(path)] if value is ... else [list(path), value]


def _changed(document: Case, *changes: tuple[tuple[Any, ...], Any]) -> Case:
    """A copy with other values at paths; the value ... takes a member out."""
    found = copy.deepcopy(document)
    for path, value in changes:
        place: Any = found
        for step in path[:-1]:
            place = place[step]
        if value is ...:
            del place[path[-1]]
        else:
            place[path[-1]] = value
    return found


_GOOD: list[tuple[Any, ...]] = [
    ("a bracket with three kinds of options",),
    ("without GTIN and marks", (("gtin",), ...), (("marks",), ...)),
    ("without marks", (("marks",), ...)),
    ("names in one language only", (("names",), {"zh": "支架"})),
    ("prices without a fraction", (("currency",), "JPY/1")),
    ("no constraints", (("constraints",), [])),
    ("a text without a list of characters", (("options", 3, "characters"), ...)),
    ("a condition on a number", (("route", 1, "when"), {"length_mm": [100, 200]})),
    ("a condition on a text's length", (("route", 1, "when"), {"label": [1, 8]})),
    (
        "what values add to the footprint, and how long they take",
        (("options", 0, "choices", 0, "co2e_mg"), -(2**40)),
        (("options", 0, "choices", 1, "co2e_mg"), 2**40),
        (("options", 0, "choices", 1, "lead_hours"), 87_840),
        (("options", 1, "choices", 0, "lead_hours"), 0),
    ),
    (
        "a number that can be negative and costs nothing",
        (("options", 2, "price_per"), 0),
        (("options", 2, "integer"), [-5, 200]),
    ),
]
_CHOICE = {"value": "steel", "names": {"en": "steel"}, "price": 0}
_BAD: list[tuple[str, str, tuple[Any, ...], Any]] = [
    ("another format", "not a product document", ("format",), "millmark.plan"),
    ("without a format", "not a product document", ("format",), ...),
    ("another version", "reads version 1", ("version",), 2),
    ("a version that is true", "reads version 1", ("version",), True),
    ("an unknown member", "unknown member 'colour'", ("colour",), "red"),
    ("a member missing", "the member price is missing", ("price",), ...),
    ("CO2e as a decimal number", "co2e_mg", ("options", 0, "choices", 0, "co2e_mg"), 0.5),
    ("CO2e that is null", "co2e_mg", ("options", 0, "choices", 0, "co2e_mg"), None),
    ("CO2e out of range", "co2e_mg", ("options", 0, "choices", 0, "co2e_mg"), 2**40 + 1),
    ("a lead time below 0", "lead_hours", ("options", 0, "choices", 0, "lead_hours"), -1),
    ("a lead time over ten years", "lead_hours", ("options", 0, "choices", 0, "lead_hours"), 87_841),
    ("a lead time that is true", "lead_hours", ("options", 0, "choices", 0, "lead_hours"), True),
    ("CO2e of a text", "unknown member 'co2e_mg'", ("options", 3, "co2e_mg"), 1),
    ("a name in capitals", "product: 'Bracket' is not allowed", ("product",), "Bracket"),
    ("a name with a path", "product: '../bracket' is not allowed", ("product",), "../bracket"),
    ("a name that is a number", "product: '7' is not allowed", ("product",), 7),
    ("a GTIN with a wrong check digit", "check digit", ("gtin",), "09506000013450"),
    ("a GTIN of 13 digits", "is not a GTIN", ("gtin",), "9506000013457"),
    ("a GTIN that is a number", "gtin is not a text", ("gtin",), 9506000013459),
    ("marks without a GTIN", "no gtin", ("gtin",), ...),
    ("a mark twice", "occurs twice", ("marks",), ["21", "21"]),
    ("no marks in a list", "not a list of 1 to 16", ("marks",), []),
    ("a mark that GS1 does not know", "cannot be on a piece", ("marks",), ["9999"]),
    ("a mark that is a number", "not allowed", ("marks",), [21]),
    ("marks that exclude each other", "exclude each other", ("marks",), ["37"]),
    ("no names", "names is not an object", ("names",), {}),
    ("names in no language", "is not a language", ("names",), {"English": "bracket"}),
    ("an empty name", "not a text of 1 to 200", ("names",), {"en": ""}),
    ("a name of two lines", "not a text of 1 to 200", ("names",), {"en": "a\nb"}),
    ("a name with a space at its end", "not a text of 1 to 200", ("names",), {"en": "bracket "}),
    ("a currency without a fraction", "currency", ("currency",), "EUR"),
    ("a currency with another fraction", "currency", ("currency",), "EUR/60"),
    ("a negative price", "not a whole number from 0", ("price",), -1),
    ("a price with decimals", "not a whole number from 0", ("price",), 12.5),
    ("a price as a text", "not a whole number from 0", ("price",), "12"),
    ("a price that is true", "not a whole number from 0", ("price",), True),
    ("an enormous price", "not a whole number from 0", ("price",), 2**40 + 1),
    ("no options", "not a list of 1 to 64", ("options",), []),
    ("an option twice", "option: 'material' occurs twice", ("options", 1, "key"), "material"),
    ("an option in capitals", "is not allowed", ("options", 0, "key"), "Material"),
    (
        "an option of no kind",
        "option 4: the member text is missing",
        ("options", 3),
        {"key": "label", "names": {"en": "x"}, "price": 0},
    ),
    ("an option of two kinds", "unknown member 'integer'", ("options", 0, "integer"), [1, 2]),
    ("an option without choices", "not a list of 1 to 64", ("options", 0, "choices"), []),
    ("a choice twice", "'steel' occurs twice", ("options", 0, "choices"), [_CHOICE, _CHOICE]),
    ("a choice that is a number", "not a text", ("options", 0, "choices", 0, "value"), 3),
    ("a choice with an unknown member", "unknown member 'stock'", ("options", 0, "choices", 0, "stock"), 3),
    ("a range from high to low", "40 is greater than 20", ("options", 2, "integer"), [40, 20]),
    ("a range of one number", "not a list of two numbers", ("options", 2, "integer"), [40]),
    ("a range of texts", "not a whole number", ("options", 2, "integer"), ["40", "50"]),
    ("a price for numbers that can be negative", "can be negative", ("options", 2, "integer"), [-4, 20]),
    ("a price for each unit that is too large in all", "price_per", ("options", 2, "price_per"), 2**40 // 200 + 1),
    ("a text that is too long", "not a whole number from 0 to 200", ("options", 3, "text"), [0, 201]),
    ("a text of negative length", "not a whole number from 0 to 200", ("options", 3, "text"), [-1, 8]),
    ("a character twice", "occurs twice in characters", ("options", 3, "characters"), "AA"),
    ("no characters", "characters is not a text", ("options", 3, "characters"), ""),
    ("a character that ends a line", "characters is not a text", ("options", 3, "characters"), "A\n"),
    ("a constraint of no kind", "the member if is missing", ("constraints", 0), {"then": {"material": ["steel"]}}),
    ("a constraint of two kinds", "unknown member 'if'", ("constraints", 2, "if"), {"material": ["steel"]}),
    (
        "a constraint that excludes one thing",
        "not a list of 2 to 8",
        ("constraints", 2, "excludes"),
        [{"finish": ["zinc"]}],
    ),
    ("a condition of nothing", "not a condition", ("constraints", 0, "if"), {}),
    (
        "a condition on an option that there is not",
        "has no option 'colour'",
        ("constraints", 0, "if"),
        {"colour": ["red"]},
    ),
    (
        "a condition on a choice that there is not",
        "'gold' is not a choice",
        ("constraints", 0, "then"),
        {"material": ["gold"]},
    ),
    ("a condition with no choices", "not a list of 1 to 64", ("constraints", 0, "then"), {"material": []}),
    (
        "a condition with a choice twice",
        "'steel' occurs twice",
        ("constraints", 0, "then"),
        {"material": ["steel", "steel"]},
    ),
    ("a condition that is a text", "not a list of 1 to 64", ("constraints", 0, "then"), {"material": "steel"}),
    (
        "a condition on a number out of its range",
        "not a whole number from 40 to 200",
        ("constraints", 1, "if"),
        {"length_mm": [10, 200]},
    ),
    ("no route", "not a list of 1 to 64", ("route",), []),
    ("a step twice", "'packing' occurs twice", ("route", 0, "name"), "packing"),
    ("every step with a condition", "every step of the route has a condition", ("route",), [BRACKET["route"][1]]),
    ("a step that takes no time", "minutes", ("route", 0, "minutes"), 0),
    ("a step without a need", "the member need is missing", ("route", 0, "need"), ...),
    ("a need without a kind", "the member kind is missing", ("route", 0, "need", "kind"), ...),
    ("a kind with a space", "is not allowed", ("route", 0, "need", "kind"), "cold bending"),
    (
        "a need from an option that there is not",
        "has no option 'width'",
        ("route", 0, "need", "values", "length_mm"),
        {"option": "width"},
    ),
    (
        "a need from a text",
        "which no machine declares",
        ("route", 0, "need", "values", "length_mm"),
        {"option": "label"},
    ),
    (
        "a need from an option and more",
        "unknown member 'plus'",
        ("route", 0, "need", "values", "length_mm"),
        {"option": "length_mm", "plus": 1},
    ),
    ("a need that is a decimal number", "not a whole number", ("route", 0, "need", "values", "length_mm"), 0.5),
    ("a need that is a list", "not a whole number", ("route", 0, "need", "values", "length_mm"), [1]),
    ("a condition on a step that is null", "not a condition", ("route", 1, "when"), None),
]
_CHOSEN: list[tuple[str, Case]] = [
    ("all options", {"material": "steel", "finish": "plain", "length_mm": 80, "label": "A1"}),
    ("a step more", {"material": "steel", "finish": "zinc", "length_mm": 40, "label": ""}),
    ("material and label follow", {"finish": "zinc", "length_mm": 200}),
    ("finish and label follow", {"material": "brass", "length_mm": 150}),
    ("a long label is not lacquered", {"material": "steel", "finish": "plain", "length_mm": 200, "label": "ABC 123A"}),
]
_REFUSED: list[tuple[str, str, Case]] = [
    ("nothing", "the option material is missing", {}),
    ("an option missing", "the option length_mm is missing", {"material": "steel", "finish": "plain"}),
    (
        "an option that could be one of two",
        "the option finish is missing; choose plain or lacquer",
        {"material": "brass", "length_mm": 80},
    ),
    (
        "an option that the product lacks",
        "has no option 'colour'",
        {"material": "steel", "finish": "plain", "length_mm": 80, "colour": "red"},
    ),
    (
        "a choice that there is not",
        "material 'gold' is not a choice",
        {"material": "gold", "finish": "plain", "length_mm": 80},
    ),
    (
        "a choice in capitals",
        "material 'Steel' is not a choice",
        {"material": "Steel", "finish": "plain", "length_mm": 80},
    ),
    ("a choice that is a number", "material 1 is not a choice", {"material": 1, "finish": "plain", "length_mm": 80}),
    ("a choice that is null", "material None is not a choice", {"material": None, "finish": "plain", "length_mm": 80}),
    (
        "a length that is too small",
        "length_mm 39 is out of range",
        {"material": "steel", "finish": "plain", "length_mm": 39},
    ),
    (
        "a length that is too large",
        "length_mm 201 is out of range",
        {"material": "steel", "finish": "plain", "length_mm": 201},
    ),
    (
        "a length as a text",
        "length_mm '80' is out of range",
        {"material": "steel", "finish": "plain", "length_mm": "80"},
    ),
    (
        "a length with decimals",
        "length_mm 80.5 is out of range",
        {"material": "steel", "finish": "plain", "length_mm": 80.5},
    ),
    (
        "a length that is true",
        "length_mm True is out of range",
        {"material": "steel", "finish": "plain", "length_mm": True},
    ),
    (
        "a label that is too long",
        "not a text of 0 to 8",
        {"material": "steel", "finish": "plain", "length_mm": 80, "label": "AAAAAAAAA"},
    ),
    (
        "a label with another character",
        "label has the character 'Z'",
        {"material": "steel", "finish": "plain", "length_mm": 80, "label": "Z"},
    ),
    (
        "a label that begins with a space",
        "not a text of 0 to 8",
        {"material": "steel", "finish": "plain", "length_mm": 80, "label": " A"},
    ),
    (
        "a label that is a number",
        "label 1 is not a text",
        {"material": "steel", "finish": "plain", "length_mm": 80, "label": 1},
    ),
    (
        "what needs something else",
        "finish zinc needs material steel, not brass",
        {"material": "brass", "finish": "zinc", "length_mm": 80},
    ),
    (
        "what needs two things",
        "needs finish plain and label 0 characters, not lacquer and 1 characters",
        {"material": "brass", "finish": "lacquer", "length_mm": 150, "label": "A"},
    ),
    (
        "what excludes each other",
        "finish lacquer and label 5 characters exclude each other",
        {"material": "steel", "finish": "lacquer", "length_mm": 80, "label": "AAAAA"},
    ),
]


if __name__ == "__main__":
    main()
