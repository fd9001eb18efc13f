"""The parts of a product document, as frozen dataclasses that write themselves as JSON. `_parse` reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from millmark.ledger.canonical import Json, canonical_json, sha256
from millmark.ledger.products._domains import Domain

FORMAT, VERSION = "millmark.product", 1
MAX_BYTES = 24 * 1024
"""Largest canonical JSON of a product, which an order's document contains as one text."""
MAX_FILE_BYTES = 4 * MAX_BYTES
"""Largest JSON that is parsed: it may be laid out for people."""
_TAG = b"millmark.product.v1\0"

Names: TypeAlias = Mapping[str, str]
"""Text by language (ISO 639-1)."""
Condition: TypeAlias = Mapping[str, Domain]
"""What options must have, all of it: values of choices, spans of integers and of the lengths of texts."""


def name_in(names: Names, language: str) -> str:
    """The text in a language; in English, or else the first language, where that is missing."""
    return names.get(language) or names.get("en") or names[min(names)]


@dataclass(frozen=True, slots=True)
class Choice:
    """A value that an option can have."""

    value: str
    names: Names
    price: int
    """Added to the product's price, in its currency's unit."""
    co2e_mg: int | None = None
    """Added to the footprint of a piece, in mg of CO2e; below 0 where it saves some. None where that is not stated."""
    lead_hours: int | None = None
    """By how many hours a piece is ready later; None where that is not stated."""

    def to_json(self) -> Json:
        stated = {"co2e_mg": self.co2e_mg, "lead_hours": self.lead_hours}
        members: dict[str, Json] = {name: value for name, value in stated.items() if value is not None}
        return {"value": self.value, "names": self.names, "price": self.price, **members}


@dataclass(frozen=True, slots=True)
class ChoiceOption:
    """An option with a list of values."""

    key: str
    names: Names
    choices: tuple[Choice, ...]

    @property
    def values(self) -> tuple[str, ...]:
        return tuple(choice.value for choice in self.choices)

    def to_json(self) -> Json:
        return {"key": self.key, "names": self.names, "choices": [choice.to_json() for choice in self.choices]}


@dataclass(frozen=True, slots=True)
class IntegerOption:
    """An option that is a whole number."""

    key: str
    names: Names
    least: int
    most: int
    unit: str
    """Such as mm; for people only."""
    price_per: int
    """Added to the product's price for each unit of the number."""

    def to_json(self) -> Json:
        return {
            "key": self.key,
            "names": self.names,
            "integer": [self.least, self.most],
            "unit": self.unit,
            "price_per": self.price_per,
        }


@dataclass(frozen=True, slots=True)
class TextOption:
    """An option that is a text of the buyer's own, on one line."""

    key: str
    names: Names
    least: int
    """Shortest length, in Unicode code points; 0 where the text may be left out."""
    most: int
    price: int
    """Added to the product's price unless the text is empty."""
    characters: str | None
    """The only characters that it may have; None for all printable ones."""

    def to_json(self) -> Json:
        members: dict[str, Json] = {
            "key": self.key,
            "names": self.names,
            "text": [self.least, self.most],
            "price": self.price,
        }
        return members if self.characters is None else {**members, "characters": self.characters}


Option: TypeAlias = ChoiceOption | IntegerOption | TextOption


@dataclass(frozen=True, slots=True)
class Constraint:
    """Conditions that must not all hold at once, or, with `then`, of which the first needs the other."""

    conditions: tuple[Condition, ...]
    """The one of "if", or those of "excludes"."""
    then: Condition | None

    def to_json(self) -> Json:
        if self.then is None:
            return {"excludes": [_condition(one) for one in self.conditions]}
        return {"if": _condition(self.conditions[0]), "then": _condition(self.then)}


@dataclass(frozen=True, slots=True)
class FromOption:
    """A value that the buyer's choice fills in."""

    key: str

    def to_json(self) -> Json:
        return {"option": self.key}


@dataclass(frozen=True, slots=True)
class Need:
    """The capability that a step needs of its machine."""

    kind: str
    """Kind of operation, such as turning."""
    values: Mapping[str, int | str | FromOption]

    def to_json(self) -> Json:
        values = {key: one.to_json() if isinstance(one, FromOption) else one for key, one in self.values.items()}
        return {"kind": self.kind, "values": values}


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the route."""

    name: str
    need: Need
    minutes: int
    """Indicative time that it takes for one piece."""
    when: Condition | None
    """Only then it is done; None for always."""

    def to_json(self) -> Json:
        members: dict[str, Json] = {"name": self.name, "need": self.need.to_json(), "minutes": self.minutes}
        return members if self.when is None else {**members, "when": _condition(self.when)}


@dataclass(frozen=True)
class Product:
    """A product that can be ordered. Not slotted, because the digest is computed once."""

    product: str
    """Its short name, such as crankshaft."""
    names: Names
    currency: str
    """Code of ISO 4217 and the fraction of it in which prices are, such as EUR/100."""
    price: int
    options: tuple[Option, ...]
    constraints: tuple[Constraint, ...]
    route: tuple[Step, ...]
    gtin: str | None = None
    """GTIN of 14 digits."""
    marks: tuple[str, ...] = ()
    """GS1 application identifiers that every piece is marked with beside the GTIN, such as 21 (serial) and 17
    (expiry)."""

    @property
    def by_key(self) -> dict[str, Option]:
        """The options by their keys, in the document's order."""
        return {option.key: option for option in self.options}

    @cached_property
    def digest(self) -> bytes:
        """SHA-256(tag || canonical JSON), 32 bytes: what specifications name the product by."""
        return sha256(_TAG + self.canonical)

    @property
    def canonical(self) -> bytes:
        """Its canonical JSON (RFC 8785)."""
        return canonical_json(self.to_json())

    def to_json(self) -> Json:
        members: dict[str, Json] = {
            "format": FORMAT,
            "version": VERSION,
            "product": self.product,
            "names": self.names,
            "currency": self.currency,
            "price": self.price,
            "options": [option.to_json() for option in self.options],
            "constraints": [constraint.to_json() for constraint in self.constraints],
            "route": [step.to_json() for step in self.route],
        }
        if self.gtin is not None:
            members["gtin"] = self.gtin
        return {**members, "marks": list(self.marks)} if self.marks else members


def _condition(condition: Condition) -> dict[str, Json]:
    return {key: allowed.to_json() for key, allowed in condition.items()}
