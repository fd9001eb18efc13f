"""Products: what can be ordered, with which options, and what work each choice needs. See PRODUCTS.md.

    product = parse_product(Path("crankshaft.json").read_bytes())
    made = configure(product, {"material": "42CrMo4", "finish": "polished", "stroke_mm": 92})
    made.price, made.minutes, [operation.name for operation in made.operations]
    document = build_order_document(made)

Pure: integers and text, no clock, no file, no socket.
"""

from __future__ import annotations

from millmark.ledger.products._configure import (
    Configuration,
    FindProduct,
    Operation,
    build_order_document,
    complete,
    configure,
    find_cheapest,
    find_possible,
    find_unreachable,
    parse_choices,
    verify_order_document,
    verify_specification,
)
from millmark.ledger.products._model import (
    MAX_BYTES,
    MAX_FILE_BYTES,
    Choice,
    ChoiceOption,
    Condition,
    Constraint,
    Domain,
    FromOption,
    IntegerOption,
    Option,
    Product,
    Span,
    Step,
    TextOption,
    Value,
    ValueSet,
    money,
    name_in,
)
from millmark.ledger.products._parse import build_mark, element_string, parse_product

__all__ = [
    "MAX_BYTES",
    "MAX_FILE_BYTES",
    "Choice",
    "ChoiceOption",
    "Condition",
    "Configuration",
    "Constraint",
    "Domain",
    "FindProduct",
    "FromOption",
    "IntegerOption",
    "Operation",
    "Option",
    "Product",
    "Span",
    "Step",
    "TextOption",
    "Value",
    "ValueSet",
    "build_mark",
    "build_order_document",
    "complete",
    "configure",
    "element_string",
    "find_cheapest",
    "find_possible",
    "find_unreachable",
    "money",
    "name_in",
    "parse_choices",
    "parse_product",
    "verify_order_document",
    "verify_specification",
]
